package netstack

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/dialway/dialway/tunnel/tunneltest"
)

// two joins two stacks by a link in memory.
func two(t *testing.T) (a, b *Stack, end context.CancelFunc) {
	t.Helper()
	la, lb := tunneltest.Pipe(netip.MustParsePrefix("10.9.0.1/32"), netip.MustParsePrefix("10.9.0.2/32"))
	a, b = new(Stack), new(Stack)
	ctx, cancel := context.WithCancel(context.Background())
	go a.Serve(ctx, la)
	go b.Serve(ctx, lb)
	t.Cleanup(func() {
		cancel()
		a.Close()
		b.Close()
	})
	return a, b, cancel
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestTCPBothWays(t *testing.T) {
	a, b, _ := two(t)
	if err := b.ready(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	l, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	data := make([]byte, 4<<20)
	rand.Read(data)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.Copy(c, c)
	}()
	c, err := a.DialContext(within(t, 5*time.Second), "tcp", "10.9.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		c.Write(data)
		c.(*conn).CloseWrite()
	}()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	h := sha256.New()
	if n, err := io.Copy(h, c); err != nil || n != int64(len(data)) || [32]byte(h.Sum(nil)) != sha256.Sum256(data) {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

func TestDialWaitsForAddressAndTellsTheCause(t *testing.T) {
	s := new(Stack)
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.DialContext(ctx, "tcp", "10.9.0.2:80"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	la, lb := tunneltest.Pipe(netip.MustParsePrefix("10.9.0.1/32"), netip.MustParsePrefix("10.9.0.2/32"))
	lb.Close()
	served := s.Serve(context.Background(), la)
	if served == nil {
		t.Fatal("Serve returned nil")
	}
	if _, err := s.DialContext(context.Background(), "tcp", "10.9.0.2:80"); !errors.Is(err, served) {
		t.Errorf("%v, want %v in it", err, served)
	}
}

func TestForward(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	defer web.Close()
	la, lb := tunneltest.Pipe(netip.MustParsePrefix("10.9.0.1/32"), netip.MustParsePrefix("10.9.0.2/32"))
	a := new(Stack)
	b := &Stack{Forward: func(ctx context.Context, network string, src, dst netip.AddrPort) (net.Conn, error) {
		if network != "tcp" || src.Addr() != netip.MustParseAddr("10.9.0.1") || dst != netip.MustParseAddrPort("198.51.100.7:80") {
			return nil, errors.New("refused")
		}
		return new(net.Dialer).DialContext(ctx, "tcp", web.Listener.Addr().String())
	}}
	defer a.Close()
	defer b.Close()
	ctx := within(t, 20*time.Second)
	go a.Serve(ctx, la)
	go b.Serve(ctx, lb)
	client := &http.Client{Transport: &http.Transport{DialContext: a.DialContext, DisableKeepAlives: true}}
	resp, err := client.Get("http://198.51.100.7/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "hello" {
		t.Errorf("%q", body)
	}
	if _, err := a.DialContext(ctx, "tcp", "198.51.100.8:80"); err == nil {
		t.Error("a flow that Forward refused was connected")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	a, b, cancel := two(t)
	if err := b.ready(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	l, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.DialContext(within(t, 5*time.Second), "tcp", "10.9.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	blocked := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		blocked <- err
	}()
	a.Close()
	if err := <-blocked; err == nil {
		t.Error("read of a closed stack")
	}
	cancel()
	b.Close()
	l.Close()
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

func TestEchoReplyIsWellFormed(t *testing.T) {
	f := pingFlow{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("198.51.100.7"), 77}
	msg := append([]byte{0, 0, 0, 0, 0, 9, 0, 1}, "payload"...)
	p := echoReply(f, msg)[headroom:]
	if checksum(p[:20], 0) != 0 || checksum(p[20:], 0) != 0 || !bytes.HasSuffix(p, []byte("payload")) || p[25] != 77 {
		t.Errorf("%x", p)
	}
}
