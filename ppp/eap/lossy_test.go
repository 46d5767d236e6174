package eap_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A lossyEnd is one end of a ppp.FrameConn in memory that loses or doubles EAP packets.
type lossyEnd struct {
	mu       sync.Mutex
	queue    [][]byte
	wake     chan struct{} // closed and renewed on every change
	deadline time.Time
	closed   bool
	peer     *lossyEnd

	touch      func(pkt []byte) int // how often an EAP packet of this end arrives
	send, recv []byte
}

func lossyPipe() (a, b *lossyEnd) {
	a, b = &lossyEnd{wake: make(chan struct{})}, &lossyEnd{wake: make(chan struct{})}
	a.peer, b.peer = b, a
	return a, b
}

func (p *lossyEnd) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.wake)
	p.wake = make(chan struct{})
}

func (p *lossyEnd) ReadFrames() ([][]byte, error) {
	for {
		p.mu.Lock()
		wake, deadline, closed, queue := p.wake, p.deadline, p.closed, p.queue
		if !deadline.IsZero() && !deadline.After(time.Now()) {
			p.mu.Unlock()
			return nil, os.ErrDeadlineExceeded
		}
		p.queue = nil
		p.mu.Unlock()
		switch {
		case len(queue) > 0:
			return queue, nil
		case closed:
			return nil, net.ErrClosed
		}
		var late <-chan time.Time
		if !deadline.IsZero() {
			t := time.NewTimer(time.Until(deadline))
			defer t.Stop()
			late = t.C
		}
		select {
		case <-wake:
		case <-late:
		}
	}
}

func (p *lossyEnd) WriteControl(f []byte) error {
	n := 1
	if i := bytes.Index(f, []byte{0xc2, 0x27}); p.touch != nil && (i == 0 || i == 2) {
		n = p.touch(f[i+2:])
	}
	for range n {
		p.peer.change(func() { p.peer.queue = append(p.peer.queue, bytes.Clone(f)) })
	}
	return nil
}

func (p *lossyEnd) WriteFrames(header []byte, bufs [][]byte, offset int) (int, error) {
	for _, b := range bufs {
		p.WriteControl(append(bytes.Clone(header), b[offset:]...))
	}
	return len(bufs), nil
}

func (p *lossyEnd) SetReadDeadline(t time.Time) error {
	p.change(func() { p.deadline = t })
	return nil
}

func (p *lossyEnd) Bind(send, recv []byte) error { p.send, p.recv = send, recv; return nil }
func (p *lossyEnd) Bound() bool                  { return true }
func (p *lossyEnd) Binds() bool                  { return false }
func (p *lossyEnd) MaxFrame() int                { return 4091 }

func (p *lossyEnd) Close() error {
	for _, e := range []*lossyEnd{p, p.peer} {
		e.change(func() { e.closed = true })
	}
	return nil
}

// link opens a link and returns the EAP packets of both ends, and the errors.
func link(t *testing.T, m method, touch func(server bool, n int, pkt []byte) int) (packets map[bool]int, err [2]error) {
	t.Helper()
	a, b := lossyPipe()
	packets = map[bool]int{}
	var mu sync.Mutex
	for server, end := range map[bool]*lossyEnd{false: a, true: b} {
		end.touch = func(pkt []byte) int {
			mu.Lock()
			defer mu.Unlock()
			packets[server]++
			return touch(server, packets[server], pkt)
		}
	}
	c, s := ppp.Client(a, ppp.Call{Verified: true}, clientPPP(m.peer)), ppp.Server(b, ppp.Call{}, serverPPP(m.server))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { err[0] = c.Open(ctx) })
	wg.Go(func() { err[1] = s.Open(ctx) })
	wg.Wait()
	if err[0] == nil && err[1] == nil {
		if len(a.send) != 32 || !bytes.Equal(a.send, b.recv) || !bytes.Equal(a.recv, b.send) {
			t.Errorf("keys: client %x %x, server %x %x", a.send, a.recv, b.send, b.recv)
		}
		if u := s.Info().User; u != "alice" {
			t.Errorf("user %q", u)
		}
	}
	c.Close()
	s.Close()
	sink := func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil }
	wg.Go(func() { c.Serve(t.Context(), sink) })
	wg.Go(func() { s.Serve(t.Context(), sink) })
	wg.Wait()
	return packets, err
}

// Each EAP packet of either end lost once, and doubled: the link opens all the same. A Success is not repeated (RFC 3748
// section 4.2): where it is lost, what the network protocols send behind it says the same, at once.
func TestLostAndDoubledPackets(t *testing.T) {
	for _, m := range methods() {
		t.Run(m.name, func(t *testing.T) {
			var whole map[bool]int
			synctest.Test(t, func(t *testing.T) {
				var err [2]error
				if whole, err = link(t, m, func(bool, int, []byte) int { return 1 }); err[0] != nil || err[1] != nil {
					t.Fatal(err)
				}
			})
			for _, server := range []bool{false, true} {
				for n := 1; n <= whole[server]; n++ {
					for _, times := range []int{0, 2, 3} {
						synctest.Test(t, func(t *testing.T) {
							success := false
							start := time.Now()
							_, err := link(t, m, func(s bool, i int, pkt []byte) int {
								if s != server || i != n {
									return 1
								}
								success = pkt[0] == 3
								return times
							})
							what := fmt.Sprintf("packet %d of the server (%v), %d times", n, server, times)
							switch {
							case err[0] != nil || err[1] != nil:
								t.Errorf("%s: %v", what, err)
							case success && time.Since(start) > time.Second:
								t.Errorf("%s: open after %v", what, time.Since(start))
							}
						})
					}
				}
			}
		})
	}
}
