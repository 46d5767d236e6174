package tun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/dialway/dialway/tunnel"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routeProto marks routes as ours in the system's table.
const routeProto = 201

// minIPv6 is the least MTU with which a device has IPv6: RFC 8200 section 5. The kernel takes all of it away below.
const minIPv6 = 1280

// A system sets a device's addresses and routes by netlink, in the network namespace in which the device was opened.
type system struct {
	log  *slog.Logger
	name string // of the device; empty: it was handed in, and its system configures it

	mu       sync.Mutex
	nl       *netlink.Handle // nil: handed in, or closed
	link     netlink.Link
	mtu      int
	addrs    []netlink.Addr
	excluded map[netip.Addr]netlink.Route
	routed   map[netip.Prefix]int // routes to the device, and how many tables have each
	proxies  []*proxy             // of Neighbors
}

func (s *system) open(name string, mtu int) (err error) {
	s.name, s.mtu = name, mtu
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

// ownMetric is the metric of host routes by other devices: a mark, and the process that made them. Those of two processes
// stand beside each other, and each removes its own.
func ownMetric() int { return metricMark<<24 | os.Getpid()&(1<<24-1) }

const metricMark = 0x44

// sweep removes host routes that a process of this package left behind when it was killed. Routes to the device itself
// have gone with it.
func (s *system) sweep() {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := s.nl.RouteListFiltered(family, &netlink.Route{Protocol: routeProto}, netlink.RT_FILTER_PROTOCOL)
		if err != nil {
			s.log.Warn("tun: looking for routes of a process that is gone", "err", err)
			continue
		}
		for _, r := range routes {
			process := r.Priority & (1<<24 - 1)
			if r.Priority>>24 != metricMark || r.Dst == nil || !isHost(r.Dst) || process == os.Getpid() || lives(process) {
				continue
			}
			if err := s.nl.RouteDel(&r); err == nil {
				s.log.Info("tun: removed a route of a process that is gone", "to", r.Dst, "process", process)
			}
		}
	}
}

// lives reports whether a process has not ended. One that has, and whose parent has not asked how, is still there to kill.
func lives(process int) bool {
	if syscall.Kill(process, 0) == syscall.ESRCH {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
	if err != nil {
		return true // there is no /proc, or not for us
	}
	_, state, _ := strings.Cut(string(b[bytes.LastIndexByte(b, ')')+1:]), " ") // the name in front may hold anything
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

func isHost(n *net.IPNet) bool {
	ones, bits := n.Mask.Size()
	return ones == bits
}

func (s *system) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nl == nil {
		return nil
	}
	var err error
	for _, x := range s.proxies {
		err = errors.Join(err, x.close())
	}
	s.proxies = nil
	for dst, r := range s.excluded {
		if e := s.nl.RouteDel(&r); e != nil && !errors.Is(e, unix.ESRCH) {
			err = errors.Join(err, fmt.Errorf("tun: remove the route to %v: %w", dst, e))
		}
	}
	s.excluded = nil
	s.nl.Close()
	s.nl = nil
	return err
}

// ready says why there is nothing to set. s.mu is held.
func (s *system) ready(what string) error {
	switch {
	case s.nl != nil:
		return nil
	case s.name != "":
		return fmt.Errorf("tun: %s %s: %w", what, s.name, net.ErrClosed)
	}
	return fmt.Errorf("tun: %s: the device was handed in, its system configures it: %w", what, errors.ErrUnsupported)
}

// Configure gives the device l's addresses and MTU, in the place of what an earlier Configure or SetAddrs gave. An MTU
// below 1280 leaves no IPv6. It fits demanddial.Interface.Up.
func (d *Device) Configure(ctx context.Context, l tunnel.Link) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var addrs []netip.Prefix
	for _, a := range l.Addrs() {
		a = a.Unmap().WithZone("")
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
	if err := s.ready("set MTU"); err != nil {
		return err
	}
	if err := s.nl.LinkSetMTU(s.link, mtu); err != nil {
		return fmt.Errorf("tun: set MTU %d on %s: %w", mtu, s.name, err)
	}
	if s.mtu < minIPv6 && mtu >= minIPv6 {
		s.resetIPv6()
		defer s.reroute()
	}
	if s.mtu = mtu; mtu < minIPv6 {
		s.addrs = slices.DeleteFunc(s.addrs, func(a netlink.Addr) bool { return a.IP.To4() == nil }) // the kernel has
	}
	return nil
}

// resetIPv6 undoes what the kernel does when IPv6 comes to the device again: it makes up a link-local address.
func (s *system) resetIPv6() {
	s.nl.LinkSetIP6AddrGenMode(s.link, 1 /* none */)
	made, err := s.nl.AddrList(s.link, netlink.FAMILY_V6)
	if err != nil {
		return
	}
	for _, a := range made {
		s.nl.AddrDel(s.link, &a)
	}
}

// currentMTU asks the system for the device's MTU; 0 if it cannot be known.
func (s *system) currentMTU() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nl == nil {
		return 0
	}
	l, err := s.nl.LinkByIndex(s.link.Attrs().Index)
	if err != nil {
		return 0
	}
	s.mtu = l.Attrs().MTU
	return s.mtu
}

func (s *system) setAddrs(list []netip.Prefix) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready("set addresses"); err != nil {
		return err
	}
	var want []netlink.Addr
	for _, p := range list {
		if !p.IsValid() {
			return fmt.Errorf("tun: set addresses of %s: invalid prefix", s.name)
		}
		if p.Addr().Is6() && s.mtu < minIPv6 {
			s.log.Warn("tun: no IPv6 with such an MTU", "device", s.name, "mtu", s.mtu, "address", p.Addr())
			continue
		}
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
				return fmt.Errorf("tun: remove address %v from %s: %w", a.IPNet, s.name, err)
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
			return fmt.Errorf("tun: set address %v on %s: %w", a.IPNet, s.name, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
