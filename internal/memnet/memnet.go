// Package memnet is a network in memory for tests, also under testing/synctest: what waits in it is durably blocked, and
// it behaves as the poller's connections do. A past deadline fails a Read even when data is buffered; the error is
// os.ErrDeadlineExceeded; closing wakes both sides.
package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// DefaultBuffer is how many bytes a direction holds before Write waits.
const DefaultBuffer = 64 << 10

// A Conn is one end of a connection.
type Conn struct {
	in, out       *half
	local, remote net.Addr
	hooks         hooks
}

// Pipe returns the two ends of a connection whose directions hold buffer bytes each; 0 means DefaultBuffer.
func Pipe(a, b netip.AddrPort, buffer int) (*Conn, *Conn) {
	if buffer == 0 {
		buffer = DefaultBuffer
	}
	up, down := newHalf(buffer), newHalf(buffer)
	ca := &Conn{in: down, out: up, local: net.TCPAddrFromAddrPort(a), remote: net.TCPAddrFromAddrPort(b)}
	cb := &Conn{in: up, out: down, local: ca.remote, remote: ca.local}
	return ca, cb
}

// Read waits for at least one byte.
func (c *Conn) Read(b []byte) (int, error) {
	if err := c.hooks.read(c); err != nil {
		return 0, c.opError("read", err)
	}
	n, err := c.in.read(b)
	return n, c.opError("read", err)
}

// Write waits until everything is in the buffer.
func (c *Conn) Write(b []byte) (int, error) {
	if err := c.hooks.write(c); err != nil {
		return 0, c.opError("write", err)
	}
	n, err := c.out.write(b)
	return n, c.opError("write", err)
}

// TryWrite writes what the buffer takes now, without waiting; n may be less than len(b) with a nil error.
func (c *Conn) TryWrite(b []byte) (int, error) {
	if err := c.hooks.write(c); err != nil {
		return 0, c.opError("write", err)
	}
	n, err := c.out.tryWrite(b)
	return n, c.opError("write", err)
}

// WaitWrite waits until TryWrite takes something or fails.
func (c *Conn) WaitWrite() error { return c.opError("write", c.out.waitWrite()) }

// WaitRead waits until a Read would not.
func (c *Conn) WaitRead() error { return c.opError("read", c.in.waitRead()) }

// TryRead reads what is there, without waiting; 0, nil when there is nothing.
func (c *Conn) TryRead(b []byte) (int, error) {
	if err := c.hooks.read(c); err != nil {
		return 0, c.opError("read", err)
	}
	n, err := c.in.tryRead(b)
	return n, c.opError("read", err)
}

// Close ends the connection as a TCP close does: the far side reads what is buffered, then io.EOF.
func (c *Conn) Close() error {
	c.in.shut(net.ErrClosed, syscall.EPIPE)
	c.out.shut(io.EOF, net.ErrClosed)
	return nil
}

// Cut breaks the connection: both ends fail at once, with ECONNRESET, and what is buffered is lost.
func (c *Conn) Cut() {
	c.in.cut()
	c.out.cut()
}

// Buffered is how many bytes wait to be read at this end.
func (c *Conn) Buffered() int {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return len(c.in.buf)
}

func (c *Conn) LocalAddr() net.Addr  { return c.local }
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

func (c *Conn) SetDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	c.out.setWriteDeadline(t)
	return nil
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	return nil
}

func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setWriteDeadline(t)
	return nil
}

func (c *Conn) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// A half is one direction.
type half struct {
	mu     sync.Mutex
	wake   chan struct{} // closed and renewed on every change
	buf    []byte
	base   []byte // buf's array, from its beginning
	max    int
	rd, wd time.Time
	rerr   error // what a reader gets when buf is empty
	werr   error // what a writer gets
	reset  bool
}

func newHalf(max int) *half { return &half{max: max, wake: make(chan struct{})} }

// changed wakes whoever waits; mu is held.
func (h *half) changed() {
	close(h.wake)
	h.wake = make(chan struct{})
}

