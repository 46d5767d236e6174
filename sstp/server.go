package sstp

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/dialway/dialway/internal/tlsconn"
	"github.com/dialway/dialway/ppp"
)

// A Server serves SSTP. Set TLSConfig, PPP and Handler; the rest may be zero. It must not be copied once it serves.
type Server struct {
	Addr string // for ListenAndServe; "" means ":443"

	// TLSConfig is cloned. In the clone session tickets are off, since a client binds to the certificate that its
	// connection was served, and a resumed one is served none; MinVersion is TLS 1.2 where it says nothing; NextProtos
	// are "http/1.1" where there are none. Certificates may change while the Server runs, by GetCertificate.
	//
	// RouterOS speaks the CBC suites alone; Go offers them only where CipherSuites lists them:
	// TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, TLS_RSA_WITH_AES_256_CBC_SHA and
	// TLS_RSA_WITH_AES_128_CBC_SHA, with an RSA certificate and beside the suites of everybody else.
	//
	// nil means that TLS has ended in front of the connections that Serve accepts.
	TLSConfig *tls.Config

	// CertHashes returns the hashes, SHA-1 or SHA-256 or both, of the certificates that a TLS front may have served for
	// this call, old and new ones while they change. It is needed when TLSConfig is nil and ignored otherwise.
	CertHashes func(call *ppp.Call) [][]byte

	// PlainFrom lists who may connect when TLSConfig is nil, as the socket has it: the front, whatever a PROXY header
	// says. nil means loopback.
	PlainFrom []netip.Prefix

	PPP *ppp.Config // must have an Authenticator, a ForCall, or NoAuth

	// Handler has each session once its link is open, on the session's goroutine. Its ctx ends with the session, and when
	// Shutdown or Close begins (the cause is ErrServerClosed then); it has BaseContext's values. When it returns, the
	// session ends.
	Handler ppp.Handler

	// AcceptZeroKeyEAP lets clients that authenticate by EAP bind with zeros in the place of their keys, which some Windows
	// versions are said to do. Such a binding binds nothing: whoever can make a client believe in another certificate can
	// relay its EAP. The Logger is warned when the Server starts, and of each such session.
	AcceptZeroKeyEAP bool

	HandshakeTimeout   time.Duration // from accept until TLS and HTTP are through; 0 means 15 seconds
	NegotiationTimeout time.Duration // [MS-SSTP] 3.3.2.1, started when HTTP is through and at the Call Connect Request; 0 means 1 minute
	EstablishTimeout   time.Duration // from accept to open link, an Authenticator's time included; 0 means 150 seconds
	Hello              time.Duration // silence before an Echo Request; 0 means 61 seconds: a client whose interval is a minute asks first. Below 75 seconds open sessions do without TCP's keepalives, also a Listener's own
	MaxSessions        int           // 0 means no limit
	MaxPending         int           // sessions in the making; more wait in the listener's queue, or are refused when none gets on; 0 means 1024
	MaxPendingPerIP    int           // by IPv4 address or IPv6 /64; 0 means 16

	// Congestion is the congestion control of the sessions' TCP, by its name in the system ("cubic", "bbr"): Linux alone
	// knows it. It decides how much the tunnel's own TCP queues at the narrowest place of the way, and how loss slows it
	// down: with "bbr" both are small. With the others that queue is bounded by what is measured while packets wait. ""
	// leaves the system's choice.
	Congestion string

	BaseContext func(net.Listener) context.Context // nil means Background
	Logger      *slog.Logger                       // nil is silent

	mu        sync.Mutex
	closing   bool
	listeners map[*net.Listener]struct{} // by pointer: a listener need not be comparable
	sessions  map[*session]struct{}      // every connection that has not been given to the HTTPListener
	pending   int                        // of them, those that are not open
	opened    int                        // of them, those that are
	sources   map[netip.Prefix]int       // of those pending
	idle      chan struct{}              // closed when the last session ends; nil while nobody waits
	web       *webListener
	stats     ServerStats
	stuck     bool          // full, and nobody has come out of the making for a while
	room      chan struct{} // closed when somebody does; nil while no Serve waits

	turns   turns // of handshakes
	openers openers

	tlsOnce sync.Once
	tls     *tls.Config // of all connections
}

// Conn is ppp.Conn: an SSTP session is a PPP link, one type and one identity in route tables.
type Conn = ppp.Conn

// ErrServerClosed is returned by Serve after Shutdown or Close.
var ErrServerClosed = errors.New("sstp: server closed")

