package dhcpinform

import "github.com/dialway/dialway/internal/names"

// maxNames keeps a search list, whose pointers can make much of little, to what hosts use.
const maxNames = 64

// parseNames reads a search list, whose pointers are offsets into the joined option (RFC 3397 section 2).
func parseNames(b []byte) (list []string, ok bool) {
	for i := 0; i < len(b); {
		name, next, ok := names.Next(b, i, true)
		if !ok || len(list) == maxNames {
			return nil, false
		}
		if name != "" {
			list = append(list, name)
		}
		i = next
	}
	return list, len(list) > 0
}
