//go:build unix

package tlsconn

import (
	"io"
	"net"
	"os"
	"syscall"
)

// newPoller returns nil for a connection that cannot read and write without waiting.
func newPoller(nc net.Conn) poller {
	if p, ok := nc.(poller); ok {
		return p
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	p := &fdPoller{rc: rc}
	// The closures are made once: each call would allocate them.
	p.peek = func(fd uintptr) bool {
		for {
			_, _, p.err = syscall.Recvfrom(int(fd), p.one[:], syscall.MSG_PEEK)
			if p.err != syscall.EINTR {
				return p.err != syscall.EAGAIN
			}
		}
	}
	p.read = func(fd uintptr) { p.n, p.err = retry(syscall.Read, int(fd), p.rb) }
	p.write = func(fd uintptr) { p.wn, p.werr = retry(syscall.Write, int(fd), p.wb) }
	return p
}

func retry(op func(int, []byte) (int, error), fd int, b []byte) (n int, err error) {
	for {
		if n, err = op(fd, b); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// An fdPoller is a socket's poller. Reading and writing each belong to one goroutine at a time.
type fdPoller struct {
	rc   syscall.RawConn
	peek func(fd uintptr) bool
	one  [1]byte

	read func(fd uintptr)
	rb   []byte
	n    int
	err  error

	write func(fd uintptr)
	wb    []byte
	wn    int
	werr  error
}

// WaitRead parks in the runtime's poller, on a small stack and with no buffer.
func (p *fdPoller) WaitRead() error { return p.rc.Read(p.peek) }

// TryRead goes by Control, which knows no deadline.
func (p *fdPoller) TryRead(b []byte) (int, error) {
	p.rb = b
	err := p.rc.Control(p.read)
	p.rb = nil
	switch {
	case err != nil:
		return 0, err
	case p.err == syscall.EAGAIN:
		return 0, nil
	case p.err != nil:
		return 0, os.NewSyscallError("read", p.err)
	case p.n == 0:
		return 0, io.EOF
	}
	return p.n, nil
}

func (p *fdPoller) TryWrite(b []byte) (sent int, err error) {
	defer func() { p.wb = nil }()
	for sent < len(b) {
		p.wb = b[sent:]
		if err := p.rc.Control(p.write); err != nil {
			return sent, err
		}
		if p.werr == syscall.EAGAIN {
			return sent, nil
		}
		if p.werr != nil {
			return sent, os.NewSyscallError("write", p.werr)
		}
		sent += p.wn
	}
	return sent, nil
}
