package tun

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Exclude keeps dst outside the tunnel, by the route that it has now or would have without the tunnel, until Close: the
// way to the server must not lead through the tunnel that it carries. Called again it looks again: the way may have
// changed. An address of this machine needs no keeping.
func (d *Device) Exclude(dst netip.Addr) error {
	s := &d.sys
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready("exclude"); err != nil {
		return err
	}
	dst = dst.Unmap().WithZone("")
	if !dst.IsValid() {
		return fmt.Errorf("tun: exclude from %s: invalid address", s.name)
	}
	old, had := s.excluded[dst]
	if had {
		s.nl.RouteDel(&old) // else it would be found below
		delete(s.excluded, dst)
	}
	host, local, err := s.wayTo(dst)
	if err != nil {
		if had {
			s.nl.RouteReplace(&old) // better than none
			s.excluded[dst] = old
		}
		return fmt.Errorf("tun: exclude %v from %s: %w", dst, s.name, err)
	}
	if local {
		return nil
	}
	if err := s.nl.RouteReplace(&host); err != nil {
		return fmt.Errorf("tun: exclude %v from %s: %w", dst, s.name, err)
	}
	if s.excluded == nil {
		s.excluded = make(map[netip.Addr]netlink.Route)
	}
	s.excluded[dst] = host
	return nil
}

// wayTo returns a host route to dst that does not lead through the device.
func (s *system) wayTo(dst netip.Addr) (host netlink.Route, local bool, err error) {
	var way netlink.Route
	found, err := s.nl.RouteGet(dst.AsSlice())
	switch {
	case err == nil && found[0].Type == unix.RTN_LOCAL:
		return host, true, nil
	case err == nil && found[0].LinkIndex != s.link.Attrs().Index:
		way = found[0]
	default:
		if way, err = s.wayWithout(dst); err != nil {
			return host, false, err
		}
	}
	host = netlink.Route{
		Dst: ipNet(netip.PrefixFrom(dst, dst.BitLen())), Gw: way.Gw, LinkIndex: way.LinkIndex,
		Protocol: routeProto, Priority: ownMetric(),
	}
	if way.Gw == nil && dst.Is4() {
		host.Scope = netlink.SCOPE_LINK
	}
	return host, false, nil
}

// wayWithout finds the route that dst would have in the main table if the device were not there.
func (s *system) wayWithout(dst netip.Addr) (best netlink.Route, err error) {
	list, err := s.nl.RouteList(nil, family(dst))
	if err != nil {
		return best, err
	}
	found, longest := false, 0
	for _, r := range list {
		bits := 0
		if r.Dst != nil {
			bits, _ = r.Dst.Mask.Size()
			if !r.Dst.Contains(net.IP(dst.AsSlice())) {
				continue
			}
		}
		if r.LinkIndex == 0 || r.LinkIndex == s.link.Attrs().Index || r.Type != unix.RTN_UNICAST {
			continue
		}
		if !found || bits > longest || bits == longest && r.Priority < best.Priority {
			found, best, longest = true, r, bits
		}
	}
	if !found {
		return best, unix.ENETUNREACH
	}
	return best, nil
}
