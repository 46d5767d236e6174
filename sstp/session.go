package sstp

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/dialway/dialway/internal/tlsconn"
	"github.com/dialway/dialway/ppp"
)

var (
	errHandshake = errors.New("sstp: no SSTP request within the HandshakeTimeout")
	errEstablish = errors.New("sstp: no open link within the EstablishTimeout")
	errWeb       = errors.New("sstp: not an SSTP request")
)

// A session is one accepted connection, from accept to end: until it is open on an opener's goroutine, then on its own.
type session struct {
	server *Server
	nc     net.Conn // as accepted
	began  time.Time
	ctx    context.Context // of the making: ends with its time, Shutdown or Close
	cancel context.CancelCauseFunc

	// What was learned on the way.
	conn net.Conn  // nc, or TLS over it
	leaf []byte    // the certificate that was served
	call *ppp.Call // the link's own once it is open

	timer *time.Timer // of the making: late
	given bool        // somebody else's now
	turn  bool        // its handshake computes

	// The server's lock guards what follows.
	phase   phase
	link    *ppp.Conn
	handler handlerContext // the Handler's
	source  netip.Prefix
	located bool
	settled bool
}

// begin opens the session, which goes on by itself then.
func (x *session) begin() {
	fc, err := x.handshake()
	if err != nil {
		x.end(err)
		return
	}
	link, err := x.open(fc)
	if err != nil {
		x.end(err)
		return
	}
	if err := x.opened(link); err != nil {
		hangUp(link, ppp.NASRequest, "no room")
		x.end(err)
		return
	}
	go x.serve()
}

// serve is the goroutine of an open session. While a session is idle, this frame and those above it are most of its memory.
func (x *session) serve() {
	err := x.server.Handler(&x.handler, x.link)
	hangUp(x.link, ppp.NASRequest, "")
	x.handler.end(context.Canceled)
	x.end(err)
}

// end is for what has come to its end, opened or not.
func (x *session) end(err error) {
	x.made()
	if !x.given {
		x.nc.Close()
	}
	x.server.forget(x, x.fate(err))
}

// made ends what belongs to the making of a session: an idle one keeps nothing of it.
func (x *session) made() {
	s := x.server
	s.mu.Lock()
	cancel, timer := x.cancel, x.timer
	x.ctx, x.cancel, x.timer = nil, nil, nil
	s.mu.Unlock()
	if cancel != nil {
		cancel(nil)
	}
	if timer != nil {
		timer.Stop()
	}
}

// fate logs why there is no session, or no more, and says what to count.
func (x *session) fate(err error) func(*ServerStats) {
	var (
		log    = x.server.logger()
		refuse *ppp.AuthError
	)
	switch {
	case x.link != nil:
		st := x.link.Stats()
		log.Info("sstp: session ended", "id", x.call.ID, "user", x.link.Info().User, "remote", x.call.Remote,
			"after", time.Since(x.began).Round(time.Second), "rx", st.RxBytes, "tx", st.TxBytes, "error", err)
		return nil
	case errors.Is(err, errWeb):
		log.Debug("sstp: web request", "remote", x.call.Remote)
		return func(s *ServerStats) { s.HTTP++ }
	case errors.Is(err, errRefused):
		log.Warn("sstp: connection refused", "remote", x.call.Remote, "error", err)
		return func(s *ServerStats) { s.Refused++ }
	case errors.As(err, &refuse):
		log.Info("sstp: authentication failed", "id", x.call.ID, "remote", x.call.Remote, "error", err)
		return func(s *ServerStats) { s.AuthFailed++ }
	case x.call.ID == "": // probes and scans: every port on the Internet has them
		log.Debug("sstp: no call", "remote", x.call.Remote, "error", err)
	default:
		log.Info("sstp: no session", "id", x.call.ID, "remote", x.call.Remote, "error", err)
	}
	return func(s *ServerStats) { s.HandshakeFailed++ }
}

// handshake is the straight part, up to the Call Connect Ack: who is it, TLS, HTTP, Call Connect.
func (x *session) handshake() (fc *conn, err error) {
	limit := orDefault(x.server.HandshakeTimeout, defaultHandshake)
	x.timer = time.AfterFunc(limit, x.late)
	for _, step := range []func() error{x.locate, x.startTLS, x.readRequest} {
		if err := step(); err != nil {
			if time.Since(x.began) >= limit {
				err = fmt.Errorf("%w: %w", errHandshake, err)
			}
			return nil, err
		}
	}
	if !x.timer.Stop() {
		return nil, errHandshake
	}
	fc = x.newConn()
	if err := fc.accept(); err != nil {
		fc.Close()
		return nil, err
	}
	return fc, x.server.established(x)
}

// locate finds out where the connection comes from, and whether it may.
func (x *session) locate() error {
	*x.call = ppp.Call{
		Tunnel: "SSTP",
		Remote: addrPort(x.nc.RemoteAddr()), // may wait for a PROXY header
		Local:  addrPort(x.nc.LocalAddr()),
	}
	if x.server.TLSConfig == nil {
		// The socket's other end is the front that ended TLS; what a PROXY header says is its client.
		front := socketPeer(x.nc)
		if !plainAllowed(x.server.PlainFrom, front) {
			return fmt.Errorf("%w: no TLS, and %v is not in PlainFrom", errRefused, front)
		}
		if front == x.call.Remote.Addr() {
			return nil // a front that does not tell its clients apart is all of them: no one source
		}
	}
	return x.server.locate(x, x.call.Remote.Addr())
}

