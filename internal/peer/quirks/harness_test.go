package quirks

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/internal/peer"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
)

const (
	user     = "alice"
	password = "secret"
)

// Addresses inside the tunnel, as hexadecimal options have them.
var (
	serverAddr = netip.MustParseAddr("10.8.0.1")
	clientAddr = netip.MustParseAddr("10.8.0.2")
)

const (
	serverHex = "0a080001"
	clientHex = "0a080002"
	dnsHex    = "c0000235" // 192.0.2.53
	zeroHex   = "00000000"
)

// testLog shows a log when a test is run with QUIRKS_LOG set.
func testLog() *slog.Logger {
	if os.Getenv("QUIRKS_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// A served is this library's Server, and what became of its sessions.
type served struct {
	*sstptest.Server
	t       *testing.T
	packets chan []byte      // what came through
	links   chan *ppp.Conn   // sessions, as they open
	ends    chan error       // and end
	config  *tls.Config      // of a client that trusts the server
	claims  *ppp.AuthRequest // the last request
}

// serve starts a Server with one account, one name server and no NetBIOS; edit may change it.
func serve(t *testing.T, edit func(*sstp.Server)) *served {
	s := &served{t: t, packets: make(chan []byte, 100), links: make(chan *ppp.Conn, 10), ends: make(chan error, 10)}
	know := ppp.PasswordFunc(func(_ context.Context, name string) (ppp.Secret, error) {
		if name != user && name != `EXAMPLE\`+user {
			return "", ppp.ErrNoUser
		}
		return password, nil
	})
	srv := &sstp.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{peer.Certificate()}},
		PPP: &ppp.Config{
			Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, r *ppp.AuthRequest) (*ppp.Grant, error) {
				s.claims = r
				return know.Authenticate(ctx, r)
			}),
			Auth: []ppp.AuthProtocol{ppp.MSCHAPv2},
			Addr: serverAddr,
			Pool: &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24")}},
			DNS:  []netip.Addr{netip.MustParseAddr("192.0.2.53")},
		},
		Handler: func(ctx context.Context, c *ppp.Conn) error {
			s.links <- c
			err := c.Serve(ctx, func(bufs [][]byte, offset int) (int, error) {
				for _, b := range bufs {
					s.packets <- append([]byte(nil), b[offset:]...)
				}
				return len(bufs), nil
			})
			s.ends <- err
			return err
		},
		Logger: testLog(),
	}
	if edit != nil {
		edit(srv)
	}
	s.Server = sstptest.NewServer(srv)
	s.config = s.Dialer(nil).TLSConfig.Clone()
	s.config.ServerName = peer.Host
	t.Cleanup(s.Close)
	return s
}

// pap makes a server ask for PAP.
func pap(s *sstp.Server) { s.PPP.Auth = []ppp.AuthProtocol{ppp.PAP} }

// noIPv6 makes a server speak IPv4 only.
func noIPv6(s *sstp.Server) { s.PPP.NoIPv6 = true }

// both makes two edits.
func both(a, b func(*sstp.Server)) func(*sstp.Server) {
	return func(s *sstp.Server) { a(s); b(s) }
}

// dial connects a scripted client; config nil is one that trusts the server.
func (s *served) dial(config *tls.Config) *peer.Peer {
	s.t.Helper()
	if config == nil {
		config = s.config
	}
	p := peer.Client(s.t, s.conn(), config)
	s.t.Cleanup(func() { p.Conn.NetConn().Close() })
	return p
}

// conn is a connection to the server without TLS.
func (s *served) conn() net.Conn {
	s.t.Helper()
	nc, err := s.Dialer(nil).NetDial(s.t.Context(), "tcp", s.Addr())
	if err != nil {
		s.t.Fatal(err)
	}
	return nc
}

// link waits for a session to open.
func (s *served) link() *ppp.Conn {
	s.t.Helper()
	select {
	case c := <-s.links:
		return c
	case <-time.After(peer.Patience):
		s.t.Fatal("no session opened")
	}
	return nil
}

// packet waits for an IP packet to get through the server.
func (s *served) packet() []byte {
	s.t.Helper()
	select {
	case b := <-s.packets:
		return b
	case <-time.After(peer.Patience):
		s.t.Fatal("no packet came through")
	}
	return nil
}

// none fails if a packet got through, or a session opened.
func (s *served) none() {
	s.t.Helper()
	if len(s.packets) > 0 || len(s.links) > 0 {
		s.t.Errorf("%d packets and %d sessions got through", len(s.packets), len(s.links))
	}
}

// lcp is a client's LCP: it sends its request, and again without what the server rejects.
func lcp(p *peer.Peer, id byte, options ...[]byte) {
	p.Send(peer.PPP(peer.LCP, peer.ConfReq, id, options...))
	p.WantCode(peer.LCP, peer.ConfAck)
}

// ipcp is a client's IPCP: it asks for an address and takes the one it is given.
func ipcp(t *testing.T, p *peer.Peer, id byte) {
	t.Helper()
	p.Send(peer.PPP(peer.IPCP, peer.ConfReq, id, peer.Opt(3, zeroHex)))
	q := p.WantCode(peer.IPCP, peer.ConfNak)
	a, _ := q.Option(3)
	p.Send(peer.PPP(peer.IPCP, peer.ConfReq, id+1, append([]byte{3, 6}, a...)))
	p.WantCode(peer.IPCP, peer.ConfAck)
}

// udp makes an IPv4 packet with one byte in it.
func udp(src, dst netip.Addr, marker byte) []byte {
	p := make([]byte, 29)
	p[0], p[3], p[8], p[9] = 0x45, byte(len(p)), 64, 17
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	p[25], p[28] = 9, marker
	return p
}

// fromClient is a data packet of the client's, to the server's address.
func fromClient(marker byte) []byte {
	return peer.Frame(peer.IPv4, udp(clientAddr, serverAddr, marker))
}

// A call is this library's Dialer at work on a scripted server.
type call struct {
	*peer.Peer
	t       *testing.T
	cert    []byte
	head    string // the client's request
	done    chan struct{}
	conn    *ppp.Conn
	err     error
	packets chan []byte
	ended   chan error
}

// dialer is a client with the account, without IPv6.
func dialer(auth ...ppp.AuthProtocol) *sstp.Dialer {
	return &sstp.Dialer{PPP: &ppp.Config{User: user, Password: password, Auth: auth, NoIPv6: true}}
}

// accept starts a Dialer and accepts its connection, up to TLS.
func accept(t *testing.T, d *sstp.Dialer, config *tls.Config) *call {
	t.Helper()
	if config == nil {
		config = &tls.Config{Certificates: []tls.Certificate{peer.Certificate()}}
	}
	c, nc := begin(t, d, config)
	c.Peer = peer.Server(t, nc, config)
	return c
}

// begin starts a Dialer and accepts its connection, without TLS.
func begin(t *testing.T, d *sstp.Dialer, config *tls.Config) (*call, net.Conn) {
	t.Helper()
	l := memnet.Listen(netip.MustParseAddrPort("198.51.100.1:443"))
	c := &call{
		t: t, cert: config.Certificates[0].Certificate[0],
		done: make(chan struct{}), packets: make(chan []byte, 100), ended: make(chan error, 1),
	}
	d.NetDial, d.Logger = l.Dial, testLog()
	if d.TLSConfig == nil {
		d.TLSConfig = &tls.Config{RootCAs: peer.Roots(config.Certificates...)}
	}
	go func() {
		defer close(c.done)
		c.conn, c.err = d.DialContext(context.Background(), peer.Host)
	}()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		<-c.done
		if c.conn != nil {
			c.conn.Close()
		}
	})
	return c, nc
}

// opened waits for the Dialer's link, and serves it from there on.
func (c *call) opened() *ppp.Conn {
	c.t.Helper()
	if err := c.result(); err != nil {
		c.t.Fatalf("the dial failed: %v; what it sent:\n%s", err, c.Log())
	}
	go func() {
		c.ended <- c.conn.Serve(context.Background(), func(bufs [][]byte, offset int) (int, error) {
			for _, b := range bufs {
				c.packets <- append([]byte(nil), b[offset:]...)
			}
			return len(bufs), nil
		})
	}()
	return c.conn
}

// result waits for the Dialer.
func (c *call) result() error {
	c.t.Helper()
	for range 20 {
		select {
		case <-c.done:
			return c.err
		default:
		}
		c.Quietly(time.Second)
	}
	c.t.Fatalf("the dial goes on; what it sent:\n%s", c.Log())
	return nil
}

// end waits for the session's end.
func (c *call) end() error {
	c.t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(2 * time.Minute):
		c.t.Fatal("the session did not end")
	}
	return nil
}

// lcp is a server's LCP: the Dialer's request is acknowledged as it is, then the server's own is.
func (c *call) lcp(id byte, options ...[]byte) {
	c.t.Helper()
	c.Auto = c.agree
	c.Send(peer.PPP(peer.LCP, peer.ConfReq, id, options...))
	c.WantCode(peer.LCP, peer.ConfAck)
}

// agree is what a server does by itself: it agrees on LCP, and gives the client its address and nothing else.
func (c *call) agree(q peer.Packet) {
	c.Agree(peer.LCP)(q)
	if !peer.Code(peer.IPCP, peer.ConfReq)(q) {
		return
	}
	var rejected []byte
	for b := q.Body(); len(b) >= 2; b = b[b[1]:] {
		if b[0] != 3 {
			rejected = append(rejected, b[:b[1]]...)
		}
	}
	a, _ := q.Option(3)
	switch {
	case len(rejected) > 0:
		c.Send(peer.PPP(peer.IPCP, peer.ConfRej, q.ID(), rejected))
	case string(a) != string(peer.Hex(clientHex)):
		c.Send(peer.PPP(peer.IPCP, peer.ConfNak, q.ID(), peer.Opt(3, clientHex)))
	default:
		c.Send(peer.PPP(peer.IPCP, peer.ConfAck, q.ID(), q.Body()))
	}
}

// ipcp is a server's IPCP.
func (c *call) ipcp(id byte) {
	c.t.Helper()
	c.Send(peer.PPP(peer.IPCP, peer.ConfReq, id, peer.Opt(3, serverHex)))
	c.WantCode(peer.IPCP, peer.ConfAck)
}

// open is a server that is as servers should be, with MS-CHAPv2, up to the open link.
func (c *call) open() *ppp.Conn {
	c.t.Helper()
	c.head = c.Accept(peer.SHA256)
	c.lcp(1, peer.Opt(3, "c22381"), peer.Opt(5, "01020304"))
	c.AskMSCHAPv2(2, user, password)
	c.WantBound(c.cert)
	c.ipcp(3)
	return c.opened()
}

// as returns err as a T.
func as[T error](t *testing.T, err error) (e T) {
	t.Helper()
	if !errors.As(err, &e) {
		t.Errorf("%T: %v, want a %T", err, err, e)
	}
	return e
}
