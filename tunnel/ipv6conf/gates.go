package ipv6conf

import (
	"net/netip"
	"time"
)

// The security predicates of this package. Each names the test that fails without it.

// maySolicit reports whether m is a router solicitation of a far side: RFC 4861 section 6.1.1. Its options are not looked
// at: a link here has no addresses that one could tell.
// Without it fails TestServerHearsItsLinkOnly.
func maySolicit(m message, own netip.Addr) bool {
	return m.src.IsLinkLocalUnicast() && m.src != own && (m.dst == allRouters || m.dst == own) && ndOptions(m.body[4:], nil)
}

// isAskedFor reports whether m is a neighbour solicitation for this end, from somebody who can be answered.
// Without it fails TestServerHearsItsLinkOnly.
func isAskedFor(m message, own netip.Addr) bool {
	return m.src.IsLinkLocalUnicast() && m.src != own && m.dst == own && len(m.body) >= 20 && netip.AddrFrom16([16]byte(m.body[4:20])) == own && ndOptions(m.body[20:], nil)
}

// mayAskServer reports whether a datagram may be a client's of DHCPv6, from its link-local address (RFC 8415 section 18.2):
// what was sent to other groups is for others.
// Without it fails TestServerHearsItsLinkOnly.
func mayAskServer(m message, own netip.Addr) bool {
	return m.src.IsLinkLocalUnicast() && m.src != own && (m.dst == allServers || m.dst == own)
}

// mayAskNow reports whether a session may ask, by the generic cell rate algorithm: full is when its bucket would be full
// again after one more.
// Without it fails TestServerLimitsEachSession.
func mayAskNow(now, full time.Time) bool { return full.Sub(now) <= askBurst*askInterval }

// mayDelegate reports whether a prefix may be bound to who asks: it is the session's, and nobody else's association has
// it. taken says that another has.
// Without it fails TestDelegatedPrefixIsOneAssociations.
func mayDelegate(taken bool) bool { return !taken }

// mayAdvertise reports whether m may be a router's advertisement to this end: RFC 4861 section 6.1.2. Its hop limit, which
// was looked at, says that it comes from the link, on which there is one other.
// Without it fails TestClientHearsItsRouterOnly.
func mayAdvertise(m message, own netip.Addr) bool {
	return m.src.IsLinkLocalUnicast() && m.src != own && (m.dst == allNodes || m.dst == own)
}

// isReply reports whether a DHCPv6 message answers what a client has asked: its transaction and its identifier, from the
// server that was asked if it was one.
// Without it fails TestClientHearsItsServerOnly.
func isReply(m *dhcpMessage, xid [3]byte, client, server []byte) bool {
	return m.xid == xid && !m.refused && m.server != nil && string(m.client) == string(client) && (server == nil || string(m.server) == string(server))
}

// mayBeGiven reports whether a server may give p to this end: an address, or a prefix of a site. Packets to what this end
// has pass from the link, and to everything they must not.
// Without it fails TestClientTakesNoWholeInternet.
func mayBeGiven(kind uint16, p netip.Prefix) bool {
	if !usable(p) {
		return false
	}
	if kind == optIAPD {
		return p.Bits() >= 32 && p.Bits() <= 64
	}
	return p.IsSingleIP()
}
