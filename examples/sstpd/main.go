// Sstpd is an SSTP server: it gives clients that know a password an address, and carries their packets to the system's
// network, or, without root, dials again what they connect to.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/eap"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel"
)

func main() { cli.Main(run) }

func run(ctx context.Context, args []string, _, stderr io.Writer) error {
	c, err := parse(args, stderr)
	if err != nil {
		return err
	}
	log := cli.Logger(stderr, c.verbose)
	s := &server{config: c, log: log, sessions: new(ppp.Sessions), names: newDDNS(&c.ddns, log)}
	if err := s.load(); err != nil {
		return err
	}
	if s.aaa != nil {
		if err := s.aaa.listen(c.radius.coa); err != nil {
			return err
		}
	}
	ctx, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	giveBack, err := s.openPools(ctx, ended)
	if err != nil {
		return err
	}
	defer giveBack()
	host, err := s.openHost(ctx)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", c.listen)
	if err != nil {
		host.Close()
		return err
	}
	return s.serve(ctx, host, l)
}

// A server is what runs.
type server struct {
	*config
	log  *slog.Logger
	cert atomic.Pointer[tls.Certificate]
	who  who
	aaa  *aaa // of -radius; nil without

	sessions *ppp.Sessions // those that are open
	names    *ddns         // of -ddns; nil without
	pools    pools
}

// load reads certificate and users; what is wrong leaves both as they were.
func (s *server) load() error {
	cert, err := s.cert.Load(), error(nil)
	switch {
	case s.config.cert != "":
		c, err := tls.LoadX509KeyPair(s.config.cert, s.key)
		if err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
		cert = &c
	case cert == nil:
		if cert, err = selfSigned(s.listen); err != nil {
			return err
		}
		s.log.Info("made a certificate: clients can trust it by its fingerprint", "fingerprint", cli.Fingerprint(cert.Certificate[0]))
	}
	if s.who == nil {
		err = s.openWho()
	} else {
		err = s.who.reload()
	}
	if err == nil {
		s.cert.Store(cert)
		s.fixAddresses()
	}
	return err
}

// selfSigned makes a certificate for the names by which this machine may be dialled.
func selfSigned(listen string) (*tls.Certificate, error) {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil {
		names = append([]string{name}, names...)
	}
	if host, _, _ := net.SplitHostPort(listen); host != "" && !slices.Contains(names, host) {
		names = append(names, host)
	}
	return cli.SelfSigned(names...)
}

// serve runs until ctx ends or something fails, and closes host and l.
func (s *server) serve(ctx context.Context, host tunnel.PacketIO, l net.Listener) error {
	rt := &tunnel.Router{Uplink: host, Logger: s.log}
	var err error
	var local *local
	if s.pools.all == nil {
		err = s.makePools()
	}
	if err == nil {
		rt.Routes, err = s.routes(host)
	}
	if err == nil {
		local, err = s.openLocal(host, rt.Routes)
	}
	if err != nil {
		host.Close()
		l.Close()
		return err
	}
	rt.Local = &local.table
	queues := queuesOf(host)
	failed := make(chan error, 5+len(queues))
	hosting, closeHost := context.WithCancel(context.WithoutCancel(ctx)) // outlives the sessions
	var wg sync.WaitGroup
	defer wg.Wait()
	defer closeHost()
	for _, q := range queues {
		wg.Go(func() { failed <- rt.Serve(hosting, q) })
	}
	wg.Go(func() { failed <- local.serve(hosting) })
	if s.aaa != nil {
		accounting, stop := context.WithCancel(ctx)
		defer stop()
		wg.Go(func() { failed <- s.aaa.account(accounting) })
		if s.aaa.coa != nil {
			wg.Go(func() { failed <- s.aaa.answer(accounting) })
		}
	}

	if len(s.proxies) > 0 {
		l = proxyListener{l, s.proxies}
	}
	srv := s.sstp(rt, local.link)
	defer s.hangups()()
	if s.web != "" {
		defer s.serveWeb(srv)()
	}
	wg.Go(func() { failed <- srv.Serve(l) })
	s.log.Info("ready", "listen", l.Addr(), "server", s.addr, "pool", s.pool, "tun", s.tun,
		"fingerprint", cli.Fingerprint(s.cert.Load().Certificate[0]))

	select {
	case err = <-failed:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.log.Info("ending", "sessions", srv.Stats().Sessions)
	local.close(s)
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = errors.Join(err, srv.Shutdown(bye))
	s.names.end(bye)
	return err
}

// sstp makes the server. link is what a session's link is to the Router.
func (s *server) sstp(rt *tunnel.Router, link func(tunnel.Link) tunnel.Link) *sstp.Server {
	tc := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cert.Load(), nil },
	}
	if s.web != "" {
		tc.NextProtos = []string{"h2", "http/1.1"}
	}
	if s.legacyTLS {
		tc.MinVersion = tls.VersionTLS10
		for _, c := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			tc.CipherSuites = append(tc.CipherSuites, c.ID)
		}
	}
	return &sstp.Server{
		TLSConfig: tc,
		PPP: &ppp.Config{
			Authenticator: s.authenticator(),
			Auth:          s.auth,
			Sessions:      s.sessions,
			Addr:          s.addr,
			Pool:          s.pools.all,
			DNS:           s.dns,
			NBNS:          s.ddns.wins,
			MTU:           s.mtu,
			Logger:        s.log,
		},
		Congestion: s.congestion,
		Handler: func(ctx context.Context, c *ppp.Conn) error {
			if s.aaa != nil {
				s.aaa.acct.Start(c)
			}
			defer s.names.begin(ctx, c)()
			return rt.ServeLink(ctx, link(c))
		},
		Logger: s.log, // one line for each session's start and end
	}
}

// authenticator is who answers logins. EAP is spoken here, or passed through to RADIUS.
func (s *server) authenticator() ppp.Authenticator {
	if s.aaa != nil {
		return s.who
	}
	// What is not EAP goes to Next as it is.
	return &eap.Authenticator{Methods: []eap.Method{&eap.MSCHAPv2{}}, Next: s.who}
}

// hangups reads certificate and users again at each SIGHUP, until the func it returns is called.
func (s *server) hangups() (stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	go func() {
		for range c {
			if err := s.load(); err != nil {
				s.log.Error("reload failed: what was read before stays", "why", err)
				continue
			}
			log := s.log
			if n := s.who.count(); n >= 0 {
				log = log.With("users", n)
			}
			log.Info("reloaded", "fingerprint", cli.Fingerprint(s.cert.Load().Certificate[0]))
		}
	}()
	return func() { signal.Stop(c); close(c) }
}

// serveWeb shows a directory to browsers that come to the same port.
func (s *server) serveWeb(srv *sstp.Server) (stop func() error) {
	web := &http.Server{
		Handler:           http.FileServer(http.Dir(s.web)),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	go web.Serve(srv.HTTPListener())
	return web.Close
}
