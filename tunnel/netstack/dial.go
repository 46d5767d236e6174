package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// attemptDelay is how long one address is tried before the next is tried beside it: RFC 8305 section 5.
const attemptDelay = 250 * time.Millisecond

// DialContext connects through the tunnel: "tcp" and "udp" with or without a family, and "ip4:icmp" and "ip6:ipv6-icmp"
// for ICMP echo, where the stack chooses the identifier and checks the sum. ctx bounds the dial, not the connection.
//
// It waits, within ctx, for a stack that has no address yet. After a Serve has ended, and until the next begins, it fails
// with what that Serve returned, and so do dials that are waiting then: errors.As finds a *ppp.TerminatedError, say.
// Names are asked of the tunnel's name servers, see Resolver; of several addresses the first that answers is used. An
// empty host is the stack itself.
//
// What it returns for "tcp" also has CloseRead and CloseWrite, as a *net.TCPConn; all else is a net.PacketConn too.
// Errors are as those of package net: *net.OpError, with syscall.ECONNREFUSED and the like inside.
func (s *Stack) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: text{network, address}, Err: err}
	}
	k, err := parseNetwork(network)
	if err != nil {
		return fail(err)
	}
	host, port, err := k.split(ctx, address)
	if err != nil {
		return fail(err)
	}
	c, err := s.await(ctx)
	if err != nil {
		return fail(err)
	}
	list, err := s.resolve(ctx, k, host)
	if err != nil {
		return fail(err)
	}
	if k.proto == "tcp" {
		conn, err := s.race(ctx, c, k, list, port)
		if err != nil {
			return fail(err)
		}
		return conn, nil
	}
	for _, a := range list {
		conn, e := s.connect(c, k, netip.AddrPortFrom(a, port))
		if e == nil {
			return conn, nil
		}
		err = e
	}
	return fail(err)
}

// text is an address as it was given.
type text struct{ network, address string }

func (t text) Network() string { return t.network }
func (t text) String() string  { return t.address }

// await waits until the stack has an address, within ctx.
func (s *Stack) await(ctx context.Context) (*core, error) {
	for {
		s.mu.Lock()
		c, err := s.startLocked()
		if err != nil {
			s.mu.Unlock()
			return nil, err
		}
		ended, ready, changed := s.ended, len(s.addrs) > 0, s.changed
		s.mu.Unlock()
		switch {
		case ended != nil:
			return nil, ended
		case ready:
			return c, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("the stack has no address yet: %w", context.Cause(ctx))
		}
	}
}

// state returns why nothing is served any more, if so, and a channel that is closed when that may have changed.
func (s *Stack) state() (changed <-chan struct{}, ended error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed, s.ended
}

// resolve returns the addresses of a host, of families that the stack has.
func (s *Stack) resolve(ctx context.Context, k kind, host string) ([]netip.Addr, error) {
	var list []netip.Addr
	if a, ok := literal(host); ok {
		list = append(list, a)
	} else if host == "" {
		s.mu.Lock()
		list = append(list, s.addrs...)
		s.mu.Unlock()
	} else {
		var err error
		for _, name := range s.names(host) {
			if list, err = s.Resolver().LookupNetIP(ctx, "ip"+k.family, name); err == nil || ctx.Err() != nil {
				break
			}
		}
		if err != nil {
			return nil, s.lookupError(err)
		}
	}
	reachable := list[:0]
	for _, a := range list {
		if a = a.Unmap(); k.takes(a) && s.reaches(a) {
			reachable = append(reachable, a)
		}
	}
	if len(reachable) == 0 {
		return nil, fmt.Errorf("%w: the stack has no address of the family of %s", syscall.ENETUNREACH, host)
	}
	return reachable, nil
}

// lookupError returns what a lookup failed with in terms of the tunnel: a net.Resolver names the system's server, and does
// not keep the reason why there is no way to any.
func (s *Stack) lookupError(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var e *net.DNSError
	switch {
	case s.ended != nil:
		return s.ended
	case len(s.nameServers()) == 0:
		return errNoServers
	case errors.As(err, &e):
		told := *e
		told.Server = netip.AddrPortFrom(s.nameServers()[0], 53).String()
		return &told
	}
	return err
}

