package tun

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/dialway/dialway/tunnel"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Routes returns a table that keeps the system's routes to this device in step with t: what is inserted is routed to the
// device, until the last route to the prefix is deleted or the device is closed. Lookup is t's own.
//
// The routes carry a protocol number of their own, 201. A route that somebody else has to the same prefix is never
// replaced; then, and whenever the system refuses one, the route is in t all the same, and a warning is logged. So a
// default route is best inserted as its two halves, which leave the one that is there alone. Link-local and multicast
// prefixes, which no table takes, are not routed.
func (d *Device) Routes(t tunnel.RouteTable) tunnel.RouteTable {
	return &routes{RouteTable: t, sys: &d.sys, vias: make(map[netip.Prefix][]tunnel.PacketWriter)}
}

type routes struct {
	tunnel.RouteTable
	sys *system

	mu   sync.Mutex
	vias map[netip.Prefix][]tunnel.PacketWriter // what leads to the device for, and is in the system's table if not empty
}

// Insert is RouteTable's.
func (r *routes) Insert(dst netip.Prefix, via tunnel.PacketWriter, metric int) {
	r.RouteTable.Insert(dst, via, metric)
	dst = canonical(dst)
	if via == nil || !dst.IsValid() || dst.Addr().IsLinkLocalUnicast() || dst.Addr().IsMulticast() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.vias[dst]
	if slices.Contains(old, via) {
		return // another metric
	}
	r.vias[dst] = append(old, via)
	if len(old) > 0 {
		return
	}
	if err := r.sys.route(dst, true); err != nil {
		r.sys.log.Warn("tun: the system takes no route", "device", r.sys.name, "to", dst, "why", err)
	}
}

// Delete is RouteTable's.
func (r *routes) Delete(dst netip.Prefix, via tunnel.PacketWriter) bool {
	if !r.RouteTable.Delete(dst, via) {
		return false
	}
	dst = canonical(dst)
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.vias[dst]
	i := slices.Index(old, via)
	if i < 0 {
		return true
	}
	if len(old) > 1 {
		r.vias[dst] = slices.Delete(old, i, i+1)
		return true
	}
	delete(r.vias, dst)
	if err := r.sys.route(dst, false); err != nil {
		r.sys.log.Warn("tun: the system keeps a route", "device", r.sys.name, "to", dst, "why", err)
	}
	return true
}

// canonical returns p without host bits, an IPv4-mapped prefix as IPv4's, as tables have them.
func canonical(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// route adds or removes a route to the device.
func (s *system) route(dst netip.Prefix, add bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nl == nil {
		return nil
	}
	if add {
		if err := s.addRoute(dst); err != nil {
			return err
		}
		if s.routed == nil {
			s.routed = make(map[netip.Prefix]int)
		}
		s.routed[dst]++
		return nil
	}
	if s.routed[dst] != 1 {
		if s.routed[dst] > 1 {
			s.routed[dst]--
		}
		return nil // another table's still, or somebody else's, which was not replaced
	}
	delete(s.routed, dst)
	if err := s.nl.RouteDel(s.routeTo(dst)); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

func (s *system) routeTo(dst netip.Prefix) *netlink.Route {
	r := &netlink.Route{Dst: ipNet(dst), LinkIndex: s.link.Attrs().Index, Protocol: routeProto, Scope: netlink.SCOPE_LINK}
	if dst.Addr().Is6() {
		r.Scope = netlink.SCOPE_UNIVERSE
	}
	return r
}

// addRoute adds a route, but never in the place of one that somebody else has made: what is replaced does not come back.
func (s *system) addRoute(dst netip.Prefix) error {
	r := s.routeTo(dst)
	err := s.nl.RouteAdd(r)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	if list, lerr := s.nl.RouteListFiltered(family(dst.Addr()), r, netlink.RT_FILTER_DST|netlink.RT_FILTER_OIF|netlink.RT_FILTER_PROTOCOL); lerr == nil && len(list) > 0 {
		return nil // ours
	}
	return fmt.Errorf("there is another route to it, which stays: %w", err)
}

// reroute puts routes back that the system has removed with an address, or with IPv6.
func (s *system) reroute() {
	for dst := range s.routed {
		if dst.Addr().Is6() && s.mtu < minIPv6 {
			continue // until there is IPv6 again
		}
		if err := s.addRoute(dst); err != nil {
			s.log.Warn("tun: the system takes no route", "device", s.name, "to", dst, "why", err)
		}
	}
}

func family(a netip.Addr) int {
	if a.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}
