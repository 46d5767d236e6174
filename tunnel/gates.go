package tunnel

import (
	"net/netip"
	"slices"

	"github.com/dialway/dialway/internal/packet"
)

// The security predicates of this package. Each names the test that fails without it.

// staysOnLink reports whether a is link-local or multicast: such packets never leave their link, and such addresses
// are in no route (RFC 4291 sections 2.5.6 and 2.7, RFC 3927 section 7).
// Without it fails TestLinkLocalAndMulticastNeverLeaveTheirLink.
func staysOnLink(a netip.Addr) bool { return a.IsLinkLocalUnicast() || a.IsMulticast() }

// staysOnHost reports whether a is no address of a host on any link: RFC 1812 section 5.3.7, RFC 4291 sections 2.5.2 and
// 2.5.3. A far side that may send from everywhere must not reach what listens on this host's loopback.
// Without it fails TestLoopbackNeverComesFromALink.
func staysOnHost(a netip.Addr) bool {
	return !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a == broadcast
}

// isHeardOnLink reports whether what a far side's link-local address says stays on the link, to be heard by a Receiver of
// Local: said to a multicast group of the link or to this end's own link-local address there. Such an address says nothing
// about who sends, so nothing else is told, and nothing passes on.
// Without it fails TestLinkLocalIsHeardByReceiversOnly.
func isHeardOnLink(src, dst netip.Addr, own []netip.Addr) bool {
	return src.Is6() && src.IsLinkLocalUnicast() && (dst.IsLinkLocalMulticast() || dst.IsLinkLocalUnicast() && slices.Contains(own, dst))
}

// takesPrefix reports whether p may stand in a Table. A prefix that merely contains such addresses, as a default route
// does, may: Lookup leaves them out, and single multicast groups, which are there for Router.Local, too.
// Without it fails TestTableRefusesLinkLocalAndMulticastPrefixes.
func takesPrefix(p netip.Prefix) bool {
	if !p.IsValid() {
		return false
	}
	if p.IsSingleIP() && p.Addr().IsMulticast() {
		return true
	}
	for _, never := range neverRouted {
		if never.Bits() <= p.Bits() && never.Contains(p.Addr()) {
			return false
		}
	}
	return true
}

var neverRouted = [...]netip.Prefix{
	netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 16),
	netip.PrefixFrom(netip.AddrFrom4([4]byte{224}), 4),
	netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0x80}), 10),
	netip.PrefixFrom(netip.AddrFrom16([16]byte{0xff}), 8),
}

// sourceAllowed reports whether a packet from src may come from via: packets to src go there, so src is via's.
// Without it fails TestFromRefusesSourcesOfOthers.
func sourceAllowed(routes RouteTable, src netip.Addr, via PacketWriter) bool {
	return !staysOnLink(src) && !staysOnHost(src) && routes.Lookup(src) == via
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// judge returns what a filter goes by, and whether the packet can be judged at all.
// Without it fails TestFilterPassesNothingThatCannotBeJudged.
func judge(b []byte) (i packet.Info, ok bool) {
	ok = i.Parse(b) && !i.Unclear
	return i, ok
}
