package tlsconn

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A pump gives read deadlines to a stream that has none (an ssh channel, a pipe), by a goroutine that reads it. The
// goroutine ends when the stream is closed, if closing ends the stream's Read.
type pump struct {
	Stream

	mu       sync.Mutex
	wake     chan struct{} // closed and renewed on every change
	buf      []byte
	err      error
	deadline time.Time
}

// pumpBuffer bounds what is read ahead.
const pumpBuffer = 64 << 10

func newPump(c Stream) *pump {
	p := &pump{Stream: c, wake: make(chan struct{})}
	go p.run()
	return p
}

func (p *pump) run() {
	b := make([]byte, chunk)
	for {
		n, err := p.Stream.Read(b)
		if n == 0 && err == nil {
			err = io.ErrNoProgress
		}
		p.mu.Lock()
		for len(p.buf)+n > pumpBuffer && p.err == nil {
			p.wait(time.Time{})
		}
		p.buf = append(p.buf, b[:n]...)
		if p.err == nil {
			p.err = err
		}
		p.changed()
		over := p.err != nil
		p.mu.Unlock()
		if over {
			return
		}
	}
}

// Read waits until the goroutine has read something.
func (p *pump) Read(b []byte) (int, error) {
	if err := p.WaitRead(); err != nil {
		return 0, err
	}
	return p.TryRead(b)
}

// WaitRead implements readPoller.
func (p *pump) WaitRead() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case !p.deadline.IsZero() && !p.deadline.After(time.Now()):
			return os.ErrDeadlineExceeded
		case len(p.buf) > 0 || p.err != nil:
			return nil
		}
		p.wait(p.deadline)
	}
}

// TryRead implements readPoller.
func (p *pump) TryRead(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.buf) == 0 {
		return 0, p.err
	}
	n := copy(b, p.buf)
	if p.buf = p.buf[:copy(p.buf, p.buf[n:])]; len(p.buf) == 0 {
		p.buf = nil // an idle stream holds none
	}
	p.changed()
	return n, nil
}

// changed wakes whoever waits; mu is held.
func (p *pump) changed() {
	close(p.wake)
	p.wake = make(chan struct{})
}

// wait waits for a change or the deadline; mu is held, but not while it waits.
func (p *pump) wait(deadline time.Time) {
	wake := p.wake
	p.mu.Unlock()
	defer p.mu.Lock()
	if deadline.IsZero() {
		<-wake
		return
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case <-wake:
	case <-t.C:
	}
}

// SetReadDeadline gives the stream what it lacks.
func (p *pump) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	p.changed()
	return nil
}

// Close wakes whoever waits and closes the stream, which may take its time.
func (p *pump) Close() error {
	p.mu.Lock()
	p.err, p.buf = net.ErrClosed, nil
	p.changed()
	p.mu.Unlock()
	return p.Stream.Close()
}
