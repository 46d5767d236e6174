package tlsconn

import (
	"net"
	"syscall"
	"time"

	"github.com/dialway/dialway/internal/rawio"
	"golang.org/x/sys/unix"
)

// A tcpSocket is a pacer's socket. What is asked often has its closure made once, as a poller's.
type tcpSocket struct {
	raw    syscall.RawConn
	frees  bool // a bound can be taken back again: since Linux 5.16
	locked bool // SO_SNDBUF is set

	info  func(fd uintptr)
	is    path
	known bool

	poll  func(fd uintptr)
	ready bool
}

// newPacer returns nil where there is nothing to pace: what is no TCP.
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
	s.info = s.getInfo
	s.poll = func(fd uintptr) { s.ready = rawio.Ready(fd, unix.POLLOUT) }
	s.frees = s.unlock()
	return &pacer{sock: s}
}

func (s *tcpSocket) path() (p path, ok bool) {
	s.known = false
	s.raw.Control(s.info)
	return s.is, s.known
}

func (s *tcpSocket) getInfo(fd uintptr) {
	i, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return
	}
	us := time.Microsecond
	s.is = path{
		acked: i.Bytes_acked + uint64(i.Sacked)*uint64(i.Snd_mss),
		rtt:   time.Duration(i.Rtt) * us, minRTT: time.Duration(i.Min_rtt) * us, varies: time.Duration(i.Rttvar) * us,
		held:   (int(i.Unacked) - int(i.Sacked) - int(i.Lost) + int(i.Retrans)) * int(i.Snd_mss),
		resent: uint64(i.Total_retrans),
	}
	s.known = true
}

func (s *tcpSocket) writable() bool {
	s.ready = false
	s.raw.Control(s.poll)
	return s.ready
}

// limit sets SO_SNDBUF, which the kernel doubles, for its own book-keeping, and counts whole buffers against.
func (s *tcpSocket) limit(bytes int) (ok bool) {
	if bytes == 0 {
		return !s.locked || s.unlock()
	}
	if !s.frees {
		return false
	}
	s.raw.Control(func(fd uintptr) {
		// Who administers the network is not bound to net.core.wmem_max.
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, bytes) != nil &&
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, bytes) != nil {
			return
		}
		s.locked = true
		n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
		ok = err == nil && n >= 2*bytes // else net.core.wmem_max is in the way, and the bound would be too narrow
	})
	return ok
}

func (s *tcpSocket) lowat(bytes int) {
	s.raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bytes) })
}

// unlock lets the kernel size the buffer again.
func (s *tcpSocket) unlock() (ok bool) {
	s.raw.Control(func(fd uintptr) {
		ok = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BUF_LOCK, 0) == nil
	})
	s.locked = s.locked && !ok
	return ok
}
