package radius

import "time"

// Every predicate here guards something. Beside each stands the test that fails without it.

// mayTakeReply: a reply to an Access-Request without Message-Authenticator can be forged by whoever sees the request
// (CVE-2024-3596); one with EAP must have it always (RFC 3579 section 3.2). Test: TestUnsignedReplyRefused.
func mayTakeReply(access, signed, eap, unsigned bool) bool {
	return !access || signed || unsigned && !eap
}

// framed: an Access-Accept for another service than PPP is none for this session (RFC 2865 sections 1 and 5.6, RFC 5080
// section 2.5). Zero means that it says nothing. Test: TestAcceptOfAnotherServiceRefused.
func framed(serviceType, protocol uint32) bool {
	return (serviceType == 0 || serviceType == serviceFramed) && (protocol == 0 || protocol == protocolPPP)
}

// provesName: EAP's outer identity is only claimed, and many servers repeat it; the name counts where the server is known
// to send the proven one. Test: TestEAPUserNameNeedsTrust.
func provesName(eap, trusted bool) bool { return !eap || trusted }

// mayPassUnfiltered: a filter that cannot be applied refuses, or a session could do what it was not to.
// Test: TestFilterThatIsUnknownRefused.
func mayPassUnfiltered(filters int) bool { return filters == 0 }

// mayTakeRequest: an Access-Request without Message-Authenticator may be anybody's who can spell the address of an access
// server, and one with Proxy-State is what CVE-2024-3596 needs; one with EAP must have it (RFC 3579 section 3.2), and so
// must a Status-Server (RFC 5997 section 3). The others are signed by their Authenticator. Where TLS has proved who asks,
// only EAP and Status-Server need it.
// Test: TestUnsignedRequestDropped.
func mayTakeRequest(c Code, signed, eap, proxied, unsigned, sealed bool) bool {
	return !c.isAccess() || signed || c == AccessRequest && !eap && (sealed || unsigned && !proxied)
}

// mayServeTLS: over RadSec every client has the secret "radsec"; who has no certificate that was verified, or that
// somebody's function has looked at, is anybody. The system's authorities vouch for everybody, too.
// Test: TestRadSecNeedsAVerifiedCertificate.
func mayServeTLS(verified, authorities, looked bool) bool { return verified && authorities || looked }

// maySendAccept: a Grant's filters are functions and cannot be sent; without a Filter-Id in their place a session could do
// what it was not to. Test: TestGrantWithFiltersNeedsFilterID.
func maySendAccept(filtered, named bool) bool { return !filtered || named }

// ownsConversation: the rounds of an EAP conversation come from the access server that began it, or who guesses or sees a
// State could take it over. Test: TestConversationIsOfOneClient.
func ownsConversation(same bool) bool { return same }

// isOfNow: a Disconnect or CoA that was recorded long ago must not act again (RFC 5176 section 6.3).
// Test: TestOldDisconnectDropped.
func isOfNow(dated bool, at, now time.Time, undated bool) bool {
	if !dated {
		return undated
	}
	return now.Sub(at).Abs() <= dateWindow
}

// namesSessions: a request that names nobody would mean everybody (RFC 5176 section 3). Test: TestDisconnectOfNobodyRefused.
func namesSessions(keys int) bool { return keys > 0 }

// mayPassOn: a request that goes round would go round for ever, each time a load for every server on the way.
// Test: TestProxyLoopsEnd.
func mayPassOn(hops int, mine bool) bool { return !mine && hops <= mostHops }

// mayGoBack: a home server ends and changes sessions of its own users; with a name of another's, or with none and a session
// that it was never asked about, it would reach everybody's at an access server that several share (RFC 5176 section 6.1).
// Test: TestProxyBackOnlyToOwnSessions.
func mayGoBack(ownUser, ownSession bool) bool { return ownUser || ownSession }
