package netstack

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

// echo answers what comes on a connection.
func echoing(c net.Conn) {
	io.Copy(c, c)
	c.Close()
}

// trip sends and receives a few bytes.
func trip(c net.Conn) error {
	c.SetDeadline(time.Now().Add(5 * time.Second))
	defer c.SetDeadline(time.Time{})
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	b := make([]byte, 5)
	_, err := io.ReadFull(c, b)
	return err
}

func TestFlowsGoOnWhenTheNextLinkHasTheirAddress(t *testing.T) {
	a, b := new(Stack), new(Stack)
	x, y := pipe([]netip.Addr{addrA, addrA6}, []netip.Addr{addrB, addrB6})
	ha, hb := serve(t, a, x), serve(t, b, y)
	l := listen(t, hb, "tcp", ":80")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go echoing(c)
		}
	}()
	four, six := dial(t, ha, "tcp", "10.8.0.2:80"), dial(t, ha, "tcp", "[fd00::2]:80")
	sock := dial(t, ha, "udp", "10.8.0.2:9")
	for _, c := range []net.Conn{four, six} {
		if err := trip(c); err != nil {
			t.Fatal(err)
		}
	}
	x.Close()
	<-ha.ended
	<-hb.ended
	if _, err := a.DialContext(t.Context(), "tcp", "10.8.0.2:80"); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	// The next has one of the two addresses, and a smaller MTU.
	x, y = pipe([]netip.Addr{addrA6, netip.MustParseAddr("10.8.0.7")}, []netip.Addr{addrB, addrB6})
	x.mtu, y.mtu = 1300, 1300
	ha, _ = serve(t, a, x), serve(t, b, y)
	if err := trip(six); err != nil {
		t.Error(err)
	}
	if a.MTU() != 1300 {
		t.Error(a.MTU())
	}
	for _, c := range []net.Conn{four, sock} {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "10.8.0.1 is no longer an address") {
			t.Error(err)
		}
	}
	c := dial(t, ha, "tcp", "10.8.0.2:80")
	if got := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr().String(); got != "10.8.0.7" {
		t.Error(got)
	}
	if err := trip(c); err != nil {
		t.Error(err)
	}
}