// startTLS runs the TLS handshake. What agreed on another protocol than HTTP/1.1 is not SSTP's.
func (x *session) startTLS() error {
	x.conn = x.nc
	if err := tlsconn.SetCongestion(x.nc, x.server.Congestion); err != nil {
		x.server.logger().Warn("sstp: Server.Congestion is not in force", "remote", x.call.Remote, "error", err)
	}
	if x.server.TLSConfig == nil {
		return nil
	}
	c := tlsconn.Server(x.nc, x.server.tlsOfAll(), x)
	x.conn = c
	err := c.HandshakeContext(context.Background())
	if x.giveTurn(); err != nil {
		return err
	}
	if x.leaf == nil {
		return errors.New("sstp: TLS without a certificate: nothing to bind to")
	}
	state := c.ConnectionState()
	x.call.TLS = &state
	x.call.Called = state.ServerName
	switch state.NegotiatedProtocol {
	case "", "http/1.1":
		return nil
	}
	return x.giveAway(c.TLS())
}

// readRequest reads the HTTP request and accepts it, [MS-SSTP] section 4.1. Anything but SSTP's is given away at its
// first byte that differs, or answered 404.
func (x *session) readRequest() error {
	duplex := true
	head, err := readHead(x.conn, nil, func(head []byte) bool {
		duplex = goesOnDuplex(head)
		return duplex
	})
	if err != nil {
		return err
	}
	if !duplex {
		err := x.giveAway(unread(x.conn, head))
		if !x.given {
			if _, err := readHead(x.conn, head, nil); err == nil {
				x.refuse("404 Not Found")
			}
		}
		return err
	}
	r, err := parseRequest(head)
	if err != nil {
		return err
	}
	x.call.Tags = map[string]string{"path": r.path}
	if r.correlation != "" {
		x.call.Tags["correlation"] = r.correlation
	}
	if r.tenant != "" {
		x.call.Tags["tenant"] = r.tenant
	}
	if x.server.full() {
		x.refuse("503 Service Unavailable")
		return fmt.Errorf("%w: all sessions are taken", errRefused)
	}
	_, err = x.conn.Write(appendAccept(make([]byte, 0, usualHead), time.Now()))
	return err
}

// giveAway hands the connection to the HTTPListener, if there is one; it is its taker's then.
func (x *session) giveAway(c net.Conn) error {
	x.server.mu.Lock()
	web := x.server.web
	x.server.mu.Unlock()
	if web == nil || !x.timer.Stop() {
		return errWeb
	}
	rest := time.Until(x.began.Add(orDefault(x.server.HandshakeTimeout, defaultHandshake)))
	ctx, cancel := context.WithTimeout(x.ctx, rest)
	defer cancel()
	if web.hand(ctx, c) {
		x.given = true
	} else {
		x.timer.Reset(rest)
	}
	return errWeb
}

// refuse answers a request and hangs up.
func (x *session) refuse(status string) {
	x.conn.Write(appendRefusal(nil, status, time.Now()))
	x.conn.Close()
}

// newConn makes the server's end of a call.
func (x *session) newConn() *conn {
	s := x.server
	c := &conn{
		stream:      ppp.NewStream(x.conn, framing{}),
		server:      true,
		openers:     &s.openers,
		hello:       orDefault(s.Hello, defaultServerHello),
		negotiation: orDefault(s.NegotiationTimeout, defaultNegotiation),
		log:         callLogger(s.Logger, "remote", x.call.Remote),
	}
	c.zero = s.AcceptZeroKeyEAP
	if s.TLSConfig == nil {
		c.offer.hashes = s.CertHashes(x.call)
	} else {
		h1, h256 := sha1.Sum(x.leaf), sha256.Sum256(x.leaf)
		c.offer.hashes = [][]byte{h1[:], h256[:]}
	}
	return c
}

// open runs PPP until the link is open.
func (x *session) open(fc *conn) (*ppp.Conn, error) {
	x.call.ID = fc.id()
	link := ppp.Server(fc, *x.call, x.server.PPP)
	if err := link.Open(x.ctx); err != nil {
		if cause := context.Cause(x.ctx); cause != nil {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return nil, err
	}
	return link, nil
}

// opened makes a session of an open link, and the Handler's context.
func (x *session) opened(link *ppp.Conn) error {
	s := x.server
	if err := s.opens(x, link); err != nil {
		return err
	}
	x.made()
	rest(x.nc, orDefault(s.Hello, defaultServerHello))
	x.call = link.Info().Call
	if s.Logger != nil {
		s.Logger.Info("sstp: session opened", "id", x.call.ID, "user", link.Info().User, "remote", x.call.Remote,
			"addr", link.Info().Peer)
	}
	return nil
}

// hangUp says goodbye on a link that its Handler has not served to its end.
func hangUp(link *ppp.Conn, cause ppp.Cause, reason string) {
	link.Terminate(cause, reason)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	link.Serve(ctx, func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
}

// accept waits for the Call Connect Request and answers it.
func (c *conn) accept() error {
	if c.offer.protocols() == 0 {
		return errors.New("sstp: no certificate hash of 20 or 32 bytes to bind to")
	}
	return c.establish()
}

// connect sends the Call Connect Request and waits for the answer.
func (c *conn) connect() error {
	c.send(appendConnectRequest(nil))
	return c.establish()
}

// establish reads until the call has got past its first state. A server's Ack waits for what package ppp sends first.
func (c *conn) establish() error {
	c.Hold()
	c.timer = time.Now().Add(c.negotiation)
	for c.err == nil && c.state == connecting {
		frames, err := c.ReadFrames()
		if err != nil {
			return err
		}
		c.first = frames
	}
	return c.err
}

// id names the call at both ends alike: the nonce is this connection's alone and no secret.
func (c *conn) id() string { return hex.EncodeToString(c.offer.nonce[:]) }
