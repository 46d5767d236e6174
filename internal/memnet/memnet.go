// Package memnet is a network in memory for tests, also under testing/synctest: what waits in it is durably blocked, and
// it behaves as the poller's connections do. A past deadline fails a Read even when data is buffered; the error is
// os.ErrDeadlineExceeded; closing wakes both sides.
package memnet

import (
	"io"
	"net"
	"net/netip"
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
