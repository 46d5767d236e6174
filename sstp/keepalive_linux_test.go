package sstp

import (
	"net"
	"syscall"
	"testing"
)

// TestDialledConnectionsProbe: a client's TCP asks before a minute is over, and not four times in it.
func TestDialledConnectionsProbe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := new(Dialer).dialNet(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		on, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
		idle, err2 := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
		if on != 1 || idle != 45 || err != nil || err2 != nil {
			t.Errorf("on %d, after %d s; %v, %v", on, idle, err, err2)
		}
	})
}
