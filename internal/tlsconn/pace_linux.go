package tlsconn

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
	"time"
)

// A tcpSocket is a pacer's socket.
type tcpSocket struct {
	raw    syscall.RawConn
	locked bool // SO_SNDBUF is set
}

// newPacer returns nil where there is nothing to pace: what is no TCP, or a kernel that cannot take a bound back again
// (before Linux 5.16).
func newPacer(c Stream) *pacer {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return nil
	}
	s := &tcpSocket{raw: raw}
	if !s.unlock() {
		return nil
	}
	return &pacer{sock: s}
}

func (s *tcpSocket) path() (p path, ok bool) {
	s.raw.Control(func(fd uintptr) {
		i, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return
		}
		us := time.Microsecond
		p, ok = path{i.Bytes_acked, time.Duration(i.Rtt) * us, time.Duration(i.Min_rtt) * us, time.Duration(i.Rttvar) * us}, true
	})
	return p, ok
}

// limit sets SO_SNDBUF, which the kernel doubles, for its own book-keeping, and counts whole buffers against.
func (s *tcpSocket) limit(bytes int) (ok bool) {
	if bytes == 0 {
		return !s.locked || s.unlock()
	}
	s.raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, bytes) != nil {
			return
		}
		s.locked = true
		n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
		ok = err == nil && n >= 2*bytes // else net.core.wmem_max is in the way, and the bound would be too narrow
	})
	return ok
}

// unlock lets the kernel size the buffer again.
func (s *tcpSocket) unlock() (ok bool) {
	s.raw.Control(func(fd uintptr) {
		ok = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BUF_LOCK, 0) == nil
	})
	s.locked = s.locked && !ok
	return ok
}
