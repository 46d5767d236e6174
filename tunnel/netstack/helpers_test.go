package netstack

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

var (
	addrA = netip.MustParseAddr("10.8.0.1")
	addrB = netip.MustParseAddr("10.8.0.2")
)

// A host is a stack that is served by a link.
type host struct {
	*Stack
	link  tunnel.Link
	ended chan error // what Serve returned
}

// serve serves l with s until the test ends.
func serve(t testing.TB, s *Stack, l tunnel.Link) *host {
	h := &host{s, l, make(chan error, 1)}
	go func() { h.ended <- s.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		s.Close()
		l.Close()
	})
	return h
}

// link is a Link with addresses and name servers of its own.
type link struct {
	tunnel.Link
	addrs []netip.Addr
	dns   []netip.Addr
	mtu   int
	err   error // what Serve returns instead
}

func (l *link) Addrs() []netip.Addr { return l.addrs }
func (l *link) DNS() []netip.Addr   { return l.dns }

func (l *link) MTU() int {
	if l.mtu > 0 {
		return l.mtu
	}
	return l.Link.MTU()
}

func (l *link) Serve(ctx context.Context, to func([][]byte, int) (int, error)) error {
	err := l.Link.Serve(ctx, to)
	if l.err != nil {
		return l.err
	}
	return err
}

// pipe returns two ends of a link; both ends may send from any address.
func pipe(a, b []netip.Addr) (*link, *link) {
	x, y := tunneltest.Pipe(netip.MustParsePrefix("10.8.0.1/32"), netip.MustParsePrefix("10.8.0.2/32"))
	return &link{Link: x, addrs: a}, &link{Link: y, addrs: b}
}

// pair returns two stacks that are joined.
func pair(t testing.TB) (a, b *host) {
	x, y := pipe([]netip.Addr{addrA}, []netip.Addr{addrB})
	return serve(t, new(Stack), x), serve(t, new(Stack), y)
}

func listen(t testing.TB, s *host, network, address string) net.Listener {
	t.Helper()
	l, err := s.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dial(t testing.TB, s *host, network, address string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := s.DialContext(ctx, network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// connected returns the two ends of a connection from a to b.
func connected(t testing.TB, a, b *host) (x, y net.Conn) {
	t.Helper()
	l := listen(t, b, "tcp", ":0")
	defer l.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		if y, err = l.Accept(); err != nil {
			t.Error(err)
		}
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	x = dial(t, a, "tcp", net.JoinHostPort(addrB.String(), port))
	wg.Wait()
	if y == nil {
		t.FailNow()
	}
	t.Cleanup(func() { y.Close() })
	return x, y
}

// goroutines returns how many there are, and their stacks, once there are at most n or a while has passed.
func goroutines(n int) (count int, all string) {
	for range 100 {
		if count = runtime.NumGoroutine(); count <= n {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	b := make([]byte, 1<<20)
	return count, string(b[:runtime.Stack(b, true)])
}