// reaches reports whether the stack has an address from which it could reach a.
func (s *Stack) reaches(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, own := range s.addrs {
		if own.Is4() == a.Is4() && (a.Is4() || !own.IsLinkLocalUnicast() || a.IsLinkLocalUnicast() || a.IsMulticast()) {
			return true
		}
	}
	return false
}

// race connects to one of several addresses: to each a while after the one before, or at once when that has failed. The
// first connection wins.
func (s *Stack) race(ctx context.Context, c *core, k kind, list []netip.Addr, port uint16) (net.Conn, error) {
	if len(list) == 1 {
		return s.dialTCP(ctx, c, k, netip.AddrPortFrom(list[0], port))
	}
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var won result
	running := 0
	next := time.NewTimer(0)
	defer next.Stop()
	for len(list) > 0 || running > 0 {
		select {
		case <-next.C:
			if len(list) == 0 {
				continue
			}
			to := netip.AddrPortFrom(list[0], port)
			list = list[1:]
			running++
			go func() {
				conn, err := s.dialTCP(ctx, c, k, to)
				results <- result{conn, err}
			}()
			next.Reset(attemptDelay)
		case r := <-results:
			running--
			switch {
			case r.err == nil && won.conn == nil:
				won = r
				list = nil
				cancel()
			case r.err == nil:
				r.conn.Close()
			case won.err == nil && won.conn == nil:
				won.err = r.err // the first failure is the one to tell
				fallthrough
			default:
				next.Reset(0)
			}
		}
	}
	if won.conn != nil {
		return won.conn, nil
	}
	return nil, won.err
}

// dialTCP connects to one address.
func (s *Stack) dialTCP(ctx context.Context, c *core, k kind, to netip.AddrPort) (net.Conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	wq := new(waiter.Queue)
	ep, e := c.gv.NewEndpoint(tcp.ProtocolNumber, protocolOf(to.Addr()), wq)
	if e != nil {
		return nil, toError(e)
	}
	conn := newStream(s, ep, wq, k.name)
	if err := s.add(conn); err != nil {
		conn.end(conn, err)
		return nil, err
	}
	e = ep.Connect(toFull(to))
	if _, ok := e.(*tcpip.ErrConnectStarted); ok {
		local, _ := conn.addrs()
		s.bind(&conn.conn, local.Addr())
		if err := s.connecting(ctx, conn); err != nil {
			conn.end(conn, err)
			return nil, err
		}
		e = ep.LastError()
	}
	if e != nil {
		err := conn.why(e)
		conn.end(conn, err)
		return nil, err
	}
	conn.connected()
	return conn, nil
}

// connecting waits for the end of a handshake.
func (s *Stack) connecting(ctx context.Context, conn *stream) error {
	for {
		changed, ended := s.state()
		if ended != nil {
			return ended
		}
		select {
		case <-conn.writable:
			return nil
		case <-conn.done:
			return conn.cause
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// bind makes a flow fail when the stack loses the address a.
func (s *Stack) bind(c *conn, a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.bound = a
}

// connect returns a socket for datagrams to one address.
func (s *Stack) connect(c *core, k kind, to netip.AddrPort) (net.Conn, error) {
	wq := new(waiter.Queue)
	proto := udp.ProtocolNumber
	if k.proto == "icmp" {
		proto = icmp.ProtocolNumber4
		if protocolOf(to.Addr()) == header.IPv6ProtocolNumber {
			proto = icmp.ProtocolNumber6
		}
	}
	ep, e := c.gv.NewEndpoint(proto, protocolOf(to.Addr()), wq)
	if e != nil {
		return nil, toError(e)
	}
	conn := newDatagram(s, ep, wq, k.name)
	if e := ep.Connect(toFull(to)); e != nil {
		conn.end(conn, net.ErrClosed)
		return nil, toError(e)
	}
	conn.remote = to
	local, _ := conn.addrs()
	conn.bound = local.Addr()
	if err := s.add(conn); err != nil {
		conn.end(conn, err)
		return nil, err
	}
	return conn, nil
}
