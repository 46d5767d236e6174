package ppp

import (
	"bytes"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// A pipeEnd is one end of a FrameConn in memory, for testing/synctest. It behaves as a transport does: a deadline in the
// past fails a read even when frames wait, closing wakes both ends.
type pipeEnd struct {
	mu       sync.Mutex
	queue    [][]byte
	lent     [][]byte
	wake     chan struct{} // closed and renewed on every change
	deadline time.Time
	closed   bool
	peer     *pipeEnd

	binds bool // this transport binds
	bound bool
	drop  func(frame []byte) bool // true: the frame that this end sends is lost
	send  []byte
	recv  []byte
	max   int
}

func newPipe() (a, b *pipeEnd) {
	a, b = &pipeEnd{wake: make(chan struct{}), max: 4091}, &pipeEnd{wake: make(chan struct{}), max: 4091}
	a.peer, b.peer = b, a
	a.bound, b.bound = true, true
	return a, b
}

func (p *pipeEnd) changed() {
	close(p.wake)
	p.wake = make(chan struct{})
}

func (p *pipeEnd) ReadFrames() ([][]byte, error) {
	for _, f := range p.lent {
		for i := range f {
			f[i] = 0xdb // what was lent is worth nothing any more
		}
	}
	p.lent = nil
	for {
		p.mu.Lock()
		wake, deadline := p.wake, p.deadline
		switch {
		case !deadline.IsZero() && !deadline.After(time.Now()):
			p.mu.Unlock()
			return nil, os.ErrDeadlineExceeded
		case len(p.queue) > 0:
			frames := p.queue
			p.queue = nil
			p.mu.Unlock()
			p.lent = append([][]byte(nil), frames...)
			return frames, nil
		case p.closed:
			p.mu.Unlock()
			return nil, net.ErrClosed
		}
		p.mu.Unlock()
		if deadline.IsZero() {
			<-wake
			continue
		}
		t := time.NewTimer(time.Until(deadline))
		select {
		case <-wake:
		case <-t.C:
		}
		t.Stop()
	}
}

func (p *pipeEnd) put(f []byte) {
	if p.drop != nil && p.drop(f) {
		return
	}
	q := p.peer
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.queue = append(q.queue, bytes.Clone(f))
	q.changed()
}

func (p *pipeEnd) WriteFrames(header []byte, bufs [][]byte, offset int) (int, error) {
	for _, b := range bufs {
		p.put(append(bytes.Clone(header), b[offset:]...))
	}
	return len(bufs), nil
}

func (p *pipeEnd) WriteControl(f []byte) error {
	p.put(f)
	return nil
}

func (p *pipeEnd) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	p.changed()
	return nil
}

func (p *pipeEnd) Bind(send, recv []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.send, p.recv = send, recv
	return nil
}

func (p *pipeEnd) setBound() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bound = true
	p.changed()
}

func (p *pipeEnd) Bound() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bound
}

func (p *pipeEnd) Binds() bool   { return p.binds }
func (p *pipeEnd) MaxFrame() int { return p.max }

func (p *pipeEnd) Close() error {
	for _, e := range []*pipeEnd{p, p.peer} {
		e.mu.Lock()
		if !e.closed {
			e.closed = true
			e.changed()
		}
		e.mu.Unlock()
	}
	return nil
}

var _ FrameConn = (*pipeEnd)(nil)

// ends opens both ends and fails the test if either does not.
func ends(t *testing.T, client, server *Config) (c, s *Conn) {
	t.Helper()
	a, b := newPipe()
	c, s = Client(a, Call{Tunnel: "test", Verified: true}, client), Server(b, Call{Tunnel: "test"}, server)
	openBoth(t, c, s)
	return c, s
}

func openBoth(t *testing.T, c, s *Conn) {
	t.Helper()
	failed := make(chan error, 1)
	go func() { failed <- s.Open(t.Context()) }()
	if err := c.Open(t.Context()); err != nil {
		t.Errorf("client: %v", err)
	}
	if err := <-failed; err != nil {
		t.Errorf("server: %v", err)
	}
}