// ListenAndServe listens on Addr and serves.
func (s *Server) ListenAndServe() error {
	addr := s.Addr
	if addr == "" {
		addr = ":443"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// Serve accepts connections on l until Shutdown or Close, which close l. It never returns nil. It may be called for
// several listeners.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if err := s.check(); err != nil {
		return err
	}
	if err := tlsconn.SetCongestion(l, s.Congestion); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("sstp: Server.Congestion: %w", err)
	}
	if !s.listening(&l) {
		return ErrServerClosed
	}
	if s.AcceptZeroKeyEAP {
		s.logger().Warn("sstp: AcceptZeroKeyEAP: clients that authenticate by EAP may bind with zeros, which binds nothing")
	}
	defer s.unlisten(&l)
	ctx := context.Background()
	if s.BaseContext != nil {
		if ctx = s.BaseContext(l); ctx == nil {
			return errors.New("sstp: BaseContext returned nil")
		}
	}
	var delay time.Duration
	for {
		s.awaitRoom()
		nc, err := l.Accept()
		switch {
		case s.isClosing():
			if err == nil {
				nc.Close()
			}
			return ErrServerClosed
		case err == nil:
			delay = 0
			if x := s.admit(ctx, nc); x != nil {
				s.openers.run(x.begin)
			} else {
				nc.Close()
			}
			continue
		case !temporary(err):
			return err
		}
		// Out of descriptors, mostly: back off as net/http does.
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		s.logger().Warn("sstp: accept failed", "error", err, "again in", delay)
		time.Sleep(delay)
	}
}

// temporary says whether an accept may work later.
func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// check says what is missing before a server may start.
func (s *Server) check() error {
	switch {
	case !opennessSaid(s.PPP):
		return errors.New("sstp: Server.PPP has no Authenticator, no ForCall and not NoAuth: it would let everybody in")
	case s.Handler == nil:
		return errors.New("sstp: Server has no Handler")
	case s.TLSConfig == nil && s.CertHashes == nil:
		return errors.New("sstp: Server has no TLSConfig, and without one no CertHashes: nothing can bind to its TLS")
	case s.TLSConfig != nil && !servesCertificates(s.TLSConfig):
		return errors.New("sstp: Server.TLSConfig has no certificate")
	}
	return nil
}

// HTTPListener returns a listener of the connections that ask for anything but SSTP, past TLS, their first request
// unread: give it to your own http.Server. Until it is called, and once it is closed, they are answered 404.
//
// A connection that agreed on HTTP/2, or on an ACME challenge, comes as the *tls.Conn it is. The others have a method
// ConnectionState, by which net/http fills in Request.TLS. Your http.Server needs time-outs of its own
// (ReadHeaderTimeout, IdleTimeout): from there on these connections count in none of the limits here.
func (s *Server) HTTPListener() net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.web == nil || !s.web.open() {
		s.web = newWebListener(s)
		if s.closing {
			s.web.Close()
		}
	}
	return s.web
}

// Shutdown closes the listeners, ends every session in good order, and waits for the Handlers, at most until ctx ends;
// then it cuts what is left and returns ctx's error. Connections given to the HTTPListener are its taker's.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.close(false)
	s.mu.Lock()
	if len(s.sessions) == 0 {
		s.mu.Unlock()
		return err
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	select {
	case <-idle:
		return err
	case <-ctx.Done():
		s.close(true)
		return ctx.Err()
	}
}

// Close closes listeners and connections at once. It does not wait for the Handlers.
func (s *Server) Close() error { return s.close(true) }

// close stops the listeners and ends the sessions, in good order or by cutting them.
func (s *Server) close(cut bool) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	s.moved()
	for l := range s.listeners {
		if e := (*l).Close(); e != nil && !errors.Is(e, net.ErrClosed) && err == nil {
			err = e
		}
	}
	if s.web != nil {
		s.web.Close()
	}
	for x := range s.sessions {
		if cut {
			x.cut()
		} else {
			x.shutdown()
		}
	}
	return err
}

// Stats returns counters.
func (s *Server) Stats() ServerStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Pending, st.Sessions = s.pending, s.opened
	return st
}

// ServerStats counts connections, by fate.
type ServerStats struct {
	Accepted        uint64 // since the start
	HTTP            uint64 // asked for something else than SSTP
	Opened          uint64 // became sessions
	AuthFailed      uint64 // were refused by the Authenticator, or refused this server
	HandshakeFailed uint64 // ended before they were open, in TLS, HTTP, SSTP or PPP
	Refused         uint64 // did not fit a limit, or came from where they may not

	Pending, Sessions int // now
}

// tlsOfAll is made of TLSConfig once: a clone for each session would be half a kilobyte of its memory.
func (s *Server) tlsOfAll() *tls.Config {
	s.tlsOnce.Do(func() { s.tls = serverTLS(s.TLSConfig) })
	return s.tls
}

func (s *Server) logger() *slog.Logger {
	return cmp.Or(s.Logger, silent)
}

// silent is the Logger of who has none.
var silent = slog.New(slog.DiscardHandler)

// callLogger is the logger of one call.
func callLogger(l *slog.Logger, key string, value any) *slog.Logger {
	if l == nil {
		return silent
	}
	return l.With(key, value)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// listening notes a listener. It reports false once the server is closed.
func (s *Server) listening(l *net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if s.listeners == nil {
		s.listeners = make(map[*net.Listener]struct{})
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) unlisten(l *net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// addr returns the address of one of the listeners.
func (s *Server) addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		return (*l).Addr()
	}
	return &net.TCPAddr{}
}
