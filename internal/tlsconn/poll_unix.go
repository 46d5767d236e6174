//go:build unix

package tlsconn

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A poller does without waiting on a descriptor that the runtime polls. Each direction is for one goroutine at a time.
//
// RawConn.Control gives the descriptor without looking at deadlines, RawConn.Read and RawConn.Write park until it may be
// ready. Their closures are made once, since a call would allocate them, and only those that are needed: each is memory of
// every session.
type poller struct {
	raw    syscall.RawConn
	in     direction
	out    direction
	young  bool // the session opens
	parked bool // by the WaitRead that is at work
}

// A direction is one call at a time.
type direction struct {
	calls
	op   func(c *calls, fd uintptr, b []byte) (int, error) // read or write, or what calls has instead
	try  func(fd uintptr)                                  // d.once
	wait func(fd uintptr) bool                             // nil: nobody has waited
	b    []byte
	n    int
	err  error
}

// init reports false for what is not known to be a plain descriptor: a type that embeds a *net.TCPConn, and reads or
// writes otherwise, has a SyscallConn, too.
func (p *poller) init(c Stream) bool {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn, *os.File:
	default:
		return false
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return false
	}
	p.raw = raw
	_, file := c.(*os.File)
	p.in.op, p.in.try, p.in.wait = reads(file), p.in.once, p.readable
	p.out.op, p.out.try = writes(file), p.out.once
	return true
}

func (d *direction) once(fd uintptr) {
	for {
		if d.n, d.err = d.op(&d.calls, fd, d.b); d.err != syscall.EINTR {
			return
		}
	}
}

func read(_ *calls, fd uintptr, b []byte) (int, error)  { return syscall.Read(int(fd), b) }
func write(_ *calls, fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }

// do is one read or write; 0, nil: it would wait.
func (d *direction) do(raw syscall.RawConn, name string, b []byte) (int, error) {
	d.b = b
	err := raw.Control(d.try)
	d.b = nil
	switch {
	case err != nil:
		return 0, err
	case d.err == syscall.EAGAIN:
		return 0, nil
	case d.err != nil:
		return 0, os.NewSyscallError(name, d.err)
	case d.n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return d.n, nil
}

func (p *poller) TryRead(b []byte) (int, error) { return p.in.do(p.raw, "read", b) }

func (p *poller) WaitWrite() error {
	if p.out.wait == nil {
		p.out.wait = p.writable
	}
	return p.raw.Write(p.out.wait)
}

func (p *poller) WaitRead() error {
	p.parked = false
	return p.raw.Read(p.in.wait)
}

// readable is asked before parking, and by whoever was woken. While a session opens that one can read, and if not, TryRead says
// so; later the question gives who sends the time for the rest of a batch.
func (p *poller) readable(fd uintptr) bool {
	woken := p.parked
	p.parked = true
	return woken && p.young || p.in.ready(fd, unix.POLLIN)
}

func (p *poller) writable(fd uintptr) bool { return p.out.ready(fd, unix.POLLOUT) }

func (p *poller) TryWrite(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var sent int
		if sent, err = p.out.do(p.raw, "write", b[n:]); sent == 0 {
			break
		}
		n += sent
	}
	return n, err
}
