package dhcpinform

// The options that this package knows by number: RFC 2132, RFC 3046, RFC 3397, RFC 3442 and [MS-DHCPE].
const (
	optPad           = 0
	optHostName      = 12
	optDomain        = 15
	optDNS           = 6
	optNTP           = 42
	optVendor        = 43
	optWINS          = 44
	optNodeType      = 46
	optScope         = 47
	optAddress       = 50
	optLeaseTime     = 51
	optOverload      = 52
	optType          = 53
	optServer        = 54
	optRequest       = 55
	optMaxSize       = 57
	optRenewal       = 58
	optRebinding     = 59
	optClass         = 60
	optClient        = 61
	optAgent         = 82
	optSearch        = 119
	optRoutes        = 121
	optWindowsRoutes = 249
	optWPAD          = 252
	optEnd           = 255
)

// A piece is one option as it stands in its field. What is longer than 255 bytes is in several (RFC 3396).
type piece struct {
	code  byte
	data  []byte
	start int // where the code stands in the field
}

// walk calls f for the options of one field, in order, until END, the end of the field, or f says false. end is where
// END stands, or would. It fails if an option is cut.
func walk(field []byte, f func(p piece) bool) (end int, ok bool) {
	for i := 0; i < len(field); {
		code := field[i]
		switch code {
		case optPad:
			i++
			continue
		case optEnd:
			return i, true
		}
		if i+2 > len(field) || i+2+int(field[i+1]) > len(field) {
			return i, false
		}
		next := i + 2 + int(field[i+1])
		if f != nil && !f(piece{code, field[i+2 : next], i}) {
			return i, true
		}
		i = next
	}
	return len(field), true // without END, against RFC 2132 section 3.2: nothing is lost by taking it
}

// fields returns the parts of m that hold options, in the order in which they are read: options, and file and sname as
// option 52 says (RFC 2132 section 9.3, RFC 3396 section 5). It fails if that is said twice or badly: a server might read
// other fields than were looked at here.
func (m message) fields() (f [3][]byte, ok bool) {
	f[0] = m[atOptions:]
	overload, fine := byte(0), true
	_, ok = walk(f[0], func(p piece) bool {
		if p.code == optOverload {
			fine = fine && overload == 0 && len(p.data) == 1 && p.data[0] >= 1 && p.data[0] <= 3
			if fine {
				overload = p.data[0]
			}
		}
		return true
	})
	if overload&1 != 0 {
		f[1] = m[atFile:atCookie]
	}
	if overload&2 != 0 {
		f[2] = m[atSName:atFile]
	}
	return f, ok && fine
}

// pieces calls f for all options of m, those of overloaded fields last.
func (m message) pieces(f func(p piece) bool) bool {
	fields, ok := m.fields()
	if !ok {
		return false
	}
	stopped := false
	for _, field := range fields {
		_, ok := walk(field, func(p piece) bool {
			stopped = !f(p)
			return !stopped
		})
		if !ok || stopped {
			return ok
		}
	}
	return true
}

// option returns the data of an option that is never longer than 255 bytes, without making anything.
func (m message) option(code byte) (data []byte, ok bool) {
	whole := m.pieces(func(p piece) bool {
		if p.code == code && !ok {
			data, ok = p.data, true
		}
		return true
	})
	return data, ok && whole
}

// kind returns the message type; 0 means none, options that cannot be read, or several types, of which a server might take
// another than we do.
func (m message) kind() (kind byte) {
	n := 0
	ok := m.pieces(func(p piece) bool {
		if p.code == optType {
			if n++; len(p.data) != 1 {
				n++
			} else {
				kind = p.data[0]
			}
		}
		return true
	})
	if !ok || n != 1 {
		return 0
	}
	return kind
}

// An Option is one option with all of its data.
type Option struct {
	Code byte
	Data []byte
}

// options returns copies of all options in the order in which they first stand, those in several pieces joined
// (RFC 3396 section 7). It fails if one is cut.
func (m message) options() (list []Option, ok bool) {
	var at [256]int // index in list, plus one
	ok = m.pieces(func(p piece) bool {
		if p.code == optOverload {
			return true // says how the message is laid out, and nothing to who reads it
		}
		if at[p.code] == 0 {
			list = append(list, Option{Code: p.code})
			at[p.code] = len(list)
		}
		o := &list[at[p.code]-1]
		o.Data = append(o.Data, p.data...)
		return true
	})
	return list, ok
}

// appendOption appends an option, in as many pieces as its length needs (RFC 3396 section 6).
func appendOption(b []byte, code byte, data []byte) []byte {
	for {
		n := min(len(data), 255)
		b = append(append(b, code, byte(n)), data[:n]...)
		if data = data[n:]; len(data) == 0 {
			return b
		}
	}
}

// finish appends END and what a message has at least.
func finish(b []byte, start int) []byte {
	b = append(b, optEnd)
	for len(b)-start < minMessage {
		b = append(b, optPad)
	}
	return b
}
