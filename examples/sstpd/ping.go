package main

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"

	"golang.org/x/net/icmp"
)

// ping opens a way to one host for echo requests: a ping socket where the system lets users have one (on Linux
// net.ipv4.ping_group_range), else a raw one, which root may have.
func ping(dst netip.Addr) (net.Conn, error) {
	datagram, raw, any := "udp4", "ip4:icmp", "0.0.0.0"
	if dst.Is6() {
		datagram, raw, any = "udp6", "ip6:ipv6-icmp", "::"
	}
	if c, err := icmp.ListenPacket(datagram, any); err == nil {
		return &pinger{PacketConn: c, remote: &net.UDPAddr{IP: dst.AsSlice()}, dst: dst}, nil
	}
	c, err := icmp.ListenPacket(raw, any)
	if err != nil {
		return nil, err
	}
	return &pinger{PacketConn: c, remote: &net.IPAddr{IP: dst.AsSlice()}, dst: dst, raw: true}, nil
}

// A pinger is a net.Conn of ICMP messages with one host.
type pinger struct {
	*icmp.PacketConn
	remote net.Addr
	dst    netip.Addr
	raw    bool          // gets everybody's replies; else the system tells them apart
	id     atomic.Uint32 // of the echo requests
}

// Write sends one echo request.
func (p *pinger) Write(b []byte) (int, error) {
	if len(b) >= 6 {
		p.id.Store(uint32(binary.BigEndian.Uint16(b[4:])))
	}
	return p.WriteTo(b, p.remote)
}

// Read returns the next message that is from the host, and for a raw socket a reply to this pinger.
func (p *pinger) Read(b []byte) (int, error) {
	for {
		n, from, err := p.ReadFrom(b)
		if err != nil {
			return 0, err
		}
		if addrOf(from) == p.dst && n >= 8 && (!p.raw || uint32(binary.BigEndian.Uint16(b[4:])) == p.id.Load()) {
			return n, nil
		}
	}
}

// RemoteAddr is the host's.
func (p *pinger) RemoteAddr() net.Addr { return p.remote }

func addrOf(a net.Addr) netip.Addr {
	var ip net.IP
	switch a := a.(type) {
	case *net.UDPAddr:
		ip = a.IP
	case *net.IPAddr:
		ip = a.IP
	}
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}
