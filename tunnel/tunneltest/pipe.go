// Package tunneltest has links and devices in memory, for tests; they work under testing/synctest.
//
//	a, b := tunneltest.Pipe(netip.MustParsePrefix("10.8.0.1/32"), netip.MustParsePrefix("10.8.0.2/32"))
//	go router.ServeLink(ctx, a)
//	go b.Serve(ctx, func(bufs [][]byte, offset int) (int, error) { ...; return len(bufs), nil })
//
// They keep the contracts of package tunnel strictly: what is lent to a callee is overwritten when it returns, so a test
// finds out who keeps a buffer.
package tunneltest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/dialway/dialway/tunnel"
)

const (
	mtu      = 1400
	batch    = 8
	headroom = 16
	queue    = 1024 // packets; what comes when they wait is dropped, as a link does
	poison   = 0xDB
)

// Pipe returns two links joined in memory: what is written to one is served by the other. The first has a's address and
// its far side has b, the second the other way round: a and b are what each end owns, such as 10.8.0.1/32 or 10.1.0.0/16.
// When one end closes, the other's Serve returns too, once it has handed on what waits. MTU is 1400.
func Pipe(a, b netip.Prefix) (tunnel.Link, tunnel.Link) {
	x, y := newLink(a, b), newLink(b, a)
	x.far, y.far = y, x
	return x, y
}

type link struct {
	addr  netip.Addr
	peers netip.Prefix
	far   *link

	mu      sync.Mutex
	in      packets // what the far side sent
	serving bool
	closed  bool
}

func newLink(own, peers netip.Prefix) *link {
	l := &link{addr: own.Addr(), peers: peers.Masked()}
	l.in.cond.L = &l.mu
	return l
}

var errClosed = fmt.Errorf("tunneltest: link closed: %w", net.ErrClosed)

// Write puts packets, as copies, into the far side's queue.
func (l *link) Write(bufs [][]byte, offset int) (n int, err error) {
	if l.isClosed() {
		return 0, errClosed
	}
	f := l.far
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, errClosed
	}
	for _, b := range bufs {
		if len(b) <= offset || len(b)-offset > mtu || len(f.in.queue) == queue {
			continue
		}
		f.in.put(b[offset:])
		n++
	}
	return n, nil
}

// Serve hands on what the far side wrote.
func (l *link) Serve(ctx context.Context, to func(bufs [][]byte, offset int) (n int, err error)) error {
	l.mu.Lock()
	if l.serving {
		l.mu.Unlock()
		return errors.New("tunneltest: link is served already")
	}
	l.serving = true
	l.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	var bufs [][]byte
	for {
		l.mu.Lock()
		taken := l.in.take(batch, func() bool { return l.closed })
		l.mu.Unlock()
		if ctx.Err() != nil {
			return fmt.Errorf("tunneltest: %w: %w", net.ErrClosed, context.Cause(ctx))
		}
		if len(taken) == 0 {
			return errClosed
		}
		bufs = bufs[:0]
		for _, p := range taken {
			b := make([]byte, headroom+len(p))
			copy(b[headroom:], p)
			bufs = append(bufs, b)
		}
		lent := slices.Clone(bufs)
		_, err := to(bufs, headroom)
		for _, b := range lent {
			for i := range b {
				b[i] = poison
			}
		}
		if err != nil {
			return fmt.Errorf("tunneltest: %w", err)
		}
	}
}

func (l *link) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *link) Addrs() []netip.Addr      { return []netip.Addr{l.addr} }
func (l *link) Prefixes() []netip.Prefix { return []netip.Prefix{l.peers} }
func (l *link) DNS() []netip.Addr        { return nil }
func (l *link) MTU() int                 { return mtu }

// Close ends both links; what waits is still served.
func (l *link) Close() error {
	for _, x := range []*link{l, l.far} {
		x.mu.Lock()
		x.closed = true
		x.in.cond.Broadcast()
		x.mu.Unlock()
	}
	return nil
}

// packets is a queue of copies. Its cond's lock guards it.
type packets struct {
	cond  sync.Cond
	queue [][]byte
}

func (q *packets) put(p []byte) {
	q.queue = append(q.queue, slices.Clone(p))
	q.cond.Broadcast()
}

// take waits for packets until done, and returns at most n of them.
func (q *packets) take(n int, done func() bool) [][]byte {
	for len(q.queue) == 0 {
		if done() {
			return nil
		}
		q.cond.Wait()
	}
	n = min(n, len(q.queue))
	taken := slices.Clone(q.queue[:n])
	q.queue = slices.Delete(q.queue, 0, n)
	return taken
}
