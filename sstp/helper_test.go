package sstp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/ppp"
)

var (
	serverIP = netip.MustParseAddr("10.8.0.1")
	clientIP = netip.MustParseAddr("10.8.0.2")
)

// testCertificate is made once: it takes time that a bubble does not have.
var testCertificate = sync.OnceValue(func() tls.Certificate { return testCert(new(testing.T), nil, "vpn") })

// testLog shows a log when a test is run with SSTP_LOG set.
func testLog() *slog.Logger {
	if os.Getenv("SSTP_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// byCall lets everybody in, with an address.
func byCall() *ppp.Config {
	return &ppp.Config{
		Auth: []ppp.AuthProtocol{ppp.NoProtocol},
		Authenticator: ppp.AuthenticatorFunc(func(context.Context, *ppp.AuthRequest) (*ppp.Grant, error) {
			return &ppp.Grant{User: "by call", Addr: clientIP}, nil
		}),
		Addr:   serverIP,
		NoIPv6: true,
	}
}

// A testServer is a Server on a network in memory that collects the packets of its sessions.
type testServer struct {
	*Server
	l    *memnet.Listener
	done chan struct{}

	accepted func(*memnet.Conn) // nil: nothing

	mu      sync.Mutex
	packets [][]byte
	links   []*ppp.Conn
	ends    []error
}

// startServer starts s, whose zero fields get test values. stop ends it and waits.
func startServer(s *Server) *testServer {
	ts := &testServer{Server: s, l: memnet.Listen(netip.MustParseAddrPort("198.51.100.1:443")), done: make(chan struct{})}
	if s.TLSConfig == nil && s.CertHashes == nil {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{testCertificate()}}
	}
	if s.PPP == nil {
		s.PPP = byCall()
	}
	if s.Handler == nil {
		s.Handler = ts.collect
	}
	s.Logger = testLog()
	go func() {
		defer close(ts.done)
		s.Serve(hookedListener{ts.l, ts.accept})
	}()
	return ts
}

func (ts *testServer) collect(ctx context.Context, c *ppp.Conn) error {
	ts.mu.Lock()
	ts.links = append(ts.links, c)
	ts.mu.Unlock()
	err := c.Serve(ctx, func(bufs [][]byte, offset int) (int, error) {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		for _, b := range bufs {
			ts.packets = append(ts.packets, append([]byte(nil), b[offset:]...))
		}
		return len(bufs), nil
	})
	ts.mu.Lock()
	ts.ends = append(ts.ends, err)
	ts.mu.Unlock()
	return err
}

// got returns the packets so far.
func (ts *testServer) got() [][]byte {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.packets
}

// ended returns why the sessions so far ended.
func (ts *testServer) ended() []error {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.ends
}

func (ts *testServer) stop() {
	ts.Close()
	<-ts.done
}

// dialer returns a Dialer that reaches and trusts the server.
func (ts *testServer) dialer() *Dialer {
	return &Dialer{
		NetDial:   ts.l.Dial,
		TLSConfig: &tls.Config{RootCAs: roots(testCertificate())},
		PPP:       &ppp.Config{NoIPv6: true},
		Logger:    testLog(),
	}
}

// A rawClient is a client whose SSTP call is up to its Ack and in the test's hands.
type rawClient struct {
	*dial
	fc *conn
}

// dialRaw runs the preface and the Call Connect exchange.
func (ts *testServer) dialRaw(t testing.TB) *rawClient {
	t.Helper()
	d := &dial{Dialer: ts.dialer(), host: "vpn", port: "443"}
	nc, err := d.reach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.nc = nc
	fc, err := d.preface()
	if err != nil {
		t.Fatal(err)
	}
	return &rawClient{dial: d, fc: fc}
}

// mem returns the connection under it all.
func (r *rawClient) mem() *memnet.Conn { return r.nc.(*memnet.Conn) }

// open runs PPP over the call, or over what wraps it.
func (r *rawClient) open(ctx context.Context, fc ppp.FrameConn) (*ppp.Conn, error) {
	if fc == nil {
		fc = r.fc
	}
	c := ppp.Client(fc, r.call, r.PPP)
	return c, c.Open(ctx)
}

// A hookedConn lets a test do something else where package ppp binds.
type hookedConn struct {
	*conn
	bind func(send, recv []byte) error
}

func (h hookedConn) Bind(send, recv []byte) error { return h.bind(send, recv) }

// ipPacket makes an IPv4 packet with one byte in it.
func ipPacket(src, dst netip.Addr, marker byte) []byte {
	p := make([]byte, 21)
	p[0], p[3], p[8], p[9] = 0x45, 21, 64, 17
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	p[20] = marker
	return p
}

// ipData makes a data packet of an IPv4 packet of the client's.
func ipData(marker byte) []byte {
	return framing{}.AppendFrame(nil, ipFrame[:4], ipPacket(clientIP, serverIP, marker))
}

// serveLink serves a client's link in the background.
func serveLink(c *ppp.Conn) (ended chan error) {
	ended = make(chan error, 1)
	go func() {
		ended <- c.Serve(context.Background(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
	}()
	return ended
}

// statusOf returns the StatusError in err.
func statusOf(err error) *StatusError {
	var se *StatusError
	if errors.As(err, &se) {
		return se
	}
	return &StatusError{Status: 0xffff}
}

// rawTLS dials and runs TLS only.
func (ts *testServer) rawTLS(t testing.TB, config *tls.Config) *tls.Conn {
	t.Helper()
	nc, err := ts.l.Dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	if config == nil {
		config = &tls.Config{InsecureSkipVerify: true}
	}
	c := tls.Client(nc, config)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

// until waits in a bubble for a condition, at most d of its time.
func until(d time.Duration, cond func() bool) bool {
	for end := time.Now().Add(d); ; time.Sleep(10 * time.Millisecond) {
		if cond() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func testTLS() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{testCertificate()}} }

func newListener() *memnet.Listener {
	return memnet.Listen(netip.MustParseAddrPort("198.51.100.1:443"))
}

// slowAuthenticator decides by the call, after d.
func slowAuthenticator(d time.Duration, accept bool) ppp.Authenticator {
	return ppp.AuthenticatorFunc(func(ctx context.Context, _ *ppp.AuthRequest) (*ppp.Grant, error) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !accept {
			return nil, &ppp.AuthError{}
		}
		return &ppp.Grant{User: "slow", Addr: clientIP}, nil
	})
}

func mustAddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// failNext makes the nth read or write of the connection that the server accepts next fail, and all after it.
func (ts *testServer) failNext(op string, n int) {
	ts.accepted = func(c *memnet.Conn) {
		if op == "read" {
			c.FailRead(n)
		} else {
			c.FailWrite(n)
		}
	}
}

// Accept lets a test have each connection first.
func (ts *testServer) accept(c net.Conn) {
	if ts.accepted != nil {
		ts.accepted(c.(*memnet.Conn))
	}
}

// A hookedListener shows what it accepts.
type hookedListener struct {
	*memnet.Listener
	show func(net.Conn)
}

func (l hookedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.show(c)
	}
	return c, err
}

// session dials, serves the client's end, and waits for the server's to be open too.
func (ts *testServer) session(t testing.TB, d *Dialer) (c *ppp.Conn, ended chan error) {
	t.Helper()
	if d == nil {
		d = ts.dialer()
	}
	before := ts.Stats().Sessions
	c, err := d.DialContext(t.Context(), "vpn")
	if err != nil {
		t.Fatal(err)
	}
	ended = serveLink(c)
	if !until(10*time.Second, func() bool { return ts.Stats().Sessions > before }) {
		t.Fatal("the server's end does not open")
	}
	return c, ended
}
