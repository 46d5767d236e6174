package radius

import (
	"errors"
	"net/netip"
	"strings"
)

// A route is a Framed-Route or Framed-IPv6-Route.
type route struct {
	prefix netip.Prefix
	via    netip.Addr // zero where it says none
}

// parseRoute reads "prefix gateway metrics" (RFC 2865 section 5.22, RFC 3162 section 2.5). Without a length, an IPv4
// prefix has that of its class. Metrics are not looked at: a session has one route to each prefix.
func parseRoute(text string) (r route, err error) {
	words := strings.Fields(strings.TrimRight(text, "\x00"))
	if len(words) == 0 {
		return r, errors.New("it is empty")
	}
	if strings.Contains(words[0], "/") {
		if r.prefix, err = netip.ParsePrefix(words[0]); err != nil {
			return r, err
		}
	} else {
		a, err := netip.ParseAddr(words[0])
		if err != nil {
			return r, err
		}
		bits := 128
		if a.Is4() {
			bits = classBits(a)
		}
		r.prefix = netip.PrefixFrom(a, bits)
	}
	r.prefix = r.prefix.Masked()
	if len(words) > 1 {
		if r.via, err = netip.ParseAddr(words[1]); err != nil {
			return r, err
		}
	}
	return r, nil
}

// classBits is how long a prefix was before CIDR.
func classBits(a netip.Addr) int {
	switch b := a.As4()[0]; {
	case a.IsUnspecified():
		return 0
	case b < 128:
		return 8
	case b < 192:
		return 16
	case b < 224:
		return 24
	}
	return 32
}
