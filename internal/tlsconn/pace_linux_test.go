package tlsconn

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tcpPair is two ends of a TCP connection.
func socketOption(t *testing.T, c *net.TCPConn, level, option int) (n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { n, err = unix.GetsockoptInt(int(fd), level, option) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return n
}

// TestPacedSocket: the bound is the kernel's, is taken back, and what is acknowledged is counted.
func TestPacedSocket(t *testing.T) {
	a, b := tcpPair(t)
	p := newPacer(a)
	if p == nil {
		t.Fatal("TCP, and no pacer")
	}
	if newPacer(struct{ Stream }{}) != nil {
		t.Error("a pacer for what is no TCP")
	}
	before, _ := p.sock.path()
	if _, err := a.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	after, ok := p.sock.path()
	for i := 0; ok && after.acked-before.acked < 1000 && i < 30000; i++ { // the acknowledgement may be on its way
		time.Sleep(time.Millisecond)
		after, ok = p.sock.path()
	}
	if !ok || after.acked-before.acked != 1000 || after.rtt <= 0 || after.minRTT <= 0 || after.minRTT > after.rtt {
		t.Errorf("%+v, then %+v", before, after)
	}
	p.sock.lowat(notSentLeast)
	if n := socketOption(t, a, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT); n != notSentLeast {
		t.Errorf("TCP_NOTSENT_LOWAT %d", n)
	}
	if !p.sock.writable() {
		t.Error("an empty socket takes nothing")
	}
	if !p.sock.(*tcpSocket).frees {
		if p.sock.limit(paceMin) {
			t.Error("a bound that cannot be taken back")
		}
		t.Skip("the rest needs SO_BUF_LOCK, of Linux 5.16")
	}
	if !p.sock.limit(paceMin) {
		t.Fatal("no bound of 8 KiB")
	}
	if n := socketOption(t, a, unix.SOL_SOCKET, unix.SO_SNDBUF); n != 2*paceMin {
		t.Errorf("SO_SNDBUF %d", n)
	}
	if os.Getuid() != 0 && p.sock.limit(1<<30) {
		t.Error("a bound beyond net.core.wmem_max holds")
	}
	for p.sock.writable() {
		if _, err := a.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if !p.sock.limit(0) || socketOption(t, a, unix.SOL_SOCKET, unix.SO_BUF_LOCK)&1 != 0 {
		t.Error("the bound is not taken back")
	}
}

func TestSetCongestion(t *testing.T) {
	a, _ := tcpPair(t)
	for _, c := range []struct {
		of   any
		name string
		want error
	}{
		{a, "", nil},
		{a, "reno", nil}, // every kernel has it
		{a, "none such", unix.ENOENT},
		{struct{}{}, "", nil},
		{struct{}{}, "reno", errors.ErrUnsupported},
	} {
		if err := SetCongestion(c.of, c.name); !errors.Is(err, c.want) {
			t.Errorf("%T %q: %v", c.of, c.name, err)
		}
	}
	raw, _ := a.SyscallConn()
	raw.Control(func(fd uintptr) {
		if s, err := unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION); s[:4] != "reno" || err != nil {
			t.Errorf("%q, %v", s, err)
		}
	})
}

// TestOnlyWhoWritesMuchIsWatched: a session that is idle, or nearly, has no pacer.
func TestOnlyWhoWritesMuchIsWatched(t *testing.T) {
	a, b := tcpPair(t)
	go io.Copy(io.Discard, b)
	p := NewPlain(a)
	defer p.Close() // what has not gone out waits in a buffer
	for written := 0; written+1000 <= paceFrom; written += 1000 {
		if err := p.TryWrite(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if p.sock.pace.Load() != nil || p.Takes() != maxRoom || p.RTT() != 0 {
		t.Error("watched already")
	}
	for range 1000 {
		if err := p.WaitWrite(time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := p.TryWrite(make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if p.sock.pace.Load() == nil {
		t.Fatal("not watched after 64 MB")
	}
	if p.RTT() <= 0 || p.RTT() > time.Second {
		t.Errorf("a round trip of %v", p.RTT())
	}
}

func TestPacedSocketDoesNotAllocate(t *testing.T) {
	a, _ := tcpPair(t)
	p := newPacer(a)
	if n := testing.AllocsPerRun(100, func() { p.sock.writable() }); n > 0 {
		t.Errorf("writable: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { p.sock.path() }); n > 1 { // unix.TCPInfo, a few times in a round trip
		t.Errorf("path: %v allocations", n)
	}
}
