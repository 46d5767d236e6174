// Package names reads and writes lists of domain names as DHCP, DHCPv6 and router advertisements carry them.
package names

import "strings"

// Next reads the name at i, RFC 1035 section 3.1, and returns where what follows it begins. The root is an empty name.
// pointers allows compression (section 4.1.4), with offsets into b; a pointer has to lead back, so that no name is
// endless. ok is false for a name that is cut, too long, or has a character that would be more than one word in a
// resolver's configuration.
func Next(b []byte, i int, pointers bool) (name string, next int, ok bool) {
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
		case n&0xc0 == 0xc0 && pointers:
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
				if c <= ' ' || c == '.' || c >= 0x7f {
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

// Append appends names without compression; it leaves out what is no name.
func Append(b []byte, list []string) []byte {
	for _, name := range list {
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
