package dhcpinform

import (
	"net/netip"
)

// A Route is a classless route; a zero Via is on link (RFC 3442, "Local Subnet Routes").
type Route struct {
	Prefix netip.Prefix
	Via    netip.Addr
}

// parseRoutes reads the routes of options 121 and 249, whose forms are the same: RFC 3442, [MS-DHCPE] section 2.2.8. One
// that is malformed makes all of them worthless, since where the next begins is unknown.
func parseRoutes(b []byte) (routes []Route, ok bool) {
	for len(b) > 0 {
		bits := int(b[0])
		n := (bits + 7) / 8
		if bits > 32 || len(b) < 1+n+4 {
			return nil, false
		}
		var dst [4]byte
		copy(dst[:], b[1:1+n])
		r := Route{Prefix: netip.PrefixFrom(netip.AddrFrom4(dst), bits).Masked()}
		if via := netip.AddrFrom4([4]byte(b[1+n:])); !via.IsUnspecified() {
			r.Via = via
		}
		routes = append(routes, r)
		b = b[1+n+4:]
	}
	return routes, len(routes) > 0
}

// appendRoutes appends the routes that are of IPv4.
func appendRoutes(b []byte, routes []Route) []byte {
	for _, r := range routes {
		if !r.Prefix.IsValid() || !r.Prefix.Addr().Is4() || r.Via.IsValid() && !r.Via.Is4() {
			continue
		}
		dst := r.Prefix.Masked().Addr().As4()
		b = append(b, byte(r.Prefix.Bits()))
		b = append(b, dst[:(r.Prefix.Bits()+7)/8]...)
		via := [4]byte{}
		if r.Via.IsValid() {
			via = r.Via.As4()
		}
		b = append(b, via[:]...)
	}
	return b
}
