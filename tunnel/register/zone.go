package register

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
)

const dnsPort = 53

// A zone is where a name is changed.
type zone struct {
	name    string
	owner   string           // the name that was asked for, or what it is an alias of: RFC 2317
	servers []netip.AddrPort // to which updates go, the primary first
}

const (
	maxServers = 4 // of a zone, that are tried
	maxAliases = 8
)

// findZone finds the zone of a name and its primary by SOA questions, RFC 2136 section 4. servers are asked; fixed, unless
// it is zero, is where updates go, whatever the zone says. alias says whether an alias is followed.
func (c *client) findZone(ctx context.Context, servers []netip.AddrPort, fixed netip.AddrPort, name string, alias bool) (zone, error) {
	z := zone{owner: name}
	aliases := 0
	for at := name; at != ""; {
		a, asked, err := c.ask(ctx, servers, at, typeSOA)
		if err != nil {
			return z, err
		}
		switch {
		case a.soa != nil && within(at, a.soa.zone):
			z.name = a.soa.zone
			if fixed.IsValid() {
				z.servers = []netip.AddrPort{fixed}
			} else {
				z.servers, err = c.primaries(ctx, servers, asked, a)
			}
			return z, err
		case a.alias != "" && at == z.owner && alias && aliases < maxAliases:
			aliases++
			z.owner, at = a.alias, a.alias
		default:
			// No SOA, or an alias whose own zone the name itself is not in: a level up there is one.
			at = parent(at)
		}
	}
	return z, fmt.Errorf("register: %s: %w", name, ErrNoZone)
}

// primaries returns where a zone is changed: the server that its SOA names; then, since that name may be one that cannot be
// reached from here, its other name servers, and who was asked if the zone is its own. These pass an update on
// (RFC 2136 section 6) or refuse it.
func (c *client) primaries(ctx context.Context, servers []netip.AddrPort, asked netip.AddrPort, a *answer) ([]netip.AddrPort, error) {
	var list []netip.AddrPort
	add := func(addrs []netip.Addr) {
		for _, x := range addrs {
			if p := netip.AddrPortFrom(x.Unmap(), dnsPort); len(list) < maxServers && x.IsValid() && !slices.Contains(list, p) {
				list = append(list, p)
			}
		}
	}
	add(c.hostAddrs(ctx, servers, a.soa.primary, a.glue))
	if a.authoritative && len(list) < maxServers && !slices.Contains(list, asked) {
		list = append(list, asked)
	}
	if len(list) > 0 {
		return list, nil
	}
	ns, _, err := c.ask(ctx, servers, a.soa.zone, typeNS)
	if err != nil {
		return nil, err
	}
	for _, name := range ns.names[:min(len(ns.names), maxServers)] {
		add(c.hostAddrs(ctx, servers, name, ns.glue))
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("register: zone %s: no address of its primary %s, nor of another server of it", a.soa.zone, a.soa.primary)
	}
	return list, nil
}

// hostAddrs returns the addresses of a name server, of those that came along, or asked for.
func (c *client) hostAddrs(ctx context.Context, servers []netip.AddrPort, name string, come []glue) (list []netip.Addr) {
	for _, g := range come {
		if equal(g.name, name) {
			list = append(list, g.addr)
		}
	}
	if len(list) > 0 {
		return list
	}
	for _, typ := range []uint16{typeA, typeAAAA} {
		if a, _, err := c.ask(ctx, servers, name, typ); err == nil {
			list = append(list, a.addrs...)
		}
	}
	return list
}
