package netstack

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

func TestTCPBothWays(t *testing.T) {
	a, b := pair(t)
	x, y := connected(t, a, b)
	if x.LocalAddr().(*net.TCPAddr).AddrPort().Addr() != addrA || x.RemoteAddr().String() != y.LocalAddr().String() || y.RemoteAddr().String() != x.LocalAddr().String() {
		t.Errorf("%v-%v, %v-%v", x.LocalAddr(), x.RemoteAddr(), y.LocalAddr(), y.RemoteAddr())
	}
	data := noise(4 << 20)
	var wg sync.WaitGroup
	for _, ends := range [][2]net.Conn{{x, y}, {y, x}} {
		wg.Go(func() {
			if n, err := ends[0].Write(data); n != len(data) || err != nil {
				t.Error(n, err)
			}
			if err := ends[0].(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			h := sha256.New()
			if n, err := io.Copy(h, ends[1]); n != int64(len(data)) || err != nil || [32]byte(h.Sum(nil)) != sha256.Sum256(data) {
				t.Error(n, err)
			}
		})
	}
	wg.Wait()
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	if err := x.Close(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := x.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestUDPBothWays(t *testing.T) {
	a, b := pair(t)
	pc, err := b.ListenPacket("udp", ":5353")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo(buf[:n], from)
		}
	}()
	c := dial(t, a, "udp", "10.8.0.2:5353")
	for _, n := range []int{0, 1, 1300, 1900} { // the last in fragments
		data := noise(n)
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 2000)
		if got, err := c.Read(buf); err != nil || string(buf[:got]) != string(data) {
			t.Fatal(n, got, err)
		}
	}
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestRefusedAndUnreachable(t *testing.T) {
	a, _ := pair(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := a.DialContext(ctx, "tcp", "10.8.0.2:9"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	if _, err := a.DialContext(ctx, "tcp", "[2001:db8::1]:9"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Error(err)
	}
	if _, err := a.DialContext(ctx, "unix", "x"); !errors.As(err, new(net.UnknownNetworkError)) {
		t.Error(err)
	}
	c := dial(t, a, "udp", "10.8.0.2:9")
	c.Write([]byte("x"))
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := new(Stack).DialContext(short, "tcp", "10.8.0.2:9"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestDialWaitsForAnAddress(t *testing.T) {
	x, y := pipe([]netip.Addr{addrA}, []netip.Addr{addrB})
	b := serve(t, new(Stack), y)
	listen(t, b, "tcp", ":80")
	s := new(Stack)
	defer s.Close()
	got := make(chan error, 1)
	go func() {
		c, err := s.DialContext(t.Context(), "tcp", "10.8.0.2:80")
		if err == nil {
			c.Close()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatal(err)
	case <-time.After(20 * time.Millisecond):
	}
	serve(t, s, x)
	if err := <-got; err != nil {
		t.Error(err)
	}
}

var errBroke = errors.New("the tunnel broke")

func TestCauseOfADeadTunnelComesOutOfDials(t *testing.T) {
	x, _ := pipe([]netip.Addr{addrA}, nil) // nobody answers
	x.err = errBroke
	s := &Stack{Linger: 10 * time.Millisecond}
	a := serve(t, s, x)
	pc, err := s.ListenPacket("udp", ":1")
	if err != nil {
		t.Fatal(err)
	}
	dialled := make(chan error, 1)
	go func() {
		_, err := s.DialContext(t.Context(), "tcp", "10.8.0.2:80")
		dialled <- err
	}()
	time.Sleep(20 * time.Millisecond)
	x.Close()
	if err := <-a.ended; err != errBroke {
		t.Error(err)
	}
	if err := <-dialled; !errors.Is(err, errBroke) {
		t.Error("waiting:", err)
	}
	if _, err := s.DialContext(t.Context(), "tcp", "10.8.0.2:80"); !errors.Is(err, errBroke) {
		t.Error("later:", err)
	}
	if _, err := s.DialContext(t.Context(), "tcp", "name.example:80"); !errors.Is(err, errBroke) {
		t.Error("by name:", err)
	}
	if _, _, err := pc.ReadFrom(make([]byte, 1)); !errors.Is(err, errBroke) {
		t.Error("open, after Linger:", err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	before := runtime.NumGoroutine()
	x, y := pipe([]netip.Addr{addrA}, []netip.Addr{addrB})
	a, b := serve(t, new(Stack), x), serve(t, new(Stack), y)
	c, d := connected(t, a, b)
	_, far := connected(t, a, b)
	l := listen(t, a, "tcp", ":1")
	pc, err := a.ListenPacket("udp", ":1")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	blocked := func(name string, f func() error) {
		wg.Go(func() {
			if err := f(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	blocked("Read", func() error { _, err := c.Read(make([]byte, 1)); return err })
	blocked("Write", func() error { _, err := c.Write(make([]byte, 64<<20)); return err })
	blocked("Accept", func() error { _, err := l.Accept(); return err })
	blocked("ReadFrom", func() error { _, _, err := pc.ReadFrom(make([]byte, 1)); return err })
	blocked("DialContext", func() error { _, err := a.DialContext(t.Context(), "tcp", "10.8.0.9:1"); return err })
	time.Sleep(50 * time.Millisecond)
	a.Close()
	a.Close()
	wg.Wait()
	if err := <-a.ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	far.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Error("the far side:", err)
	}
	if _, err := a.DialContext(t.Context(), "tcp", "10.8.0.2:1"); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if err := a.Serve(t.Context(), x); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := a.Read(nil, nil, 0); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	b.Close()
	c.Close()
	d.Close()
	far.Close()
	if n, all := goroutines(before); n > before {
		t.Errorf("%d goroutines, %d before:\n%s", n, before, all)
	}
}
