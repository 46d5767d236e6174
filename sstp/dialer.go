package sstp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A Dialer opens sessions. The zero Dialer has no credentials and trusts the system's roots.
type Dialer struct {
	TLSConfig *tls.Config // nil means the system's roots and the name that is dialled
	Pins      [][32]byte  // SHA-256 of leaf certificates: one must match, and then chain and name need not; nil pins nothing
	PPP       *ppp.Config
	NetDial   func(ctx context.Context, network, addr string) (net.Conn, error) // nil means net.Dialer
	Proxy     func(addr string) (*url.URL, error)                               // http with Basic, socks5; nil means none
	Hello     time.Duration                                                     // silence before an Echo Request; 0 means 1 minute
	SHA1      bool                                                              // binds also to servers that offer SHA-1 only
	Logger    *slog.Logger                                                      // nil is silent
}

// DialContext returns an open link; addr may omit the port, which is 443 then. ctx bounds the dial, not the session.
// Serve the link, or it dies.
func (d *Dialer) DialContext(ctx context.Context, addr string) (*ppp.Conn, error) {
	return nil, errors.ErrUnsupported
}
