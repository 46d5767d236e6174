package netstack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// backlog is how many connections wait for Accept.
const backlog = 1024

// Listen announces on the stack's addresses: network is "tcp", "tcp4" or "tcp6", address a literal IP address of the stack
// or none, with a port, as for [net.Listen]. Without an address it takes connections to all that the stack has or gets,
// whether it has one yet or not.
func (s *Stack) Listen(network, address string) (net.Listener, error) {
	l, err := s.listen(network, address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: text{network, address}, Err: err}
	}
	return l, nil
}

func (s *Stack) listen(network, address string) (*listener, error) {
	ep, wq, at, err := s.socket("tcp", network, address)
	if err != nil {
		return nil, err
	}
	if e := ep.Listen(backlog); e != nil {
		ep.Close()
		return nil, toError(e)
	}
	l := new(listener)
	l.init(s, ep, wq, network)
	l.addr = at
	if err := s.add(l); err != nil {
		l.end(l, err)
		return nil, err
	}
	return l, nil
}

// ListenPacket is as Listen, for datagrams: network is "udp", "udp4" or "udp6".
func (s *Stack) ListenPacket(network, address string) (net.PacketConn, error) {
	c, err := s.listenPacket(network, address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: text{network, address}, Err: err}
	}
	return c, nil
}

func (s *Stack) listenPacket(network, address string) (*datagram, error) {
	ep, wq, _, err := s.socket("udp", network, address)
	if err != nil {
		return nil, err
	}
	c := newDatagram(s, ep, wq, network)
	if err := s.add(c); err != nil {
		c.end(c, err)
		return nil, err
	}
	return c, nil
}

// socket returns an endpoint of proto that is bound to an address of the stack.
func (s *Stack) socket(proto, network, address string) (tcpip.Endpoint, *waiter.Queue, netip.AddrPort, error) {
	var at netip.AddrPort
	k, err := parseNetwork(network)
	if err == nil && k.proto != proto {
		err = net.UnknownNetworkError(network)
	}
	if err != nil {
		return nil, nil, at, err
	}
	host, port, err := k.split(context.Background(), address)
	if err != nil {
		return nil, nil, at, err
	}
	var ip netip.Addr
	if host != "" {
		var ok bool
		if ip, ok = literal(host); !ok || !k.takes(ip) {
			return nil, nil, at, fmt.Errorf("%q is no IP address of the network %s", host, network)
		}
		if ip.IsUnspecified() {
			if k.family = "6"; ip.Is4() {
				k.family = "4"
			}
			ip = netip.Addr{}
		}
	}
	c, err := s.start()
	if err != nil {
		return nil, nil, at, err
	}
	number, net := tcp.ProtocolNumber, header.IPv6ProtocolNumber // IPv6 sockets take IPv4 too
	if proto == "udp" {
		number = udp.ProtocolNumber
	}
	if ip.Is4() || k.family == "4" {
		net = header.IPv4ProtocolNumber
	}
	wq := new(waiter.Queue)
	ep, e := c.gv.NewEndpoint(number, net, wq)
	if e != nil {
		return nil, nil, at, toError(e)
	}
	if k.family == "6" {
		ep.SocketOptions().SetV6Only(true)
	}
	// Without this it would take flows to addresses that are only forwarded.
	e = ep.SocketOptions().SetBindToDevice(int32(nicOwn))
	if e == nil {
		e = ep.Bind(toFull(netip.AddrPortFrom(ip, port)))
	}
	if e != nil {
		ep.Close()
		return nil, nil, at, toError(e)
	}
	if a, e := ep.GetLocalAddress(); e == nil {
		port = a.Port
	}
	if !ip.IsValid() {
		if ip = netip.IPv6Unspecified(); net == header.IPv4ProtocolNumber {
			ip = netip.IPv4Unspecified()
		}
	}
	return ep, wq, netip.AddrPortFrom(ip, port), nil
}

// A listener takes TCP connections.
type listener struct {
	conn
	mu   sync.Mutex
	addr netip.AddrPort
}

func (l *listener) fail(err error) { l.end(l, err) }

// local is flow's: a listener outlives its address, which may come back.
func (l *listener) local() netip.Addr { return netip.Addr{} }

func (l *listener) error(op string, err error) error {
	return &net.OpError{Op: op, Net: l.network, Addr: l.Addr(), Err: err}
}

// Accept waits for a connection.
func (l *listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if err := l.over(&l.read); err != nil {
			return nil, l.error("accept", err)
		}
		ep, wq, e := l.ep.Accept(nil)
		switch e.(type) {
		case nil:
			c := newStream(l.stack, ep, wq, l.network)
			c.connected()
			c.bound = c.localAddr.Addr()
			if err := l.stack.add(c); err != nil {
				c.end(c, err)
				return nil, l.error("accept", err)
			}
			return c, nil
		case *tcpip.ErrWouldBlock:
			if err := l.wait(l.readable, &l.read); err != nil {
				return nil, l.error("accept", err)
			}
		default:
			return nil, l.error("accept", l.why(e))
		}
	}
}

// Close stops listening; connections that were accepted go on.
func (l *listener) Close() error {
	if !l.end(l, net.ErrClosed) {
		return l.error("close", net.ErrClosed)
	}
	return nil
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }
