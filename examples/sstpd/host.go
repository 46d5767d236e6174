package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/netstack"
	"github.com/dialway/dialway/tunnel/tun"
)

// openHost opens where the clients' packets go: a TUN device of the system, which has the server's address and the
// pool's route, or a stack in this program.
func (s *server) openHost(ctx context.Context) (tunnel.PacketIO, error) {
	if s.tun == "netstack" {
		ns := &netstack.Stack{Forward: s.forward}
		if err := ns.Configure(ctx, stackAddr{addr: s.addr, six: s.ipv6.addr, mtu: s.mtu}); err != nil {
			ns.Close()
			return nil, err
		}
		return ns, nil
	}
	dev, err := tun.Open(tun.Config{Name: s.tun, MTU: s.mtu, Queues: s.queues, Logger: s.log})
	if err != nil {
		return nil, err
	}
	// Where clients have addresses of a LAN, its network is not to be found here: each session is routed by itself.
	alone := func(a netip.Addr, bits int) netip.Prefix {
		if s.neighbors != "" {
			bits = a.BitLen()
		}
		return netip.PrefixFrom(a, bits)
	}
	own := []netip.Prefix{alone(s.addr, s.pool.Bits())}
	if s.ipv6.prefix.IsValid() {
		own = append(own, alone(s.ipv6.addr, s.ipv6.prefix.Bits()))
	}
	if err := dev.SetAddrs(own...); err != nil {
		dev.Close()
		return nil, fmt.Errorf("server's address: %w", err)
	}
	return dev, nil
}

// forward dials from here what a client of the stack connects to, or pings.
func (s *server) forward(ctx context.Context, network string, src, dst netip.AddrPort) (c net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if network == "ping" {
		c, err = ping(dst.Addr())
	} else {
		c, err = new(net.Dialer).DialContext(ctx, network, dst.String())
	}
	s.log.Debug("forwarded", "network", network, "from", src, "to", dst, "err", err)
	return c, err
}

// A stackAddr is a Link as far as Stack.Configure looks: the server's stack has an address before any client comes.
type stackAddr struct {
	tunnel.Link
	addr netip.Addr
	six  netip.Addr // IPv6; invalid: none
	mtu  int
}

func (a stackAddr) Addrs() []netip.Addr {
	if a.six.IsValid() {
		return []netip.Addr{a.addr, a.six}
	}
	return []netip.Addr{a.addr}
}
func (a stackAddr) DNS() []netip.Addr { return nil }
func (a stackAddr) MTU() int          { return a.mtu }

// queuesOf returns what a router serves: each queue of a device that has several, or the host itself.
func queuesOf(host tunnel.PacketIO) []tunnel.PacketIO {
	if d, ok := host.(*tun.Device); ok {
		return d.Queues()
	}
	return []tunnel.PacketIO{host}
}
