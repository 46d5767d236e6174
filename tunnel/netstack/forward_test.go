package netstack

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// forwarding returns a client and a stack that forwards what the client sends to others.
func forwarding(t testing.TB, forward func(ctx context.Context, network string, src, dst netip.AddrPort) (net.Conn, error)) (client, server *host) {
	x, y := pipe([]netip.Addr{addrA, addrA6}, []netip.Addr{addrB, addrB6})
	return serve(t, new(Stack), x), serve(t, &Stack{Forward: forward}, y)
}

var (
	addrA6 = netip.MustParseAddr("fd00::1")
	addrB6 = netip.MustParseAddr("fd00::2")
)

func TestForwardCarriesFlowsToOthers(t *testing.T) {
	type call struct {
		network  string
		src, dst netip.AddrPort
	}
	calls := make(chan call, 10)
	a, b := forwarding(t, func(ctx context.Context, network string, src, dst netip.AddrPort) (net.Conn, error) {
		calls <- call{network, src, dst}
		if dst.Port() == 81 {
			return nil, errors.New("not that one")
		}
		x, y := net.Pipe()
		go func() {
			io.Copy(x, x)
			x.Close()
		}()
		return y, nil
	})
	listen(t, b, "tcp", ":80") // must not catch what is for others
	for _, c := range []struct{ network, to string }{
		{"tcp", "192.0.2.1:80"}, {"udp", "192.0.2.1:80"}, {"tcp", "[2001:db8::1]:80"}, {"udp", "[2001:db8::1]:80"},
	} {
		conn := dial(t, a, c.network, c.to)
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		for range 3 {
			if _, err := conn.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 10)
			if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "hello" {
				t.Fatal(c, n, err)
			}
		}
		got := <-calls
		if got.network != c.network || got.dst.String() != c.to || got.src.String() != conn.LocalAddr().String() {
			t.Errorf("%v: %v, from %v", c, got, conn.LocalAddr())
		}
		conn.Close()
	}
	if _, err := a.DialContext(t.Context(), "tcp", "192.0.2.1:81"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	<-calls
	// Its own addresses it does not forward.
	if _, err := a.DialContext(t.Context(), "tcp", "10.8.0.2:9"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	if c, err := a.DialContext(t.Context(), "tcp", "10.8.0.2:80"); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	if len(calls) > 0 {
		t.Error(<-calls)
	}
}

func TestForwardPassesTheEndOn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				b, _ := io.ReadAll(c) // until the client has said that it is done
				if strings.HasPrefix(string(b), "reset") {
					c.(*net.TCPConn).SetLinger(0)
				} else {
					c.Write([]byte(strings.ToUpper(string(b))))
				}
				c.Close()
			}()
		}
	}()
	a, _ := forwarding(t, func(ctx context.Context, network string, src, dst netip.AddrPort) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, l.Addr().String())
	})
	c := dial(t, a, "tcp", "192.0.2.1:80")
	c.SetDeadline(time.Now().Add(5 * time.Second))
	c.Write([]byte("hello"))
	c.(*stream).CloseWrite()
	if b, err := io.ReadAll(c); err != nil || string(b) != "HELLO" {
		t.Errorf("%q %v", b, err)
	}
	c = dial(t, a, "tcp", "192.0.2.1:80")
	c.SetDeadline(time.Now().Add(5 * time.Second))
	c.Write([]byte("reset"))
	c.(*stream).CloseWrite()
	if b, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q %v", b, err)
	}
}

func TestForwardNeverLeadsToLoopbackOrLinkLocal(t *testing.T) {
	called := make(chan netip.AddrPort, 10)
	a, _ := forwarding(t, func(ctx context.Context, network string, src, dst netip.AddrPort) (net.Conn, error) {
		called <- dst
		return nil, errors.New("no")
	})
	for _, to := range []string{
		"127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255",
		"::1", "::", "fe80::1", "ff02::1", "::ffff:127.0.0.1",
	} {
		dst := netip.MustParseAddr(to)
		if forwardable(dst) {
			t.Error(to)
		}
		a.link.Write([][]byte{udpPacket(dst)}, 0)
	}
	a.link.Write([][]byte{udpPacket(netip.MustParseAddr("192.0.2.1"))}, 0)
	if dst := <-called; dst.String() != "192.0.2.1:7" {
		t.Error(dst)
	}
}

// udpPacket returns a datagram to port 7.
func udpPacket(dst netip.Addr) []byte {
	payload := []byte{0, 7, 0, 7, 0, 9, 0, 0, 'x'}
	if dst.Is4() {
		src := addrA.As4()
		d := dst.As4()
		p := append([]byte{0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0}, append(src[:], d[:]...)...)
		return withSum(append(p, payload...))
	}
	src, d := addrA6.As16(), dst.As16()
	p := append([]byte{0x60, 0, 0, 0, 0, 9, 17, 64}, append(src[:], d[:]...)...)
	p = append(p, payload...)
	var sum uint32
	for i := 8; i < 48; i += 2 {
		sum += uint32(p[i])<<8 | uint32(p[i+1])
	}
	sum += 0x0007 + 0x0007 + 9 + 'x'<<8 + 9 + 17
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	p[46], p[47] = byte(^sum>>8), byte(^sum)
	return p
}

// withSum sets the sum of an IPv4 header.
func withSum(p []byte) []byte {
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(p[i])<<8 | uint32(p[i+1])
	}
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	p[10], p[11] = byte(^sum>>8), byte(^sum)
	return p
}

func TestIdleDatagramFlowsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forwarder{stack: new(Stack), core: &core{ctx: t.Context()}}
		x, far := net.Pipe()
		y, out := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.exchange(x, y, 200*time.Millisecond)
		}()
		began := time.Now()
		buf := make([]byte, 10)
		for range 6 { // 300 ms, one way only
			far.Write([]byte("x"))
			if _, err := out.Read(buf); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		<-done
		if lived := time.Since(began); lived < 400*time.Millisecond || lived > time.Second {
			t.Error(lived)
		}
		if _, err := far.Read(buf); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestLoopbackNeverComesFromTheLink(t *testing.T) {
	a, b := pair(t)
	pc, err := b.ListenPacket("udp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	bad := udpPacket(addrB)
	copy(bad[12:], []byte{127, 0, 0, 1})
	bad[10], bad[11] = 0, 0
	a.link.Write([][]byte{withSum(bad)}, 0)
	good := udpPacket(addrB)
	good[28] = 'y'
	a.link.Write([][]byte{good}, 0)
	buf := make([]byte, 10)
	pc.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, from, err := pc.ReadFrom(buf); err != nil || string(buf[:n]) != "y" {
		t.Errorf("%q from %v: %v", buf[:n], from, err)
	}
	if !martian(netip.MustParseAddr("::ffff:10.0.0.1"), addrB) || !martian(addrA, netip.MustParseAddr("127.0.0.1")) || martian(addrA6, addrB6) {
		t.Error("martian")
	}
}
