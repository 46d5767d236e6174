package sstp

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/ppp"
)

// A client that stops or dawdles in any phase is gone when that phase's time is over.
func TestSlowLoris(t *testing.T) {
	dribble := func(w io.Writer, s string) {
		for i := range s {
			if _, err := w.Write([]byte{s[i]}); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, ts *testServer)
		max  time.Duration
	}{
		{"no TLS", func(t *testing.T, ts *testServer) {
			ts.l.Dial(t.Context(), "tcp", "")
		}, 15 * time.Second},
		{"TLS byte by byte", func(t *testing.T, ts *testServer) {
			nc, _ := ts.l.Dial(t.Context(), "tcp", "")
			dribble(nc, "\x16\x03\x01\x02\x00"+strings.Repeat("\x01", 512))
		}, 15 * time.Second},
		{"TLS and nothing", func(t *testing.T, ts *testServer) { ts.rawTLS(t, nil) }, 15 * time.Second},
		{"HTTP byte by byte", func(t *testing.T, ts *testServer) {
			dribble(ts.rawTLS(t, nil), plainRequest)
		}, 15 * time.Second},
		{"web request byte by byte", func(t *testing.T, ts *testServer) {
			dribble(ts.rawTLS(t, nil), "GET / HTTP/1.1\r\n"+strings.Repeat("A: b\r\n", 100))
		}, 15 * time.Second},
		{"no Call Connect Request", func(t *testing.T, ts *testServer) {
			io.WriteString(ts.rawTLS(t, nil), plainRequest)
		}, 65 * time.Second}, // the negotiation timer and T1
		{"Call Connect Request byte by byte", func(t *testing.T, ts *testServer) {
			c := ts.rawTLS(t, nil)
			io.WriteString(c, plainRequest)
			dribble(c, "\x10\x00\x0f\xff"+strings.Repeat("\x00", 4000))
		}, 65 * time.Second},
		{"no PPP", func(t *testing.T, ts *testServer) { ts.dialRaw(t) }, 65 * time.Second},
		{"PPP without end", func(t *testing.T, ts *testServer) {
			r := ts.dialRaw(t)
			for range 200 { // Configure-Requests with an option to be refused
				time.Sleep(time.Second)
				if r.fc.WriteControl([]byte{0xff, 3, 0xc0, 0x21, 1, 1, 0, 8, 0x55, 4, 0, 0}) != nil {
					return
				}
			}
		}, 65 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ts := startServer(&Server{})
				defer ts.stop()
				start := time.Now()
				go tt.do(t, ts)
				synctest.Wait()
				if !until(time.Second, func() bool { return ts.Stats().Pending == 1 }) {
					t.Fatal("nothing began")
				}
				if !until(4*time.Minute, func() bool { return ts.Stats().Pending == 0 }) {
					t.Fatal("still there after four minutes")
				}
				if d := time.Since(start); d > tt.max+20*time.Millisecond {
					t.Errorf("gone after %v, want %v at most", d, tt.max)
				}
				if st := ts.Stats(); st.HandshakeFailed+st.HTTP != 1 {
					t.Errorf("%+v", st)
				}
				ts.stop() // before the client's goroutine, which may be asleep
				time.Sleep(10 * time.Minute)
			})
		})
	}
}

// The sum is bounded as well, however the phases are stretched.
func TestEstablishTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := byCall()
		cfg.Authenticator = slowAuthenticator(time.Hour, true)
		ts := startServer(&Server{PPP: cfg, NegotiationTimeout: 24 * time.Hour, EstablishTimeout: 20 * time.Second})
		defer ts.stop()
		start := time.Now()
		_, err := ts.dialer().DialContext(t.Context(), "vpn")
		if d := time.Since(start); err == nil || d < 20*time.Second || d > 25*time.Second {
			t.Errorf("%v after %v", err, d)
		}
	})
}

