package ppp

import "strings"

// The gates of this package: what must hold before a link goes on, each a predicate of its own, so that a test can take
// one away and see what then goes wrong.

// mayOpenLCP: LCP never opens without the authentication this end demands. Test: TestLCPNeedsDemandedAuth.
func mayOpenLCP(demands bool, agreed AuthProtocol) bool {
	return !demands || agreed != NoProtocol
}

// mayGoUnasked: a client that was given credentials refuses a server that asks for none, or a man in the middle would
// skip the method whose proof the client insists on. Test: TestClientRefusesNoAuth.
func mayGoUnasked(hasCredentials, allowed bool) bool {
	return !hasCredentials || allowed
}

// mayProve: what this end is willing to say to a far side that the transport has not verified. PAP gives the password
// away, CHAP a hash of it; an MS-CHAPv2 response is one DES key's work to break, and what an EAP method says cannot be
// seen here: EAP-MSCHAPv2 says the same. Test: TestClientRefusesWeakAuth.
func mayProve(p AuthProtocol, verified, allowUnverified bool) bool {
	switch p {
	case PAP, CHAP:
		return verified
	}
	return verified || allowUnverified
}

// mayRenegotiate: the binding of the transport covers one authentication and cannot be renewed, so LCP may not go down
// once the transport has it. Test: TestNoRenegotiationAfterBind.
func mayRenegotiate(binds, bindCalled bool) bool {
	return !binds || !bindCalled
}

// mayPassData: no packet passes, in either direction, before its network protocol is open and the transport is bound.
// Test: TestNoDataBeforeNCP.
func mayPassData(ncpOpen, bound bool) bool {
	return ncpOpen && bound
}

// mayComeFrom: a packet passes if its source was given to the far side. Test: TestForeignSourceDropped.
func mayComeFrom(given bool) bool {
	return given
}

// mayStayOnLink: of link-local and multicast IPv6 only what the far side's own link-local address says, to this end's or to
// everybody, is heard; it never enters a routing table. Test: TestLinkLocalStaysOnLink.
func mayStayOnLink(fromPeer, toUs bool) bool {
	return fromPeer && toUs
}

// mayGoTo: a client that is not a router takes only what is meant for it. Test: TestForeignDestinationDropped.
func mayGoTo(router, own bool) bool {
	return router || own
}

// mayAnswerStranger: what costs a far side nothing (echoes, codes and protocols that nobody knows) is answered at a limited
// rate until it has said who it is. Test: TestAnswersAreLimitedBeforeAuthentication.
func mayAnswerStranger(authenticated, withinRate bool) bool {
	return authenticated || withinRate
}

// mayBeAgain: a far side that authenticates again on one link stays who it was, since its addresses, its routes and its
// record stay. Test: TestRenegotiation.
func mayBeAgain(known bool, was, is string) bool {
	return !known || strings.EqualFold(was, is)
}

// mayAgreeAgain: nor do its addresses change: what may pass, and where to, was decided when the link opened.
// Test: TestIPCPAgain.
func mayAgreeAgain(open, same bool) bool {
	return !open || same
}

// mayGive: this end's own address is not for the far side, even if the pool holds it. Test: TestOwnAddressIsNotGiven.
func mayGive(own bool) bool {
	return !own
}
