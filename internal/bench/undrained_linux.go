package main

import (
	"encoding/binary"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// An undrained listener's connections look as if a record were always alone. So a session takes each as far as the device
// before it reads the next, as it would if it did not drain.
type undrained struct{ net.Listener }

func (l undrained) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t := c.(*net.TCPConn)
	raw, err := t.SyscallConn()
	return &singleConn{TCPConn: t, raw: raw, buf: make([]byte, 128<<10)}, err
}

// A singleConn reads and writes without waiting, as the library's own connections do, and buffers as they do, but gives
// out one record and then nothing.
type singleConn struct {
	*net.TCPConn
	raw   syscall.RawConn
	buf   []byte
	r, w  int
	rest  int  // of the present record
	ended bool // a record has: nothing is here, once
}

func (c *singleConn) TryRead(b []byte) (int, error) {
	if c.ended {
		c.ended = false
		return 0, nil
	}
	if c.w-c.r < 5 || c.rest == 0 && c.w-c.r < c.length() {
		if n, err := c.fill(); n == 0 || err != nil {
			return 0, err
		}
	}
	if c.rest == 0 {
		if c.w-c.r < 5 || c.w-c.r < c.length() {
			return 0, nil
		}
		c.rest = c.length()
	}
	n := copy(b, c.buf[c.r:min(c.w, c.r+c.rest)])
	c.r += n
	c.rest -= n
	c.ended = c.rest == 0
	return n, nil
}

// length is the length of the record that begins at r: RFC 8446 section 5.1.
func (c *singleConn) length() int { return 5 + int(binary.BigEndian.Uint16(c.buf[c.r+3:])) }

func (c *singleConn) fill() (n int, err error) {
	c.w = copy(c.buf, c.buf[c.r:c.w])
	c.r = 0
	e := c.raw.Control(func(fd uintptr) { n, err = syscall.Read(int(fd), c.buf[c.w:]) })
	switch {
	case e != nil:
		return 0, e
	case err == syscall.EAGAIN:
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, net.ErrClosed
	}
	c.w += n
	return n, nil
}

func (c *singleConn) WaitRead() error {
	if c.w-c.r >= 5 && c.w-c.r >= c.length() {
		return nil
	}
	return c.raw.Read(func(fd uintptr) bool { return ready(fd, unix.POLLIN) })
}

func (c *singleConn) TryWrite(b []byte) (n int, err error) {
	e := c.raw.Control(func(fd uintptr) { n, err = syscall.Write(int(fd), b) })
	if e != nil || err == syscall.EAGAIN {
		return 0, e
	}
	return max(n, 0), err
}

func (c *singleConn) WaitWrite() error {
	return c.raw.Write(func(fd uintptr) bool { return ready(fd, unix.POLLOUT) })
}

func ready(fd uintptr, events int16) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, 0)
	return n > 0 || err != nil && err != unix.EINTR
}
