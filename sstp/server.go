package sstp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A Server serves SSTP. Set TLSConfig, PPP and Handler; the rest may be zero.
type Server struct {
	Addr      string      // for ListenAndServe; "" means ":443"
	TLSConfig *tls.Config // cloned; session tickets are off in the clone; nil: Serve's connections are past TLS

	// CertHashes returns the hashes, SHA-1 or SHA-256, of what a TLS front may have served for this call. It is needed
	// when TLSConfig is nil and ignored otherwise.
	CertHashes func(call *ppp.Call) [][]byte
	PlainFrom  []netip.Prefix // who may connect when TLSConfig is nil; nil means loopback

	PPP     *ppp.Config // must have an Authenticator, a ForCall, or NoAuth
	Handler ppp.Handler // has each session once its link is open

	HandshakeTimeout   time.Duration // TLS and HTTP; 0 means 15 seconds
	NegotiationTimeout time.Duration // [MS-SSTP] 3.3.2.1, started when HTTP is through and at the Call Connect Request; 0 means 1 minute
	EstablishTimeout   time.Duration // from accept to open link, an Authenticator's time included; 0 means 150 seconds
	Hello              time.Duration // silence before an Echo Request; 0 means 1 minute
	MaxSessions        int           // 0 means no limit
	MaxPending         int           // sessions in the making; 0 means 1024
	MaxPendingPerIP    int           // by IPv4 address or IPv6 /64; 0 means 16

	BaseContext func(net.Listener) context.Context // nil means Background
	Logger      *slog.Logger                       // nil is silent
}

// Conn is ppp.Conn: an SSTP session is a PPP link, one type and one identity in route tables.
type Conn = ppp.Conn

// ErrServerClosed is returned by Serve after Shutdown or Close.
var ErrServerClosed = errors.New("sstp: server closed")

// ListenAndServe listens on Addr and serves.
func (s *Server) ListenAndServe() error { return errors.ErrUnsupported }

// Serve accepts connections on l until Shutdown or Close, which close l.
func (s *Server) Serve(l net.Listener) error { return errors.ErrUnsupported }

// HTTPListener returns a listener of the connections that ask for anything but SSTP, past TLS, their first request
// unread: give it to your own http.Server. Until it is called, and once it is closed, they are answered 404.
func (s *Server) HTTPListener() net.Listener { return nil }

// Shutdown closes the listeners, ends every session in good order, and waits for the Handlers, at most until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { return errors.ErrUnsupported }

// Close closes listeners and connections at once.
func (s *Server) Close() error { return errors.ErrUnsupported }

// Stats returns counters.
func (s *Server) Stats() ServerStats { return ServerStats{} }

// ServerStats counts connections, by fate.
type ServerStats struct {
	Accepted, HTTP, Opened, AuthFailed, HandshakeFailed, Refused uint64 // since the start
	Pending, Sessions                                            int    // now
}
