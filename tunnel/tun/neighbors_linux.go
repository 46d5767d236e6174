package tun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/dialway/dialway/tunnel"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Neighbors returns a table by which this host answers, on the network at another interface, for the addresses of that
// network that are behind the device: by ARP for IPv4, by neighbour discovery for IPv6. What is inserted as a single address
// in a prefix of the interface's gets a proxy entry of the system's, until the last route to it is deleted or the device is
// closed; all else is t's alone. So a client that has an address of the LAN, as one that a DHCP server there leased, is
// reached by the hosts of the LAN.
//
// t should be what Routes returned: an address is answered for after there is a route to it, and no longer than that. The
// system must forward on the interface; that IPv6 neighbours are proxied there at all (proxy_ndp) is set here. Entries carry
// the protocol number 201; those that a process left behind when it was killed, to whose addresses no route leads any more,
// are removed.
func (d *Device) Neighbors(t tunnel.RouteTable, iface string) (tunnel.RouteTable, error) {
	s := &d.sys
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready("proxy neighbors"); err != nil {
		return nil, err
	}
	link, err := s.nl.LinkByName(iface)
	if err != nil {
		return nil, fmt.Errorf("tun: interface %q: %w", iface, err)
	}
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE) // a socket in this namespace; it subscribes to nothing
	if err != nil {
		return nil, fmt.Errorf("tun: netlink: %w", err)
	}
	x := &proxy{log: s.log, nl: s.nl, link: link, socket: socket, set: make(map[netip.Addr]int)}
	// Without IPv6 on the interface there is no such file.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+iface+"/proxy_ndp", []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Warn("tun: IPv6 neighbors are not answered for", "interface", iface, "err", err)
	}
	if err := x.sweep(); err != nil {
		s.log.Warn("tun: looking for proxy entries of a process that is gone", "interface", iface, "err", err)
	}
	s.proxies = append(s.proxies, x)
	return &neighbors{RouteTable: t, proxy: x, vias: make(map[netip.Addr][]tunnel.PacketWriter)}, nil
}

type neighbors struct {
	tunnel.RouteTable
	proxy *proxy

	mu   sync.Mutex
	vias map[netip.Addr][]tunnel.PacketWriter // what leads to an address that is answered for
}

// Insert is RouteTable's.
func (n *neighbors) Insert(dst netip.Prefix, via tunnel.PacketWriter, metric int) {
	n.RouteTable.Insert(dst, via, metric)
	dst = canonical(dst)
	if via == nil || !dst.IsSingleIP() || dst.Addr().IsLinkLocalUnicast() || dst.Addr().IsMulticast() {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	a := dst.Addr()
	old := n.vias[a]
	if slices.Contains(old, via) || len(old) == 0 && !n.proxy.add(a) {
		return
	}
	n.vias[a] = append(old, via)
}

// Delete is RouteTable's.
func (n *neighbors) Delete(dst netip.Prefix, via tunnel.PacketWriter) bool {
	if c := canonical(dst); c.IsSingleIP() {
		n.forget(c.Addr(), via)
	}
	return n.RouteTable.Delete(dst, via)
}

func (n *neighbors) forget(a netip.Addr, via tunnel.PacketWriter) {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.vias[a]
	i := slices.Index(old, via)
	switch {
	case i < 0:
	case len(old) > 1:
		n.vias[a] = slices.Delete(old, i, i+1)
	default:
		delete(n.vias, a)
		n.proxy.remove(a)
	}
}

// A proxy keeps an interface's proxy entries.
type proxy struct {
	log  *slog.Logger
	nl   *netlink.Handle
	link netlink.Link

	mu     sync.Mutex
	socket *nl.NetlinkSocket // nil: closed
	set    map[netip.Addr]int
}

// add answers for an address from now on, if it is of the interface's network, and nobody's here.
func (x *proxy) add(a netip.Addr) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.socket == nil || !x.onLink(a) {
		return false
	}
	if x.set[a] == 0 {
		if err := x.change(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, a); err != nil {
			x.log.Warn("tun: a neighbor is not answered for", "interface", x.link.Attrs().Name, "addr", a, "why", err)
			return false
		}
	}
	x.set[a]++
	return true
}

