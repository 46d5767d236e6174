package netstack

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// A datagram is a UDP socket or one for ICMP echo, connected or not.
type datagram struct {
	conn
	remote netip.AddrPort // invalid: not connected

	rmu sync.Mutex
	in  tcpip.SliceWriter
	wmu sync.Mutex
	out bytes.Reader
}

var (
	_ net.Conn       = (*datagram)(nil)
	_ net.PacketConn = (*datagram)(nil)
)

func newDatagram(s *Stack, ep tcpip.Endpoint, wq *waiter.Queue, network string) *datagram {
	c := new(datagram)
	c.init(s, ep, wq, network)
	ep.SocketOptions().SetBroadcast(true)
	return c
}

func (c *datagram) fail(err error) { c.end(c, err) }

func (c *datagram) error(op string, to net.Addr, err error) error {
	if to == nil {
		to = c.RemoteAddr()
	}
	return &net.OpError{Op: op, Net: c.network, Source: c.LocalAddr(), Addr: to, Err: err}
}

// Read waits for a datagram.
func (c *datagram) Read(b []byte) (int, error) {
	n, _, err := c.receive(b)
	return n, err
}

// ReadFrom waits for a datagram and says who sent it.
func (c *datagram) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.receive(b)
	if err != nil {
		return 0, nil, err
	}
	return n, netAddr(c.network, from), nil
}

func (c *datagram) receive(b []byte) (n int, from netip.AddrPort, err error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	for {
		if err := c.over(&c.read); err != nil {
			return 0, from, c.error("read", nil, err)
		}
		c.in = b
		r, err := c.ep.Read(&c.in, tcpip.ReadOptions{NeedRemoteAddr: true})
		c.in = nil
		switch err.(type) {
		case nil:
			return r.Count, fromFull(r.RemoteAddr), nil
		case *tcpip.ErrWouldBlock:
			if err := c.wait(c.readable, &c.read); err != nil {
				return 0, from, c.error("read", nil, err)
			}
		default:
			return 0, from, c.error("read", nil, c.why(err))
		}
	}
}

// Write sends a datagram to where the socket is connected.
func (c *datagram) Write(b []byte) (int, error) {
	return c.send(b, nil, nil)
}

// WriteTo sends a datagram to a *net.UDPAddr or *net.IPAddr, or to any address that reads as one.
func (c *datagram) WriteTo(b []byte, to net.Addr) (int, error) {
	a, err := addrPortOf(to)
	if err != nil {
		return 0, c.error("write", to, err)
	}
	full := toFull(a)
	return c.send(b, to, &full)
}

func addrPortOf(a net.Addr) (netip.AddrPort, error) {
	switch a := a.(type) {
	case *net.UDPAddr:
		p := a.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port()), nil
	case *net.IPAddr:
		ip, _ := netip.AddrFromSlice(a.IP)
		return netip.AddrPortFrom(ip.Unmap(), 0), nil
	case nil:
		return netip.AddrPort{}, fmt.Errorf("missing address")
	}
	p, err := netip.ParseAddrPort(a.String())
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port()), err
}

func (c *datagram) send(b []byte, to net.Addr, full *tcpip.FullAddress) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	defer c.out.Reset(nil)
	for {
		if err := c.over(&c.write); err != nil {
			return 0, c.error("write", to, err)
		}
		c.out.Reset(b)
		n, err := c.ep.Write(&c.out, tcpip.WriteOptions{To: full})
		switch err.(type) {
		case nil:
			return int(n), nil
		case *tcpip.ErrWouldBlock:
			if err := c.wait(c.writable, &c.write); err != nil {
				return 0, c.error("write", to, err)
			}
		default:
			return 0, c.error("write", to, c.why(err))
		}
	}
}

// Close closes the socket.
func (c *datagram) Close() error {
	if !c.end(c, net.ErrClosed) {
		return c.error("close", nil, net.ErrClosed)
	}
	return nil
}

func (c *datagram) LocalAddr() net.Addr {
	local, _ := c.addrs()
	if !local.Addr().IsValid() { // of all the stack's addresses
		local = netip.AddrPortFrom(netip.IPv6Unspecified(), local.Port())
	}
	return netAddr(c.network, local)
}

func (c *datagram) RemoteAddr() net.Addr {
	if !c.remote.IsValid() {
		return nil
	}
	return netAddr(c.network, c.remote)
}
