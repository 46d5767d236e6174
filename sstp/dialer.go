package sstp

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/internal/tlsconn"
	"github.com/dialway/dialway/ppp"
)

// A Dialer opens sessions. The zero Dialer has no credentials and trusts the system's roots.
type Dialer struct {
	// TLSConfig is cloned; nil means the system's roots and the name that is dialled. Sessions are not resumed.
	TLSConfig *tls.Config

	// Pins are SHA-256 of leaf certificates: one must match, and then chain and name need not; nil pins nothing.
	Pins [][32]byte

	PPP                *ppp.Config
	NetDial            func(ctx context.Context, network, addr string) (net.Conn, error) // nil means net.Dialer, with TCP keepalives after 45 seconds
	Proxy              func(addr string) (*url.URL, error)                               // http with Basic, socks5; nil means none
	NegotiationTimeout time.Duration                                                     // [MS-SSTP] 3.2.2.1, authentication included; 0 means 1 minute
	Hello              time.Duration                                                     // silence before an Echo Request; 0 means 1 minute
	SHA1               bool                                                              // binds also to servers that offer SHA-1 only
	Congestion         string                                                            // congestion control of the session's TCP, see Server; "" means the system's
	Logger             *slog.Logger                                                      // nil is silent
}

// DialContext returns an open link; addr may omit the port, which is 443 then. ctx bounds the dial, not the session.
// Serve the link, or it dies.
//
// The errors are crypto/tls's and net's, an *HTTPError, a *StatusError, a *BindingError, or ppp's *AuthError and
// *NegotiationError; when ctx has ended, context.Cause(ctx) is among them.
func (d *Dialer) DialContext(ctx context.Context, addr string) (*ppp.Conn, error) {
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	t := &dial{Dialer: d, host: host, port: port}
	link, err := t.run(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("sstp: dialling %s: %w: %w", addr, cause, err)
	}
	return link, err
}

// answerTime is what a server has for its HTTP answer, [MS-SSTP] section 4.1.
const answerTime = time.Minute

// goodbyeTime is what a dial whose ctx has ended may still take to hang up.
const goodbyeTime = time.Second

// A dial is one attempt: a straight list of steps, and what they learned.
type dial struct {
	*Dialer
	host, port string

	nc     net.Conn
	tls    *tlsconn.Conn
	call   ppp.Call
	linked atomic.Bool // there is a link, which says goodbye
}

// run does the steps.
func (d *dial) run(ctx context.Context) (*ppp.Conn, error) {
	nc, err := d.reach(ctx)
	if err != nil {
		return nil, err
	}
	d.nc = nc
	stop := context.AfterFunc(ctx, d.cut)
	defer stop()
	fc, err := d.preface()
	if err != nil {
		nc.Close()
		return nil, err
	}
	d.call.ID = fc.id()
	config := d.PPP
	if config == nil {
		config = new(ppp.Config)
	}
	link := ppp.Client(fc, d.call, config)
	d.linked.Store(true)
	err = link.Open(ctx)
	if !stop() && err == nil { // ctx ended as the link opened: the connection is about to be cut
		link.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	if d.Logger != nil {
		d.Logger.Info("sstp: session opened", "id", d.call.ID, "server", d.host, "addr", link.Info().Local)
	}
	return link, nil
}

// cut is called when ctx has ended: it ends every wait of preface by closing the connection, and leaves a link the time for a
// goodbye.
func (d *dial) cut() {
	if d.linked.Load() {
		time.AfterFunc(goodbyeTime, func() { d.nc.Close() })
	} else {
		d.nc.Close()
	}
}

// preface runs TLS, HTTP and Call Connect.
func (d *dial) preface() (fc *conn, err error) {
	for _, step := range []func() error{d.startTLS, d.request} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	fc = d.newConn()
	if err := fc.connect(); err != nil {
		fc.Close()
		return nil, err
	}
	return fc, nil
}

// startTLS runs the TLS handshake, whose end goes with the request.
func (d *dial) startTLS() error {
	if err := tlsconn.SetCongestion(d.nc, d.Congestion); err != nil {
		return fmt.Errorf("sstp: Dialer.Congestion: %w", err)
	}
	d.tls = tlsconn.Client(d.nc, clientTLS(d.TLSConfig, d.Pins, d.host))
	if err := d.tls.HandshakeLate(context.Background()); err != nil { // cut ends it when the dial's ctx does
		return err
	}
	state := d.tls.ConnectionState()
	if len(state.PeerCertificates) == 0 {
		return errors.New("sstp: the server showed no certificate: nothing to bind to")
	}
	d.call = ppp.Call{
		Tunnel:   "SSTP",
		Local:    addrPort(d.nc.LocalAddr()),
		Remote:   addrPort(d.nc.RemoteAddr()),
		Called:   d.host,
		TLS:      &state,
		Verified: verified(d.Pins, &state),
	}
	return nil
}

// request runs the HTTP exchange, [MS-SSTP] section 3.2.4.1. It waits for the answer before any packet: there are
// servers that throw away what comes in one read with the request.
func (d *dial) request() error {
	timer := time.AfterFunc(answerTime, func() { d.nc.Close() })
	defer timer.Stop()
	if _, err := d.tls.Write(appendRequest(make([]byte, 0, usualHead), d.host, d.port)); err != nil {
		return err
	}
	b, err := readHead(d.tls, nil, nil)
	if err != nil {
		return fmt.Errorf("sstp: no HTTP answer: %w", err)
	}
	h, err := parseHead(b)
	if err != nil {
		return err
	}
	code, err := statusCode(h.start)
	if err != nil {
		return err
	}
	if code != 200 {
		return &HTTPError{Code: code}
	}
	d.logger().Debug("sstp: HTTP accepted", "server", d.host, "status", code)
	return nil
}

// newConn makes the client's end of a call.
func (d *dial) newConn() *conn {
	c := &conn{
		stream:      ppp.NewStream(d.tls, framing{}),
		hello:       orDefault(d.Hello, defaultHello),
		negotiation: orDefault(d.NegotiationTimeout, defaultNegotiation),
		log:         callLogger(d.Logger, "server", d.host),
	}
	c.leaf = d.call.TLS.PeerCertificates[0].Raw
	c.allowSHA1 = d.SHA1
	return c
}

func (d *Dialer) logger() *slog.Logger {
	return cmp.Or(d.Logger, silent)
}

// dialNet dials by NetDial or net.
func (d *Dialer) dialNet(ctx context.Context, addr string) (net.Conn, error) {
	if d.NetDial != nil {
		return d.NetDial(ctx, "tcp", addr)
	}
	return dialer().DialContext(ctx, "tcp", addr)
}
