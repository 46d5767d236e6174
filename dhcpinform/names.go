package dhcpinform

import "strings"

// maxNames keeps a search list, whose pointers can make much of little, to what hosts use.
const maxNames = 64

// parseNames reads a search list: names of RFC 1035 section 4.1.4, whose pointers are offsets into the joined option
// (RFC 3397 section 2).
func parseNames(b []byte) (names []string, ok bool) {
	for i := 0; i < len(b); {
		name, next, ok := parseName(b, i)
		if !ok || len(names) == maxNames {
			return nil, false
		}
		if name != "" {
			names = append(names, name)
		}
		i = next
	}
	return names, len(names) > 0
}

// parseName reads the name at i and returns where what follows it begins. A pointer has to lead back, so that no name
// is endless.
func parseName(b []byte, i int) (name string, next int, ok bool) {
	var s strings.Builder
	limit := i // pointers lead to before this
	for i < len(b) {
		n := int(b[i])
		switch {
		case n == 0:
			if next == 0 {
				next = i + 1
			}
			return s.String(), next, true
		case n&0xc0 == 0xc0:
			if i+2 > len(b) {
				return "", 0, false
			}
			to := n&0x3f<<8 | int(b[i+1])
			if to >= limit {
				return "", 0, false
			}
			if next == 0 {
				next = i + 2
			}
			i, limit = to, to
		case n > 63 || i+1+n > len(b) || s.Len()+1+n > 254: // RFC 1035 section 2.3.4
			return "", 0, false
		default:
			label := b[i+1 : i+1+n]
			for _, c := range label {
				if c <= ' ' || c == '.' || c >= 0x7f { // what goes into a resolver's configuration must be one word
					return "", 0, false
				}
			}
			if s.Len() > 0 {
				s.WriteByte('.')
			}
			s.Write(label)
			i += 1 + n
		}
	}
	return "", 0, false
}

// appendNames appends names without compression; it leaves out what is no name.
func appendNames(b []byte, names []string) []byte {
	for _, name := range names {
		start := len(b)
		for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
			if len(label) == 0 || len(label) > 63 {
				b = b[:start]
				break
			}
			b = append(append(b, byte(len(label))), label...)
		}
		if len(b) > start && len(b)-start < 255 {
			b = append(b, 0)
		} else {
			b = b[:start]
		}
	}
	return b
}
