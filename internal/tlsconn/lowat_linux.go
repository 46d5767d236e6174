package tlsconn

import (
	"net"
	"syscall"
)

const (
	tcpNotSentLowat = 25 // TCP_NOTSENT_LOWAT
	notSentLowat    = 16 << 10
)

// setNotSentLowat keeps the kernel's queue of unsent bytes short: it is the largest part of a tunnel's delay under load,
// and a short one costs no throughput. A socket that refuses is as good without.
func setNotSentLowat(nc net.Conn) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return
	}
	rc.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, notSentLowat)
	})
}
