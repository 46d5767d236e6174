package register

import (
	"crypto/hmac"
	"net/netip"
	"time"
)

// The security predicates of this package. Each names the test that fails without it.

// isSigned reports whether an answer has the signature that only who knows the key can make, whole (RFC 8945 section
// 5.2.2.1 would let a server shorten it; none does unasked): anybody on the way could otherwise say that a name was
// registered, or that it is another's.
// Without it fails TestAnswersOfOthersAreNotBelieved.
func isSigned(want, mac []byte) bool { return hmac.Equal(want, mac) }

// isFresh reports whether an answer was signed now. RFC 8945 section 5.2.3.
// Without it fails TestAnswersOfOthersAreNotBelieved.
func isFresh(t tsig, now time.Time) bool {
	d := int64(t.at) - now.Unix()
	return max(d, -d) <= int64(t.fudge)
}

// isAnswer reports whether a NetBIOS message answers a request: it comes from who was asked, about the name. Anybody who
// reaches the host could otherwise say that its name is another's. WACKs repeat the name, too (RFC 1002 section 4.2.16).
// Without it fails TestNamesAreNotLostToStrangers.
func isAnswer(a *nbAsk, from netip.Addr, m nbMessage) bool {
	return from == a.server && m.name.is(a.name)
}

// mayRemove reports whether a server may remove an address of a name: only what the session had. A PTR leads where its
// host says, so a client could have another host's name cleared away by leaving.
// Without it fails TestRemoveLeavesWhatIsOfOthers.
func mayRemove(a netip.Addr, prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
