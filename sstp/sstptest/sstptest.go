// Package sstptest has an SSTP server in memory, as net/http/httptest has one for HTTP. It works under testing/synctest:
// its certificate is valid in a bubble's year 2000 and now, nothing in it waits for the outside, and its key and
// certificate are the same in every run.
//
//	synctest.Test(t, func(t *testing.T) {
//		srv := sstptest.NewServer(&sstp.Server{PPP: &ppp.Config{Authenticator: users, Pool: pool}})
//		defer srv.Close()
//		link, err := srv.Dialer(&ppp.Config{User: "alice", Password: "secret"}).DialContext(t.Context(), srv.Addr())
//		...
//	})
package sstptest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
)

// A Server is an sstp.Server on a network in memory.
type Server struct {
	Config *sstp.Server

	listener *memnet.Listener
	roots    *x509.CertPool
	ended    chan struct{} // closed when Serve has returned
	err      error         // then: why

	mu    sync.Mutex
	conns []*memnet.Conn
}

// host is the name in the certificate.
const host = "sstp.test"

// NewServer starts s. A TLSConfig that is nil becomes one with a certificate for the host of Addr, a Handler that is nil
// becomes one that serves each link and drops its packets. If s cannot start, dialling says why.
func NewServer(s *sstp.Server) *Server {
	cert := certificate()
	t := &Server{
		Config:   s,
		listener: memnet.Listen(netip.MustParseAddrPort("198.51.100.1:443")),
		roots:    x509.NewCertPool(),
		ended:    make(chan struct{}),
	}
	t.roots.AddCert(cert.Leaf)
	if s.TLSConfig == nil && s.CertHashes == nil {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	if s.TLSConfig != nil {
		for _, c := range s.TLSConfig.Certificates {
			if leaf, err := x509.ParseCertificate(c.Certificate[0]); err == nil {
				t.roots.AddCert(leaf)
			}
		}
	}
	if s.Handler == nil {
		s.Handler = func(ctx context.Context, c *ppp.Conn) error {
			return c.Serve(ctx, func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
		}
	}
	go func() {
		defer close(t.ended)
		t.err = s.Serve(t.listener)
	}()
	return t
}

// Dialer returns a Dialer that reaches and trusts the server.
func (s *Server) Dialer(c *ppp.Config) *sstp.Dialer {
	return &sstp.Dialer{TLSConfig: &tls.Config{RootCAs: s.roots}, PPP: c, NetDial: s.dial}
}

// dial connects to the server, whatever the address.
func (s *Server) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	nc, err := s.listener.Dial(ctx, network, s.Addr())
	if err != nil {
		select {
		case <-s.ended:
			err = fmt.Errorf("sstptest: the server has ended: %w", s.err)
		default:
		}
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, nc.(*memnet.Conn))
	return nc, nil
}

// Addr is what to dial.
func (s *Server) Addr() string { return host + ":443" }

// Cut breaks every connection without a goodbye.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Cut()
	}
	s.conns = nil
}

// Close shuts the server down and waits for it, and for its Handlers: ten seconds for them to end in good order.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s.Config.Shutdown(ctx)
	<-s.ended
}