// Ten thousand connections that say nothing: as many are kept as may be in the making, and all of those are gone after
// the handshake's time.
func TestHalfOpenAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{MaxPending: 200, MaxPendingPerIP: 1000})
		defer ts.stop()
		before := runtime.NumGoroutine()
		for i := range 10_000 {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1024)
			if _, err := ts.l.DialFrom(t.Context(), from); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if st := ts.Stats(); st.Pending != 200 || st.Refused != 9_800 || st.Accepted != 10_000 {
			t.Errorf("%+v", st)
		}
		if n := runtime.NumGoroutine() - before; n > 250 {
			t.Errorf("%d goroutines more", n)
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if st := ts.Stats(); st.Pending != 0 {
			t.Errorf("%+v", st)
		}
		if c, err := ts.dialer().DialContext(t.Context(), "vpn"); err != nil {
			t.Error(err)
		} else {
			ended := serveLink(c)
			c.Close()
			<-ended
		}
	})
}

func TestPendingPerSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{MaxPendingPerIP: 3})
		defer ts.stop()
		dial := func(a string) net.Conn {
			c, err := ts.l.DialFrom(t.Context(), netip.AddrPortFrom(netip.MustParseAddr(a), 1024))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return c
		}
		for range 5 {
			dial("192.0.2.7")
		}
		dial("192.0.2.8")
		for _, a := range []string{"2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1:ffff::3", "2001:db8:0:1::4", "2001:db8:0:2::1"} {
			dial(a)
		}
		if st := ts.Stats(); st.Pending != 8 || st.Refused != 3 {
			t.Errorf("%+v", st)
		}
		time.Sleep(20 * time.Second)
		ts.Server.mu.Lock()
		n := len(ts.Server.sources)
		ts.Server.mu.Unlock()
		if n != 0 || ts.Stats().Pending != 0 {
			t.Errorf("%d sources are still counted, %+v", n, ts.Stats())
		}
	})
}

// Once open, a session counts against its source no more.
func TestOpenSessionsAreNotPending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{MaxPendingPerIP: 1, MaxPending: 1})
		defer ts.stop()
		var ends []chan error
		for range 5 {
			_, ended := ts.session(t, nil)
			ends = append(ends, ended)
		}
		if st := ts.Stats(); st.Sessions != 5 || st.Pending != 0 {
			t.Errorf("%+v", st)
		}
		ts.stop()
		for _, e := range ends {
			<-e
		}
	})
}

func TestMaxSessions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{MaxSessions: 1})
		defer ts.stop()
		c, ended := ts.session(t, nil)
		var he *HTTPError
		if _, err := ts.dialer().DialContext(t.Context(), "vpn"); !errors.As(err, &he) || he.Code != 503 {
			t.Errorf("the second: %v", err)
		}
		c.Close()
		<-ended
		time.Sleep(2 * time.Second)
		_, ended = ts.session(t, nil) // after the first has ended
		ts.stop()
		<-ended
	})
}

// Two that are in the making while there is room for one: the later one is turned away when it opens.
func TestMaxSessionsWhileOpening(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := byCall()
		cfg.Authenticator = slowAuthenticator(5*time.Second, true)
		ts := startServer(&Server{MaxSessions: 1, PPP: cfg})
		defer ts.stop()
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				c, err := ts.dialer().DialContext(t.Context(), "vpn")
				if err == nil {
					err = <-serveLink(c)
				}
				errs <- err
			}()
		}
		time.Sleep(10 * time.Second)
		if st := ts.Stats(); st.Sessions != 1 || st.Refused != 1 || st.Pending != 0 {
			t.Errorf("%+v", st)
		}
		<-errs
		ts.stop()
		<-errs
	})
}

// A lateConn is one of a PROXY protocol listener: its RemoteAddr waits for the client's header.
type lateConn struct {
	*memnet.Conn
	header chan net.Addr
	closed chan struct{}
	once   atomic.Bool
}

func (c *lateConn) RemoteAddr() net.Addr {
	select {
	case a := <-c.header:
		return a
	case <-c.closed:
		return nil
	}
}

