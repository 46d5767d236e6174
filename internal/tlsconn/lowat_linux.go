package tlsconn

import (
	"net"

	"golang.org/x/sys/unix"
)

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
