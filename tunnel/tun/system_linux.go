package tun

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/dialway/dialway/tunnel"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routeProto marks routes as ours in the system's table.
const routeProto = 201

// A system sets a device's addresses and routes by netlink, in the network namespace in which the device was opened.
type system struct {
	log      *slog.Logger
	mu       sync.Mutex
	nl       *netlink.Handle // nil: the device was handed in, and its system configures it
	link     netlink.Link
	addrs    []netlink.Addr
	excluded []netlink.Route
	routed   map[netip.Prefix]struct{} // by Routes
}

func (s *system) open(name string, mtu int) (err error) {
	if s.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("tun: netlink: %w", err)
	}
	if s.link, err = s.nl.LinkByName(name); err != nil {
		return fmt.Errorf("tun: device %s: %w", name, err)
	}
	if err := s.nl.LinkSetMTU(s.link, mtu); err != nil {
		return fmt.Errorf("tun: set MTU %d on %s: %w", mtu, name, err)
	}
	// The link-local address is what IPV6CP agrees on, not what the kernel makes up. Without IPv6 there is none.
	s.nl.LinkSetIP6AddrGenMode(s.link, 1 /* none */)
	if err := s.nl.LinkSetUp(s.link); err != nil {
		return fmt.Errorf("tun: bring %s up: %w", name, err)
	}
	s.sweep()
	return nil
}

// sweep removes host routes that a process of this package left behind. A route carries the process's number as its
// realm; routes to the device itself have gone with it.
func (s *system) sweep() {
	routes, err := s.nl.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: routeProto}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return
	}
	for _, r := range routes {
		if r.Realm != 0 && r.Realm != os.Getpid() && syscall.Kill(r.Realm, 0) == syscall.ESRCH {
			s.nl.RouteDel(&r)
		}
	}
}

func (s *system) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nl == nil {
		return nil
	}
	var err error
	for _, r := range s.excluded {
		if e := s.nl.RouteDel(&r); e != nil && !errors.Is(e, unix.ESRCH) {
			err = errors.Join(err, fmt.Errorf("tun: remove the route to %v: %w", r.Dst, e))
		}
	}
	s.excluded = nil
	s.nl.Close()
	s.nl = nil
	return err
}

// Configure gives the device l's addresses and MTU, in the place of what an earlier Configure or SetAddrs gave. It fits
// demanddial.Interface.Up.
func (d *Device) Configure(ctx context.Context, l tunnel.Link) error {
	var addrs []netip.Prefix
	for _, a := range l.Addrs() {
		bits := a.BitLen()
		if a.IsLinkLocalUnicast() && a.Is6() {
			bits = 64
		}
		addrs = append(addrs, netip.PrefixFrom(a, bits))
	}
	if mtu := l.MTU(); mtu > 0 {
		if err := d.sys.setMTU(mtu); err != nil {
			return err
		}
		d.mtu.Store(int64(mtu))
	}
	return d.SetAddrs(addrs...)
}

// SetAddrs gives the device addresses, in the place of what an earlier call gave. The prefix of an address that is not a
// single one is routed to the device.
func (d *Device) SetAddrs(addrs ...netip.Prefix) error { return d.sys.setAddrs(addrs) }

func (s *system) setMTU(mtu int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nl == nil {
		return errHandedIn
	}
	if err := s.nl.LinkSetMTU(s.link, mtu); err != nil {
		return fmt.Errorf("tun: set MTU %d on %s: %w", mtu, s.link.Attrs().Name, err)
	}
	return nil
}

var errHandedIn = errors.New("tun: the device was handed in: its system configures it")

func (s *system) setAddrs(list []netip.Prefix) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nl == nil {
		return errHandedIn
	}
	var want []netlink.Addr
	for _, p := range list {
		a := netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD}
		if p.Addr().Is4() {
			a.Flags = 0
		}
		want = append(want, a)
	}
	// New addresses come first: with the last address of a family the system removes its routes to the device.
	if err := s.putAddrs(want); err != nil {
		return err
	}
	removed := false
	for _, a := range s.addrs {
		if !slices.ContainsFunc(want, a.Equal) {
			if err := s.nl.AddrDel(s.link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				return fmt.Errorf("tun: remove address %v from %s: %w", a.IPNet, s.link.Attrs().Name, err)
			}
			removed = true
		}
	}
	s.addrs = want
	if !removed {
		return nil
	}
	// With a primary address the system removes the others of its network, and what was routed by them.
	err := s.putAddrs(want)
	s.reroute()
	return err
}

func (s *system) putAddrs(list []netlink.Addr) error {
	for _, a := range list {
		if err := s.nl.AddrReplace(s.link, &a); err != nil {
			return fmt.Errorf("tun: set address %v on %s: %w", a.IPNet, s.link.Attrs().Name, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// Exclude keeps dst outside the tunnel, by the route it has now, until Close: the way to the server must not lead
// through the tunnel that it carries.
func (d *Device) Exclude(dst netip.Addr) error {
	s := &d.sys
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nl == nil {
		return errHandedIn
	}
	dst = dst.Unmap()
	found, err := s.nl.RouteGet(dst.AsSlice())
	if err != nil {
		return fmt.Errorf("tun: no route to %v: %w", dst, err)
	}
	r := found[0]
	switch {
	case r.LinkIndex == s.link.Attrs().Index:
		return fmt.Errorf("tun: %v is routed through %s already", dst, s.link.Attrs().Name)
	case r.Type == unix.RTN_LOCAL:
		return nil // it is this machine
	}
	host := netlink.Route{
		Dst: ipNet(netip.PrefixFrom(dst, dst.BitLen())), Gw: r.Gw, LinkIndex: r.LinkIndex,
		Protocol: routeProto, Realm: os.Getpid(),
	}
	if r.Gw == nil {
		host.Scope = netlink.SCOPE_LINK
	}
	if err := s.nl.RouteReplace(&host); err != nil {
		return fmt.Errorf("tun: keep the route to %v: %w", dst, err)
	}
	s.excluded = append(s.excluded, host)
	return nil
}
