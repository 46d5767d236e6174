package netstack

import "net/netip"

// The security predicates of this package. Each names the test that fails without it.

// forwardable reports whether a flow to a may be forwarded, if a is not the stack's: what means something only on this
// host or on one link, and what is nobody's address, is not. A far side must not reach what listens on this host's
// loopback, in no spelling.
// Without it fails TestForwardNeverLeadsToLoopbackOrLinkLocal.
func forwardable(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() &&
		!a.IsLinkLocalUnicast() && a != broadcast && !thisNetwork.Contains(a)
}

// martian reports whether a packet has addresses that no link carries: RFC 1122 section 3.2.1.3 (g), RFC 4291 section
// 2.5.3. The stack would drop most of them too, with a line on the standard error output.
// Without it fails TestLoopbackNeverComesFromTheLink.
func martian(src, dst netip.Addr) bool {
	return src.IsLoopback() || dst.IsLoopback() || src.Is4In6() || dst.Is4In6() || src.IsMulticast()
}

var (
	broadcast   = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	thisNetwork = netip.PrefixFrom(netip.AddrFrom4([4]byte{}), 8) // RFC 1122 section 3.2.1.3 (a), (b)
)