// onLink reports whether a host on the interface's network asks for an address there, instead of sending it to a router.
func (x *proxy) onLink(a netip.Addr) bool {
	list, err := x.nl.AddrList(x.link, family(a))
	if err != nil {
		return false
	}
	found := false
	for _, l := range list {
		p, ok := netip.AddrFromSlice(l.IP)
		bits, _ := l.Mask.Size()
		if p = p.Unmap(); !ok || p == a {
			return false // this host's own
		}
		found = found || bits < p.BitLen() && netip.PrefixFrom(p, bits).Contains(a)
	}
	return found
}

func (x *proxy) remove(a netip.Addr) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.set[a]--; x.set[a] > 0 {
		return
	}
	delete(x.set, a)
	x.drop(a)
}

func (x *proxy) drop(a netip.Addr) error {
	if x.socket == nil {
		return nil
	}
	err := x.change(unix.RTM_DELNEIGH, 0, a)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
		x.log.Warn("tun: a neighbor is still answered for", "interface", x.link.Attrs().Name, "addr", a, "why", err)
		return err
	}
	return nil
}

// close removes all entries.
func (x *proxy) close() (err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for a := range x.set {
		err = errors.Join(err, x.drop(a))
	}
	clear(x.set)
	if x.socket != nil {
		x.socket.Close()
		x.socket = nil
	}
	return err
}

// ndaProtocol is NDA_PROTOCOL of linux/neighbour.h: who has made an entry.
const ndaProtocol = 12

// change adds or removes an entry. The library's own call cannot say whose it is.
func (x *proxy) change(kind, flags int, a netip.Addr) error {
	req := x.request(kind, flags|unix.NLM_F_ACK)
	req.AddData(&netlink.Ndmsg{Family: uint8(family(a)), Index: uint32(x.link.Attrs().Index), State: unix.NUD_PERMANENT, Flags: unix.NTF_PROXY})
	req.AddData(nl.NewRtAttr(unix.NDA_DST, a.AsSlice()))
	req.AddData(nl.NewRtAttr(ndaProtocol, []byte{routeProto}))
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

func (x *proxy) request(kind, flags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: x.socket}}
	return req
}

// sweep removes entries that were left behind: of processes that live there is a route to each.
func (x *proxy) sweep() error {
	routed := make(map[netip.Addr]bool)
	for _, f := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := x.nl.RouteListFiltered(f, &netlink.Route{Protocol: routeProto}, netlink.RT_FILTER_PROTOCOL)
		if err != nil {
			return err
		}
		for _, r := range list {
			if r.Dst != nil && isHost(r.Dst) {
				if a, ok := netip.AddrFromSlice(r.Dst.IP); ok {
					routed[a.Unmap()] = true
				}
			}
		}
	}
	left, err := x.entries()
	if err != nil {
		return err
	}
	for _, a := range left {
		if !routed[a] && x.drop(a) == nil {
			x.log.Info("tun: removed a proxy entry of a process that is gone", "interface", x.link.Attrs().Name, "addr", a)
		}
	}
	return nil
}

// entries lists the proxy entries of this package's on the interface.
func (x *proxy) entries() (list []netip.Addr, err error) {
	for _, f := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		req := x.request(unix.RTM_GETNEIGH, unix.NLM_F_DUMP)
		req.AddData(&netlink.Ndmsg{Family: uint8(f), Index: uint32(x.link.Attrs().Index), Flags: unix.NTF_PROXY})
		msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
		if err != nil {
			return nil, err
		}
		for _, m := range msgs {
			if a, ok := parseProxy(m, x.link.Attrs().Index); ok {
				list = append(list, a)
			}
		}
	}
	return list, nil
}

// parseProxy reads an entry, struct ndmsg and attributes, if it is a proxy's of this package on an interface.
func parseProxy(m []byte, index int) (a netip.Addr, ok bool) {
	if len(m) < unix.SizeofNdMsg || int(binary.NativeEndian.Uint32(m[4:])) != index || m[10]&unix.NTF_PROXY == 0 {
		return a, false
	}
	attrs, err := nl.ParseRouteAttr(m[unix.SizeofNdMsg:])
	if err != nil {
		return a, false
	}
	ours := false
	var ip net.IP
	for _, x := range attrs {
		switch x.Attr.Type {
		case unix.NDA_DST:
			ip = x.Value
		case ndaProtocol:
			ours = len(x.Value) == 1 && x.Value[0] == routeProto
		}
	}
	a, ok = netip.AddrFromSlice(ip)
	return a.Unmap(), ok && ours
}
