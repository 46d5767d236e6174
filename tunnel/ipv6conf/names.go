package ipv6conf

import "github.com/dialway/dialway/internal/names"

// maxNames keeps a search list to what hosts use.
const maxNames = 32

// parseNames reads names without compression: RFC 8106 section 5.2, RFC 8415 section 10. Zeros behind the last one are
// padding. A name that is cut is not taken, even if its domain would be fully qualified.
func parseNames(b []byte) (list []string, ok bool) {
	for i := 0; i < len(b); {
		name, next, ok := names.Next(b, i, false)
		if !ok {
			return nil, false
		}
		if name != "" && len(list) < maxNames {
			list = append(list, name)
		}
		i = next
	}
	return list, true
}