func TestFlowsFitASmallerMTU(t *testing.T) {
	a, b := pair(t)
	x, y := connected(t, a, b)
	go echoing(y)
	small := &link{Link: &checker{Link: a.link.(*link).Link, t: t, mtu: 600}, addrs: []netip.Addr{addrA}, mtu: 600}
	if err := trip(x); err != nil {
		t.Fatal(err)
	}
	if err := a.Configure(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	to := tunnel.PacketWriter(small)
	a.core.Load().out.link.Store(&to)
	x.SetDeadline(time.Now().Add(5 * time.Second))
	data := noise(100_000)
	go x.Write(data)
	got := make([]byte, len(data))
	if _, err := io.ReadFull(x, got); err != nil || string(got) != string(data) {
		t.Error(err)
	}
}

// A checker is a link that takes no packet larger than its MTU.
type checker struct {
	tunnel.Link
	t   *testing.T
	mtu int
}

func (c *checker) Write(bufs [][]byte, offset int) (int, error) {
	for _, b := range bufs {
		if len(b)-offset > c.mtu {
			c.t.Errorf("packet of %d bytes", len(b)-offset)
		}
	}
	return c.Link.Write(bufs, offset)
}

func TestServeOneLinkAtATime(t *testing.T) {
	a, _ := pair(t)
	if _, err := a.await(t.Context()); err != nil {
		t.Fatal(err)
	}
	x, _ := pipe(nil, nil)
	if err := a.Serve(t.Context(), x); !errors.Is(err, errServing) {
		t.Error(err)
	}
	if _, err := x.Write([][]byte{{1}}, 0); !errors.Is(err, net.ErrClosed) {
		t.Error("the second link is open:", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	x, _ = pipe([]netip.Addr{addrA}, nil)
	s := new(Stack)
	defer s.Close()
	cancel(errBroke)
	if err := s.Serve(ctx, x); !errors.Is(err, errBroke) {
		t.Error(err)
	}
}

func TestStackInTheRouter(t *testing.T) {
	server := &Stack{Forward: func(ctx context.Context, network string, src, dst netip.AddrPort) (net.Conn, error) {
		x, y := net.Pipe()
		go echoing(x)
		return y, nil
	}}
	defer server.Close()
	if err := server.SetAddrs(addrB); err != nil {
		t.Fatal(err)
	}
	rt := &tunnel.Router{Uplink: server, Routes: new(tunnel.Table)}
	routed := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { routed <- rt.Serve(ctx, server) }()
	l, err := server.Listen("tcp", "10.8.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go echoing(c)
		}
	}()
	for _, addr := range []string{"10.8.0.3", "10.8.0.4"} {
		near, far := tunneltest.Pipe(netip.MustParsePrefix("10.8.0.2/32"), netip.PrefixFrom(netip.MustParseAddr(addr), 32))
		go rt.ServeLink(ctx, near)
		client := serve(t, new(Stack), &link{Link: far, addrs: []netip.Addr{netip.MustParseAddr(addr)}})
		for _, to := range []string{"10.8.0.2:80", "192.0.2.1:80"} {
			if err := trip(dial(t, client, "tcp", to)); err != nil {
				t.Error(addr, to, err)
			}
		}
	}
	cancel()
	if err := <-routed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := server.Write([][]byte{{0x45}}, 0); !errors.Is(err, net.ErrClosed) {
		t.Error("the Router has not closed its device:", err)
	}
}

func TestCloseEndsForwardedFlows(t *testing.T) {
	before := runtime.NumGoroutine()
	asked := make(chan struct{}, 10)
	a, b := forwarding(t, func(ctx context.Context, network string, src, dst netip.AddrPort) (net.Conn, error) {
		asked <- struct{}{}
		if dst.Port() == 81 { // a dial that takes its time
			<-ctx.Done()
			return nil, ctx.Err()
		}
		x, _ := net.Pipe()
		return x, nil
	})
	var clients []net.Conn
	for _, network := range []string{"tcp", "udp", "ip4:icmp"} {
		to := "192.0.2.1:80"
		if network == "ip4:icmp" {
			to = "192.0.2.1"
		}
		c := dial(t, a, network, to)
		c.Write([]byte{8, 0, 0, 0, 0, 0, 0, 0})
		clients = append(clients, c)
		<-asked
	}
	var wg sync.WaitGroup
	wg.Go(func() { a.DialContext(t.Context(), "tcp", "192.0.2.1:81") })
	<-asked
	b.Close()
	clients[0].SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := clients[0].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	a.Close()
	wg.Wait()
	for _, c := range clients {
		c.Close()
	}
	if n, all := goroutines(before); n > before {
		t.Errorf("%d goroutines, %d before:\n%s", n, before, all)
	}
}

func TestNothingIsStartedByLooking(t *testing.T) {
	before := runtime.NumGoroutine()
	s := new(Stack)
	if s.MTU() != 1400 || s.BatchSize() != 128 {
		t.Error(s.MTU(), s.BatchSize())
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines", n-before)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Listen("tcp", ":80"); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestListenAddresses(t *testing.T) {
	x, _ := pipe([]netip.Addr{addrA, addrA6}, nil)
	s := serve(t, new(Stack), x)
	if _, err := s.await(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ network, address, want string }{
		{"tcp", ":80", "[::]:80"}, {"tcp4", ":81", "0.0.0.0:81"}, {"tcp6", ":82", "[::]:82"}, {"tcp", "0.0.0.0:83", "0.0.0.0:83"},
		{"tcp", "10.8.0.1:84", "10.8.0.1:84"}, {"tcp", "[fd00::1]:85", "[fd00::1]:85"},
		{"tcp", "10.8.0.9:86", "cannot assign"}, {"tcp4", "[fd00::1]:87", "no IP address of the network"}, {"tcp", "name:88", "no IP address"},
		{"tcp", ":80", "address already in use"}, {"udp", ":80", "unknown network"}, {"tcp", "80", "missing port"},
	} {
		l, err := s.Listen(c.network, c.address)
		switch {
		case err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%v: %v", c, err)
		case err == nil && l.Addr().String() != c.want:
			t.Errorf("%v: %v", c, l.Addr())
		}
	}
	// To itself.
	l, err := s.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go echoing(c)
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, host := range []string{"", "10.8.0.1", "fd00::1"} {
		if err := trip(dial(t, s, "tcp", net.JoinHostPort(host, port))); err != nil {
			t.Error(host, err)
		}
	}
	pc, err := s.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	if got := pc.LocalAddr().String(); !strings.HasPrefix(got, "[::]:") {
		t.Error(got)
	}
}

func TestDeadlines(t *testing.T) {
	a, b := pair(t)
	x, _ := connected(t, a, b)
	for _, when := range []time.Duration{-1, 10 * time.Millisecond} {
		x.SetReadDeadline(time.Now().Add(when))
		_, err := x.Read(make([]byte, 1))
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Error(err)
		}
	}
	// One that is moved while somebody waits counts, as for package net.
	read := make(chan error, 1)
	x.SetReadDeadline(time.Now().Add(time.Hour))
	go func() {
		_, err := x.Read(make([]byte, 1))
		read <- err
	}()
	time.Sleep(10 * time.Millisecond)
	x.SetReadDeadline(time.Now().Add(-1))
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	x.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	if n, err := x.Write(make([]byte, 64<<20)); n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(n, err)
	}
}

func TestTheFirstAddressThatAnswersWins(t *testing.T) {
	a, b := pair(t)
	l := listen(t, b, "tcp", ":80")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go echoing(c)
		}
	}()
	c, err := a.await(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k, _ := parseNetwork("tcp")
	silent := netip.MustParseAddr("10.8.0.99")
	began := time.Now()
	conn, err := a.race(t.Context(), c, k, []netip.Addr{silent, addrB, silent}, 80)
	if err != nil || time.Since(began) > 3*time.Second {
		t.Fatal(err, time.Since(began))
	}
	if err := trip(conn); err != nil {
		t.Error(err)
	}
	conn.Close()
	if _, err := a.race(t.Context(), c, k, []netip.Addr{addrB, addrB}, 81); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	if _, err := a.race(ctx, c, k, []netip.Addr{silent, silent}, 80); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func FuzzWrite(f *testing.F) {
	f.Add(udpPacket(addrB), udpPacket(netip.MustParseAddr("192.0.2.1")))
	f.Add(udpPacket(addrB6), []byte{})
	s := &Stack{Forward: func(context.Context, string, netip.AddrPort, netip.AddrPort) (net.Conn, error) {
		return nil, errors.New("no")
	}}
	f.Cleanup(func() { s.Close() })
	s.SetAddrs(addrB, addrB6)
	go func() {
		bufs, sizes := [][]byte{make([]byte, 65536)}, make([]int, 1)
		for {
			if _, err := s.Read(bufs, sizes, 0); err != nil {
				return
			}
		}
	}()
	f.Fuzz(func(t *testing.T, p, q []byte) {
		if _, err := s.Write([][]byte{append([]byte("ab"), p...), append([]byte("ab"), q...), append([]byte("ab"), p...)}, 2); err != nil {
			t.Error(err)
		}
	})
}
