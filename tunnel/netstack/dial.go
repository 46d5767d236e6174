package netstack

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

// DialContext connects through the tunnel. network is "tcp" or "udp", with "4" or "6" to insist on a version. It waits,
// within ctx, for a stack that has no address yet; names are asked of the tunnel's name servers. An error unwraps to the
// reason for which the tunnel ended, if that is why.
func (s *Stack) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: textAddr{network, address}, Err: err}
	}
	kind, want, err := parseNetwork(network)
	if err != nil {
		return fail(err)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return fail(err)
	}
	port, err := net.DefaultResolver.LookupPort(ctx, kind, service)
	if err != nil {
		return fail(err)
	}
	if err := s.ready(ctx); err != nil {
		return fail(err)
	}
	addrs, err := s.lookup(ctx, host, want)
	if err != nil {
		return fail(err)
	}
	var last error = errors.New("no address that the tunnel can reach")
	for i, a := range addrs {
		if !s.reaches(a) {
			continue
		}
		// Each address gets its share of the time that is left, or one that is dead would take it all.
		share, cancel := shareOf(ctx, len(addrs)-i)
		c, err := s.dial(share, kind, netip.AddrPortFrom(a, uint16(port)))
		cancel()
		if err == nil {
			return c, nil
		}
		if last = err; ctx.Err() != nil {
			break
		}
	}
	if cause := s.ended(); cause != nil {
		last = errors.Join(last, cause)
	}
	return fail(last)
}

// shareOf divides the time left among what is left to try.
func shareOf(ctx context.Context, parts int) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok || parts < 2 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, max(time.Until(end)/time.Duration(parts), 2*time.Second))
}

func (s *Stack) dial(ctx context.Context, kind string, to netip.AddrPort) (net.Conn, error) {
	full := tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(to.Addr().AsSlice()), Port: to.Port()}
	if kind == "udp" {
		return gonet.DialUDP(s.stack, nil, &full, protocolOf(to.Addr()))
	}
	c, err := gonet.DialContextTCP(ctx, s.stack, full, protocolOf(to.Addr()))
	if err != nil {
		return nil, err
	}
	return &conn{TCPConn: c, s: s}, nil
}

// A conn is a TCP connection whose errors say why the tunnel ended, if it has.
type conn struct {
	*gonet.TCPConn
	s *Stack
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	return n, c.explain(err)
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	return n, c.explain(err)
}

func (c *conn) explain(err error) error {
	var op *net.OpError
	if err == nil || !errors.As(err, &op) || op.Timeout() {
		return err
	}
	if cause := c.s.ended(); cause != nil {
		return errors.Join(err, cause)
	}
	return err
}

// ready waits until the stack has an address.
func (s *Stack) ready(ctx context.Context) error {
	s.start()
	for {
		s.mu.Lock()
		changed, err := s.changed, s.cause
		ok := len(s.addrs) > 0 && (s.serving || s.cause == nil)
		if s.closed {
			err = net.ErrClosed
		}
		s.mu.Unlock()
		switch {
		case err != nil:
			return err
		case ok:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ended is why the last link ended, if there is none now.
func (s *Stack) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// reaches reports whether the stack has an address of a's version that is more than link-local.
func (s *Stack) reaches(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, own := range s.addrs {
		if own.Is4() == a.Is4() && (!own.IsLinkLocalUnicast() || a.IsLinkLocalUnicast()) {
			return true
		}
	}
	return false
}

// parseNetwork splits "tcp4" into "tcp" and 4.
func parseNetwork(network string) (kind string, version int, err error) {
	switch network {
	case "tcp", "udp":
		return network, 0, nil
	case "tcp4", "udp4":
		return network[:3], 4, nil
	case "tcp6", "udp6":
		return network[:3], 6, nil
	}
	return "", 0, net.UnknownNetworkError(network)
}

// lookup resolves a host through the tunnel.
func (s *Stack) lookup(ctx context.Context, host string, version int) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a = a.Unmap(); version == 0 || (version == 4) == a.Is4() {
			return []netip.Addr{a.WithZone("")}, nil
		}
		return nil, &net.AddrError{Err: "no suitable address", Addr: host}
	}
	network := "ip"
	if version != 0 {
		network += strconv.Itoa(version)
	}
	addrs, err := s.Resolver().LookupNetIP(ctx, network, host)
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, err
}

// Resolver asks the tunnel's name servers, and no others.
func (s *Stack) Resolver() *net.Resolver {
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if err := s.ready(ctx); err != nil {
				return nil, err
			}
			s.mu.Lock()
			servers := s.dns
			s.mu.Unlock()
			if len(servers) == 0 {
				return nil, errors.New("netstack: the tunnel names no name server")
			}
			kind, _, err := parseNetwork(network)
			if err != nil {
				return nil, err
			}
			// The resolver tries its servers in turn, and takes the host's; each stands for one of ours.
			var last error
			for _, a := range servers {
				c, err := s.dial(ctx, kind, netip.AddrPortFrom(a, 53))
				if err == nil {
					return c, nil
				}
				last = err
			}
			return nil, last
		},
	}
}

// Listen announces on the stack's addresses; network is "tcp", "tcp4" or "tcp6", and an empty host means all of them.
func (s *Stack) Listen(network, address string) (net.Listener, error) {
	full, proto, err := s.local(network, address, "tcp")
	if err != nil {
		return nil, err
	}
	return gonet.ListenTCP(s.stack, full, proto)
}

// ListenPacket is Listen for datagrams: "udp", "udp4" or "udp6".
func (s *Stack) ListenPacket(network, address string) (net.PacketConn, error) {
	full, proto, err := s.local(network, address, "udp")
	if err != nil {
		return nil, err
	}
	return gonet.DialUDP(s.stack, &full, nil, proto)
}

// local parses what to announce on.
func (s *Stack) local(network, address, want string) (tcpip.FullAddress, tcpip.NetworkProtocolNumber, error) {
	s.start()
	fail := func(err error) (tcpip.FullAddress, tcpip.NetworkProtocolNumber, error) {
		return tcpip.FullAddress{}, 0, &net.OpError{Op: "listen", Net: network, Addr: textAddr{network, address}, Err: err}
	}
	kind, version, err := parseNetwork(network)
	if err != nil || kind != want {
		return fail(net.UnknownNetworkError(network))
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return fail(err)
	}
	port, err := net.LookupPort(kind, service)
	if err != nil {
		return fail(err)
	}
	full := tcpip.FullAddress{NIC: nic, Port: uint16(port)}
	proto := protocolOf(netip.IPv4Unspecified())
	if version == 6 {
		proto = protocolOf(netip.IPv6Unspecified())
	}
	if host != "" {
		a, err := netip.ParseAddr(host)
		if err != nil {
			return fail(err)
		}
		proto = protocolOf(a)
		if !a.IsUnspecified() {
			full.Addr = tcpip.AddrFromSlice(a.AsSlice())
		}
	}
	return full, proto, nil
}

// A textAddr is an address as it was given.
type textAddr struct{ network, address string }

func (a textAddr) Network() string { return a.network }
func (a textAddr) String() string  { return a.address }
