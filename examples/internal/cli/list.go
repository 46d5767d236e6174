package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Prefixes is a flag of prefixes, or addresses, separated by commas; it may be given several times.
type Prefixes []netip.Prefix

// String returns them as Set reads them.
func (p *Prefixes) String() string {
	var s []string
	for _, x := range *p {
		s = append(s, x.String())
	}
	return strings.Join(s, ",")
}

// Set adds.
func (p *Prefixes) Set(s string) error {
	for _, f := range strings.Split(s, ",") {
		x, err := netip.ParsePrefix(f)
		if err != nil {
			a, err := netip.ParseAddr(f)
			if err != nil {
				return fmt.Errorf("%q is no prefix such as 192.168.0.0/16", f)
			}
			x = netip.PrefixFrom(a, a.BitLen())
		}
		if x != x.Masked() {
			return fmt.Errorf("%v has bits beyond its length: is %v meant?", x, x.Masked())
		}
		*p = append(*p, x)
	}
	return nil
}

// Addrs is a flag of addresses, separated by commas.
type Addrs []netip.Addr

// String returns them as Set reads them.
func (a *Addrs) String() string {
	var s []string
	for _, x := range *a {
		s = append(s, x.String())
	}
	return strings.Join(s, ",")
}

// Set adds.
func (a *Addrs) Set(s string) error {
	for _, f := range strings.Split(s, ",") {
		x, err := netip.ParseAddr(f)
		if err != nil {
			return fmt.Errorf("%q is no address", f)
		}
		*a = append(*a, x)
	}
	return nil
}

// FirstHost returns the first address of a network that a host can have.
func FirstHost(p netip.Prefix) (netip.Addr, error) {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return netip.Addr{}, errors.New("must be an IPv4 network with room for a server and a client: /30 or shorter")
	}
	return p.Masked().Addr().Next(), nil
}
