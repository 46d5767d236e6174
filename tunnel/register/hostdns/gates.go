package hostdns

import "strings"

// The security predicates of this package. Each names the test that fails without it.

// isDomain reports whether a domain, which a server has told, is one word: it becomes a part of a line of resolv.conf, where
// another line could name a server for everything.
// Without it fails TestWhatIsNoDomainIsRefused.
func isDomain(d string) bool {
	return d != "" && !strings.ContainsFunc(d, func(c rune) bool { return c <= ' ' || c == 0x7f })
}
