package tlsconn

import (
	"net"

	"golang.org/x/sys/unix"
)

// notSentLowat bounds the kernel's queue of bytes not sent yet: it is the largest part of a tunnel's delay under load,
// since what is in it can neither be dropped nor overtaken, and a short one costs no throughput.
const notSentLowat = 16 << 10

// lowat sets it. A socket that refuses is as good without.
func (s *sock) lowat() {
	c, ok := s.Stream.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSentLowat)
		})
	}
}