// wait unlocks, waits for a change or the deadline, and locks again.
func (h *half) wait(deadline time.Time) {
	wake := h.wake
	h.mu.Unlock()
	defer h.mu.Lock()
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

func past(t time.Time) bool { return !t.IsZero() && !t.After(time.Now()) }

// readable waits for data; mu is held. nil means that buf is not empty.
func (h *half) readable() error {
	for {
		switch {
		case h.reset || h.rerr == net.ErrClosed:
			return h.rerr
		case past(h.rd):
			return os.ErrDeadlineExceeded
		case len(h.buf) > 0:
			return nil
		case h.rerr != nil:
			return h.rerr
		}
		h.wait(h.rd)
	}
}

func (h *half) waitRead() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.readable()
}

func (h *half) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	if err := h.readable(); err != nil {
		return 0, err
	}
	return h.take(b), nil
}

func (h *half) tryRead(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.reset || h.rerr == net.ErrClosed:
		return 0, h.rerr
	case len(h.buf) > 0:
		return h.take(b), nil
	}
	return 0, h.rerr
}

func (h *half) take(b []byte) int {
	n := copy(b, h.buf)
	if h.buf = h.buf[n:]; len(h.buf) == 0 {
		h.buf = h.base[:0]
	}
	h.changed()
	return n
}

// put takes what there is room for; mu is held.
func (h *half) put(b []byte) int {
	n := max(0, min(h.max-len(h.buf), len(b)))
	if n == 0 {
		return 0
	}
	fresh := len(h.buf) == 0
	h.buf = append(h.buf, b[:n]...)
	if fresh {
		h.base = h.buf // the largest array so far is used again
	}
	h.changed()
	return n
}

// write writes all of b, waiting for room.
func (h *half) write(b []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.werr != nil:
			return n, h.werr
		case past(h.wd):
			return n, os.ErrDeadlineExceeded
		}
		if n += h.put(b[n:]); n == len(b) {
			return n, nil
		}
		h.wait(h.wd)
	}
}

func (h *half) tryWrite(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.werr != nil {
		return 0, h.werr
	}
	return h.put(b), nil
}

func (h *half) waitWrite() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case past(h.wd) && h.werr != net.ErrClosed:
			return os.ErrDeadlineExceeded
		case h.werr != nil:
			return h.werr
		case len(h.buf) < h.max:
			return nil
		}
		h.wait(h.wd)
	}
}

func (h *half) shut(rerr, werr error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rerr == nil || rerr == net.ErrClosed && !h.reset {
		h.rerr = rerr
	}
	if h.werr == nil || werr == net.ErrClosed && !h.reset {
		h.werr = werr
	}
	h.changed()
}

func (h *half) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rerr, h.werr, h.reset, h.buf = syscall.ECONNRESET, syscall.ECONNRESET, true, nil
	h.changed()
}

func (h *half) setReadDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rd = t
	h.changed()
}

func (h *half) setWriteDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wd = t
	h.changed()
}

// A Listener accepts what its Dial makes.
type Listener struct {
	Buffer int // of each connection; 0 means DefaultBuffer

	addr   netip.AddrPort
	queue  chan *Conn
	done   chan struct{}
	once   sync.Once
	mu     sync.Mutex
	port   uint16
	client []*Conn
}

// Listen returns a Listener at an address.
func Listen(addr netip.AddrPort) *Listener {
	return &Listener{addr: addr, queue: make(chan *Conn), done: make(chan struct{}), port: 1024}
}

// Accept waits for a Dial.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close ends Accept and Dial; connections live on.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is the listener's address.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// ErrRefused is what a Dial to a closed Listener gets.
var ErrRefused = errors.New("memnet: connection refused")

// Dial connects from 192.0.2.1 and a fresh port. Its signature is that of a net dialer; the address is not looked at.
func (l *Listener) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	l.port++
	port := l.port
	l.mu.Unlock()
	return l.DialFrom(ctx, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), port))
}

// DialFrom connects from an address.
func (l *Listener) DialFrom(ctx context.Context, from netip.AddrPort) (*Conn, error) {
	client, server := Pipe(from, l.addr, l.Buffer)
	select {
	case l.queue <- server:
		l.mu.Lock()
		l.client = append(l.client, client)
		l.mu.Unlock()
		return client, nil
	case <-l.done:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: l.Addr(), Err: ErrRefused}
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: l.Addr(), Err: ctx.Err()}
	}
}

// Cut breaks every connection made so far.
func (l *Listener) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.client {
		c.Cut()
	}
	l.client = nil
}
