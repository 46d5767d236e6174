package ipv6conf

import "strings"

// maxNames keeps a search list to what hosts use.
const maxNames = 32

// parseNames reads names of RFC 1035 section 3.1, without compression: RFC 8106 section 5.2, RFC 8415 section 10. Zeros
// behind the last one are padding.
func parseNames(b []byte) (names []string, ok bool) {
	for len(b) > 0 {
		var s strings.Builder
		for {
			if len(b) == 0 {
				return nil, false // a name that is cut is not taken, even if its domain would be fully qualified
			}
			n := int(b[0])
			if n == 0 {
				b = b[1:]
				break
			}
			if n > 63 || 1+n > len(b) || s.Len()+1+n > 254 { // RFC 1035 section 2.3.4
				return nil, false
			}
			for _, c := range b[1 : 1+n] {
				if c <= ' ' || c == '.' || c >= 0x7f { // what goes into a resolver's configuration must be one word
					return nil, false
				}
			}
			if s.Len() > 0 {
				s.WriteByte('.')
			}
			s.Write(b[1 : 1+n])
			b = b[1+n:]
		}
		if s.Len() > 0 && len(names) < maxNames {
			names = append(names, s.String())
		}
	}
	return names, true
}

// appendNames appends names; it leaves out what is no name.
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
