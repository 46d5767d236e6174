package radius

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	defaultConns = 1024
	mostUnproven = 64 // connections that have not finished their handshake
	mostOfSource = 8  // of these, from one address
	idleTime     = time.Hour
)

// ServeTLS answers RadSec (RFC 6614) connections of l until Shutdown or Close, which close l. It never returns nil. It may
// run beside Serve, and for several listeners.
//
// A client is known by its certificate alone: Clients is not asked. TLSConfig must have it verified, against ClientCAs; who
// of those may come is said by VerifyConnection, as is all of it where ClientAuth is RequireAnyClientCert. A Handler finds
// the certificate by ConnectionState. The shared secret is "radsec".
func (s *Server) ServeTLS(l net.Listener) error {
	defer l.Close()
	config, err := s.tlsConfig()
	if err != nil {
		return err
	}
	e := &listenEnd{l}
	if err := s.serving(e); err != nil {
		return err
	}
	defer s.served(e)
	var streams sync.WaitGroup
	err = s.acceptTLS(l, &streams, config)
	streams.Wait()
	if err == ErrServerClosed {
		<-s.drained
	}
	return err
}

// tlsConfig is the Server's own, in which every client must prove who it is.
func (s *Server) tlsConfig() (*tls.Config, error) {
	if s.TLSConfig == nil {
		return nil, errors.New("radius: ServeTLS without TLSConfig")
	}
	c := s.TLSConfig.Clone()
	looked := c.ClientAuth == tls.RequireAnyClientCert && (c.VerifyConnection != nil || c.VerifyPeerCertificate != nil)
	if !looked {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if !mayServeTLS(c.ClientAuth == tls.RequireAndVerifyClientCert, c.ClientCAs != nil, looked) {
		return nil, errors.New("radius: ServeTLS without TLSConfig.ClientCAs: any certificate in the world would do")
	}
	// It could return a Config in which nobody is verified.
	if c.GetConfigForClient != nil {
		return nil, errors.New("radius: ServeTLS with TLSConfig.GetConfigForClient, which could leave the client's certificate unverified")
	}
	return c, nil
}

// acceptTLS hands each connection to a goroutine of its own before anything is read from it: one that says nothing holds
// nobody up. It takes connections until the listener ends.
func (s *Server) acceptTLS(l net.Listener, streams *sync.WaitGroup, config *tls.Config) error {
	var delay time.Duration
	for {
		conn, err := l.Accept()
		switch {
		case s.isClosing():
			if err == nil {
				conn.Close()
			}
			return ErrServerClosed
		case err == nil:
			delay = 0
			if from := streamAddr(conn); s.enter(from.Addr()) {
				streams.Go(func() { s.connection(conn, config, from) })
			} else {
				s.log().Warn("radius: too many connections, one is closed", "from", from)
				conn.Close()
			}
		case errors.Is(err, net.ErrClosed):
			return err
		default: // too many open files, or the like
			delay = min(max(2*delay, time.Millisecond), time.Second)
			time.Sleep(delay)
		}
	}
}

// enter counts a connection, if there is room. Who has not proved anything has less of it, and no address has all of that: the
// clients that are known must be able to come back after an outage whoever else knocks.
func (s *Server) enter(from netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := s.MaxConns
	if most <= 0 {
		most = defaultConns
	}
	if s.streams >= most || s.unproven >= mostUnproven || s.sources[from] >= mostOfSource {
		return false
	}
	if s.sources == nil {
		s.sources = make(map[netip.Addr]int)
	}
	s.streams++
	s.unproven++
	s.sources[from]++
	return true
}

// proved counts a connection no longer among those that have not said who they are.
func (s *Server) proved(from netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unproven--
	if s.sources[from]--; s.sources[from] == 0 {
		delete(s.sources, from)
	}
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams--
}

// connection serves one.
func (s *Server) connection(raw net.Conn, config *tls.Config, from netip.AddrPort) {
	defer s.leave()
	conn := tls.Server(raw, config)
	e := &stream{conn: conn, ended: make(chan struct{})}
	defer close(e.ended)
	defer e.Close()
	if s.serving(e) != nil {
		s.proved(from.Addr())
		return
	}
	defer s.served(e)
	// All of it in this time, whoever is slow.
	ctx, cancel := context.WithTimeout(s.ctx, dialTime)
	err := conn.HandshakeContext(ctx)
	cancel()
	s.proved(from.Addr())
	if err != nil {
		s.log().Info("radius: RadSec handshake failed", "from", from, "err", err)
		return
	}
	state := conn.ConnectionState()
	names := certificateNames(&state)
	s.mu.Lock()
	e.state = &state
	s.mu.Unlock()
	s.log().Info("radius: RadSec client connected", "from", from, "certificate", names)
	err = s.requests(e, from, context.WithValue(s.ctx, stateKey{}, &arrival{s, &state}))
	if s.isClosing() {
		<-s.drained // answers under way need it
		return
	}
	s.log().Info("radius: RadSec client left", "from", from, "certificate", names, "err", err)
}

// requests takes what comes over a connection until it ends.
func (s *Server) requests(e *stream, from netip.AddrPort, ctx context.Context) error {
	b := make([]byte, maxPacket)
	for {
		n, err := readPacket(e.conn, b, idleTime, s.isClosing)
		if err != nil {
			return err
		}
		if isDynamicReply(Code(b[0])) {
			if err := e.reply(b[:n]); err != nil {
				s.drop(from, err)
				if !errors.As(err, new(lateError)) {
					return err
				}
			}
			continue
		}
		r := &request{server: s, ctx: ctx, way: e, sealed: true, from: from, secret: radsecSecret}
		if err := r.take(b[:n]); err != nil {
			s.drop(from, err)
			if !errors.As(err, new(unwantedError)) {
				return err // RFC 6613 section 2.6.4: the connection is of no use any more
			}
		}
	}
}

// A listenEnd is a listener.
type listenEnd struct{ l net.Listener }

func (e *listenEnd) interrupt()   { e.l.Close() }
func (e *listenEnd) Close() error { return e.l.Close() }

// A stream is a connection of a RadSec client.
type stream struct {
	table  // of requests that the Server has sent
	conn   *tls.Conn
	writes sync.Mutex
	ended  chan struct{}
	state  *tls.ConnectionState // nil: it has not said who it is. Server.mu guards it
}

func (e *stream) interrupt() { e.conn.SetReadDeadline(time.Unix(1, 0)) }

// Close closes without TLS' goodbye, which might wait for one who takes nothing.
func (e *stream) Close() error { return e.conn.NetConn().Close() }

// send writes a reply. Replies of a connection are not ordered: each leaves when it is there.
func (e *stream) send(b []byte, _ netip.AddrPort) {
	if writePacket(e.conn, &e.writes, b) != nil {
		e.Close()
	}
}

func (e *stream) accounts() bool { return false }

type stateKey struct{}

// An arrival is how a request came by RadSec.
type arrival struct {
	server *Server
	state  *tls.ConnectionState
}

// ConnectionState returns the TLS connection by which a request came, for a Handler, an Authenticator or Account to know
// the access server's certificate; nil: it came by UDP.
func ConnectionState(ctx context.Context) *tls.ConnectionState {
	if a, ok := ctx.Value(stateKey{}).(*arrival); ok {
		return a.state
	}
	return nil
}
