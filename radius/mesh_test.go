package radius

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"
)

// A mesh is a network of datagrams in memory.
type mesh struct {
	mu    sync.Mutex
	nodes map[netip.AddrPort]*node
	next  uint16
	// pass sees each datagram, and says what arrives instead; nil: all as they are.
	pass func(from, to netip.AddrPort, b []byte) [][]byte
}

type datagram struct {
	from netip.AddrPort
	b    []byte
}

// A node is a net.PacketConn, and a net.Conn where it has a peer.
type node struct {
	mesh  *mesh
	local netip.AddrPort
	peer  netip.AddrPort
	in    chan datagram
	done  chan struct{}
	once  sync.Once

	mu       sync.Mutex
	deadline chan struct{} // closed when reading is over
}

func newMesh() *mesh { return &mesh{nodes: make(map[netip.AddrPort]*node)} }

func (m *mesh) listen(addr string) *node {
	n := &node{mesh: m, local: netip.MustParseAddrPort(addr), in: make(chan datagram, 4096), done: make(chan struct{}), deadline: make(chan struct{})}
	m.mu.Lock()
	m.nodes[n.local] = n
	m.mu.Unlock()
	return n
}

// dial fits Client.Dial: from is the client's address.
func (m *mesh) dial(from string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		peer, err := netip.ParseAddrPort(addr)
		if err != nil {
			return nil, err
		}
		m.mu.Lock()
		m.next++
		port := 10000 + m.next
		m.mu.Unlock()
		n := m.listen(netip.AddrPortFrom(netip.MustParseAddr(from), port).String())
		n.peer = peer
		return n, nil
	}
}

func (m *mesh) send(from, to netip.AddrPort, b []byte) {
	m.mu.Lock()
	pass, n := m.pass, m.nodes[to]
	m.mu.Unlock()
	list := [][]byte{b}
	if pass != nil {
		list = pass(from, to, b)
	}
	if n == nil {
		return
	}
	for _, b := range list {
		select {
		case n.in <- datagram{from, append([]byte(nil), b...)}:
		default:
		}
	}
}

func (n *node) ReadFrom(b []byte) (int, net.Addr, error) {
	n.mu.Lock()
	over := n.deadline
	n.mu.Unlock()
	select {
	case d := <-n.in:
		return copy(b, d.b), net.UDPAddrFromAddrPort(d.from), nil
	case <-n.done:
		return 0, nil, net.ErrClosed
	case <-over:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (n *node) Read(b []byte) (int, error) {
	for {
		k, from, err := n.ReadFrom(b)
		if err != nil || from.(*net.UDPAddr).AddrPort() == n.peer {
			return k, err
		}
	}
}

func (n *node) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-n.done:
		return 0, net.ErrClosed
	default:
	}
	n.mesh.send(n.local, to.(*net.UDPAddr).AddrPort(), b)
	return len(b), nil
}

func (n *node) Write(b []byte) (int, error) {
	n.mesh.send(n.local, n.peer, b)
	return len(b), nil
}

func (n *node) Close() error {
	n.once.Do(func() {
		close(n.done)
		n.mesh.mu.Lock()
		if n.mesh.nodes[n.local] == n {
			delete(n.mesh.nodes, n.local)
		}
		n.mesh.mu.Unlock()
	})
	return nil
}

func (n *node) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(n.local) }
func (n *node) RemoteAddr() net.Addr             { return net.UDPAddrFromAddrPort(n.peer) }
func (n *node) SetDeadline(time.Time) error      { return nil }
func (n *node) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline only takes deadlines that have passed.
func (n *node) SetReadDeadline(t time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.deadline:
	default:
		close(n.deadline)
	}
	return nil
}

// serve runs a Server on a node until the test ends.
func serve(t *testing.T, s *Server, pc net.PacketConn) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Serve(pc) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
}

const testSecret Secret = "correct horse battery staple"

var anybody = Secrets{netip.MustParsePrefix("0.0.0.0/0"): testSecret}