func (c *lateConn) Close() error {
	if !c.once.Swap(true) {
		close(c.closed)
	}
	return c.Conn.Close()
}

func (c *lateConn) Raw() net.Conn { return c.Conn }

type lateListener struct {
	*memnet.Listener
	wrap func(*memnet.Conn) net.Conn
}

func (l lateListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c.(*memnet.Conn)), nil
}

// A PROXY header that does not come holds up its own connection only, and no longer than the handshake may take.
func TestRemoteAddrMayWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		ts.stop()
		var n atomic.Int32
		s := &Server{TLSConfig: testTLS(), PPP: byCall(), Handler: ts.collect}
		l := lateListener{newListener(), func(c *memnet.Conn) net.Conn {
			if n.Add(1) == 1 {
				return &lateConn{Conn: c, header: make(chan net.Addr), closed: make(chan struct{})}
			}
			return c
		}}
		done := make(chan error)
		go func() { done <- s.Serve(l) }()
		if _, err := l.Dial(t.Context(), "tcp", ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		d := ts.dialer()
		d.NetDial = l.Dial
		start := time.Now()
		c, err := d.DialContext(t.Context(), "vpn")
		if err != nil || time.Since(start) > time.Second {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		ended := serveLink(c)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if st := s.Stats(); st.Pending != 0 || st.HandshakeFailed != 1 || st.Sessions != 1 {
			t.Errorf("%+v", st)
		}
		s.Close()
		<-ended
		<-done
	})
}

// Accept errors that pass are waited out, and one bad connection does not end the server.
func TestAcceptGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &Server{TLSConfig: testTLS(), PPP: byCall(), Handler: new(testServer).collect}
		l := &failingListener{Listener: newListener(), errs: slices.Repeat([]error{temporaryError{}}, 12)}
		done := make(chan error)
		start := time.Now()
		go func() { done <- s.Serve(l) }()
		nc, err := l.Dial(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		// 5, 10, 20, ... 640 ms, then a second each
		if d := time.Since(start); d < 5*time.Second || d > 6*time.Second {
			t.Errorf("accepted after %v", d)
		}
		io.WriteString(nc, "not TLS")
		synctest.Wait()
		d := &Dialer{NetDial: l.Dial, TLSConfig: &tls.Config{RootCAs: roots(testCertificate())}}
		c, err := d.DialContext(t.Context(), "vpn")
		if err != nil {
			t.Fatal(err)
		}
		ended := serveLink(c)
		s.Close()
		<-ended
		if err := <-done; err != ErrServerClosed {
			t.Error(err)
		}
		boom := errors.New("boom")
		l = &failingListener{Listener: newListener(), errs: []error{boom}}
		s = &Server{TLSConfig: testTLS(), PPP: byCall(), Handler: new(testServer).collect}
		if err := s.Serve(l); err != boom {
			t.Error(err)
		}
	})
}

type temporaryError struct{}

func (temporaryError) Error() string   { return "too many open files" }
func (temporaryError) Temporary() bool { return true }

type failingListener struct {
	*memnet.Listener
	errs []error
}

func (l *failingListener) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, err
	}
	return l.Listener.Accept()
}

// The values of BaseContext reach Authenticator's session and Handler.
func TestBaseContext(t *testing.T) {
	type key struct{}
	bubble(t, func(t *testing.T) {
		got := make(chan any, 1)
		ts := startServer(&Server{
			BaseContext: func(net.Listener) context.Context { return context.WithValue(context.Background(), key{}, "base") },
			Handler: func(ctx context.Context, c *ppp.Conn) error {
				got <- ctx.Value(key{})
				<-ctx.Done()
				return context.Cause(ctx)
			},
		})
		defer ts.stop()
		c, err := ts.dialer().DialContext(t.Context(), "vpn")
		if err != nil {
			t.Fatal(err)
		}
		if v := <-got; v != "base" {
			t.Errorf("value %v", v)
		}
		ended := serveLink(c)
		ts.stop()
		<-ended
	})
}
