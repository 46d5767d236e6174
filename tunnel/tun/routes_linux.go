package tun

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/dialway/dialway/tunnel"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Routes returns a table that keeps the system's routes to this device in step with t: what is inserted is routed to the
// device, until the last route to the prefix is deleted. The routes carry a protocol number of their own and go with the
// device. A route that the system refuses is in t all the same, and logged.
func (d *Device) Routes(t tunnel.RouteTable) tunnel.RouteTable {
	return &routes{RouteTable: t, sys: &d.sys, count: make(map[netip.Prefix]int)}
}

type routes struct {
	tunnel.RouteTable
	sys *system

	mu    sync.Mutex
	count map[netip.Prefix]int
}

// Insert is RouteTable's.
func (r *routes) Insert(dst netip.Prefix, via tunnel.PacketWriter, metric int) {
	r.RouteTable.Insert(dst, via, metric)
	r.mu.Lock()
	defer r.mu.Unlock()
	dst = dst.Masked()
	if r.count[dst]++; r.count[dst] == 1 {
		if err := r.sys.route(dst, true); err != nil {
			r.sys.log.Warn("tun: the system takes no route", "to", dst, "why", err)
		}
	}
}

// Delete is RouteTable's.
func (r *routes) Delete(dst netip.Prefix, via tunnel.PacketWriter) bool {
	if !r.RouteTable.Delete(dst, via) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	dst = dst.Masked()
	if r.count[dst]--; r.count[dst] <= 0 {
		delete(r.count, dst)
		r.sys.route(dst, false)
	}
	return true
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
			s.routed = make(map[netip.Prefix]struct{})
		}
		s.routed[dst] = struct{}{}
		return nil
	}
	if _, ours := s.routed[dst]; !ours {
		return nil // another's, which was not to be replaced
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

// addRoute adds a route, but never in the place of one that somebody else has made.
func (s *system) addRoute(dst netip.Prefix) error {
	r := s.routeTo(dst)
	err := s.nl.RouteAdd(r)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	family := netlink.FAMILY_V4
	if dst.Addr().Is6() {
		family = netlink.FAMILY_V6
	}
	if list, lerr := s.nl.RouteListFiltered(family, r, netlink.RT_FILTER_DST|netlink.RT_FILTER_OIF|netlink.RT_FILTER_PROTOCOL); lerr == nil && len(list) > 0 {
		return nil // ours
	}
	return fmt.Errorf("there is another route to it, which stays: %w", err)
}

// reroute puts routes back that the system has removed with an address.
func (s *system) reroute() {
	for dst := range s.routed {
		if err := s.addRoute(dst); err != nil {
			s.log.Warn("tun: the system takes no route", "to", dst, "why", err)
		}
	}
}
