package netstack

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// serverTimeout is how long a name server is waited for when there is another.
const serverTimeout = 1500 * time.Millisecond

var errNoServers = errors.New("netstack: the tunnel has named no name servers")

// Resolver asks the tunnel's name servers, those of the last Configure, one after the other until one answers, which is
// asked first from then on; never the system's. The rest is as for any net.Resolver with PreferGo: the system's file of hosts comes first, and its list of
// domains to search applies.
func (s *Stack) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: s.dialDNS}
}

// dialDNS connects to the tunnel's name servers, in the place of the system's, which net.Resolver names.
func (s *Stack) dialDNS(ctx context.Context, network, _ string) (net.Conn, error) {
	if _, err := s.await(ctx); err != nil {
		return nil, err
	}
	servers := s.servers()
	if len(servers) == 0 {
		return nil, errNoServers
	}
	if network[:3] == "udp" {
		return &query{stack: s, ctx: ctx, servers: servers}, nil
	}
	var first error
	for i, a := range servers {
		one, cancel := ctx, context.CancelFunc(func() {})
		if i < len(servers)-1 {
			one, cancel = context.WithTimeout(ctx, serverTimeout)
		}
		c, err := s.DialContext(one, "tcp", netip.AddrPortFrom(a, 53).String())
		cancel()
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// servers returns the name servers in the order in which they are to be asked.
func (s *Stack) servers() []netip.Addr {
	s.mu.Lock()
	servers, good := slices.Clone(s.nameServers()), s.goodDNS
	s.mu.Unlock()
	if i := slices.Index(servers, good); i > 0 {
		servers = slices.Insert(slices.Delete(servers, i, i+1), 0, good)
	}
	return slices.DeleteFunc(servers, func(a netip.Addr) bool { return !s.reaches(a) })
}

// answered remembers who does.
func (s *Stack) answered(server netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.goodDNS = server
}

// A query is the connection that a net.Resolver asks one question over. It asks one server after the other: what is
// written is sent to the first, and again to the next when that does not answer in time or does not want to.
type query struct {
	stack   *Stack
	ctx     context.Context
	servers []netip.Addr

	mu       sync.Mutex
	question []byte
	asked    int
	deadline time.Time
	conn     net.Conn // to servers[asked-1]
	closed   bool
}

// A net.Resolver frames questions as for UDP if the connection is a net.PacketConn.
var _ net.PacketConn = (*query)(nil)

// Write asks the first server.
func (q *query) Write(b []byte) (int, error) {
	q.mu.Lock()
	q.question, q.asked = slices.Clone(b), 0
	q.mu.Unlock()
	return len(b), q.ask()
}

// ask asks the next server.
func (q *query) ask() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conn != nil {
		q.conn.Close()
		q.conn = nil
	}
	if q.closed {
		return net.ErrClosed
	}
	server := netip.AddrPortFrom(q.servers[q.asked], 53)
	q.asked++
	c, err := q.stack.DialContext(q.ctx, "udp", server.String())
	if err != nil {
		return err
	}
	q.conn = c
	wait := q.deadline
	if soon := time.Now().Add(serverTimeout); q.asked < len(q.servers) && (wait.IsZero() || soon.Before(wait)) {
		wait = soon
	}
	c.SetDeadline(wait)
	_, err = c.Write(q.question)
	return err
}

// Read waits for an answer.
func (q *query) Read(b []byte) (int, error) {
	for {
		q.mu.Lock()
		c, last, deadline := q.conn, q.asked >= len(q.servers), q.deadline
		server := q.servers[max(q.asked-1, 0)]
		q.mu.Unlock()
		if c == nil {
			return 0, net.ErrClosed
		}
		n, err := c.Read(b)
		late := !deadline.IsZero() && !time.Now().Before(deadline)
		switch {
		case err == nil && !unwilling(b[:n]):
			q.stack.answered(server)
			return n, nil
		case last, late && err != nil, errors.Is(err, net.ErrClosed):
			return n, err
		}
		if err := q.ask(); err != nil {
			return 0, err
		}
	}
}

// unwilling reports whether an answer says that another server should be asked: SERVFAIL, NOTIMP or REFUSED, RFC 1035
// section 4.1.1.
func unwilling(answer []byte) bool {
	if len(answer) < 12 {
		return false
	}
	code := answer[3] & 0xf
	return code == 2 || code == 4 || code == 5
}

func (q *query) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if q.conn == nil {
		return nil
	}
	return q.conn.Close()
}

func (q *query) SetDeadline(t time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deadline = t
	if q.conn != nil {
		return q.conn.SetDeadline(t)
	}
	return nil
}

func (q *query) SetReadDeadline(t time.Time) error  { return q.SetDeadline(t) }
func (q *query) SetWriteDeadline(t time.Time) error { return q.SetDeadline(t) }

func (q *query) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := q.Read(b)
	return n, q.RemoteAddr(), err
}

func (q *query) WriteTo(b []byte, _ net.Addr) (int, error) { return q.Write(b) }

func (q *query) LocalAddr() net.Addr { return &net.UDPAddr{} }

func (q *query) RemoteAddr() net.Addr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(q.servers[0], 53))
}
