package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/examples/internal/policies"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/access"
	"github.com/dialway/dialway/radius"
)

// A service is what runs. What a configuration says of it is replaced as a whole.
type service struct {
	fixed
	log      *slog.Logger
	server   radius.Server
	journal  *radius.Journal  // nil: accounting is not kept
	file     *access.File     // nil: nobody is known here
	accounts *access.Accounts // one for all configurations: it remembers who has guessed too often
	now      atomic.Pointer[state]
	dynamic  radius.Dynamic // what home servers ask of access servers
	ways     radius.Ways    // to those: what a proxy knows, the next one does
	pools    pools
}

// A state is what a configuration says.
type state struct {
	*config
	proxy *radius.Proxy
	auth  ppp.Authenticator // nil: nobody is known here
	homes radius.Secrets    // of home servers that may ask at coa
}

func newService(c *config, log *slog.Logger) (*service, error) {
	s := &service{fixed: c.fixed, log: log}
	s.dynamic = radius.Dynamic{Handler: s.handle, Logger: log,
		Clients: func(from netip.Addr) (radius.Secret, bool) { return s.now.Load().homes.Find(from) }}
	s.pools = pools{log: log, dynamic: &s.dynamic}
	if c.accounts != "" {
		file, err := access.OpenFile(c.accounts)
		if err != nil {
			return nil, err
		}
		s.file, s.accounts = file, &access.Accounts{Store: &here{File: file, service: s}}
	}
	s.server = radius.Server{
		Clients:  func(from netip.Addr) (radius.Secret, bool) { return s.now.Load().clients.Find(from) },
		Handler:  s.handle,
		Accept:   addFilters,
		Unsigned: c.unsigned,
		Logger:   log,
	}
	if s.file != nil {
		s.server.Authenticator = ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			return s.now.Load().auth.Authenticate(ctx, req)
		})
	}
	if c.accounting != "" {
		s.journal = &radius.Journal{Name: c.accounting}
		if err := s.journal.Reopen(); err != nil { // what is wrong is said now
			return nil, err
		}
		s.server.Account = s.journal.Account
	}
	if c.radsecListen != "" {
		s.server.TLSConfig = s.radsec()
	}
	return s, nil
}

// handle is the proxy of the configuration there is now.
func (s *service) handle(ctx context.Context, from netip.AddrPort, p *radius.Packet) (*radius.Packet, error) {
	return s.now.Load().proxy.Handle(ctx, from, p)
}

// radsec has the certificates of the configuration there is now, for who connects from then on.
func (s *service) radsec() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.now.Load().radsec.cert, nil },
		ClientAuth:     tls.RequireAnyClientCert, // VerifyConnection verifies
		VerifyConnection: func(cs tls.ConnectionState) error {
			r := s.now.Load().radsec
			leaf, between := cs.PeerCertificates[0], x509.NewCertPool()
			for _, c := range cs.PeerCertificates[1:] {
				between.AddCert(c)
			}
			_, err := leaf.Verify(x509.VerifyOptions{Roots: r.ca, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			if err != nil || r.names == nil {
				return err
			}
			for _, name := range append(slices.Clone(leaf.DNSNames), leaf.Subject.CommonName) {
				if slices.Contains(r.names, name) {
					return nil
				}
			}
			return fmt.Errorf("certificate of %q, which is not among the names", leaf.Subject.CommonName)
		},
	}
}

// addFilters tells an access server the filters of the policy that has decided.
func addFilters(p *radius.Packet, g *ppp.Grant) {
	if a, ok := g.Value.(*policies.Applied); ok {
		for _, id := range a.Filters {
			p.Add(radius.FilterID, []byte(id))
		}
	}
}

// use takes a configuration.
func (s *service) use(c *config) error {
	next := &state{config: c}
	realms, err := s.pools.use(c)
	if err != nil {
		return err
	}
	next.proxy = &radius.Proxy{Realms: realms, Edit: c.edit, Back: c.back, Ways: &s.ways, Logger: s.log}
	next.homes = s.homeSecrets(c)
	if s.file != nil {
		next.auth = c.authenticator(s.accounts)
	}
	s.now.Store(next)
	return nil
}

// run serves until ctx ends or something fails.
func (s *service) run(ctx context.Context, c *config, hangup <-chan os.Signal, reread func() (*config, error)) error {
	defer s.pools.close()
	if err := s.use(c); err != nil {
		return err
	}
	failed := make(chan error, len(s.listen)+2)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer s.server.Close() // before it
	for _, addr := range s.listen {
		pc, err := net.ListenPacket("udp", addr)
		if err != nil {
			return err
		}
		wg.Go(func() { failed <- s.server.Serve(pc) })
	}
	if s.coa != "" {
		pc, err := net.ListenPacket("udp", s.coa)
		if err != nil {
			return err
		}
		defer s.dynamic.Close()
		wg.Go(func() { failed <- s.dynamic.Serve(pc) })
	}
	if s.radsecListen != "" {
		l, err := net.Listen("tcp", s.radsecListen)
		if err != nil {
			return err
		}
		wg.Go(func() { failed <- s.server.ServeTLS(l) })
	}
	s.log.Info("ready", "listen", s.listen, "radsec", s.radsecListen, "coa", s.coa, "clients", len(c.clients), "realms", len(c.realms))
	for {
		select {
		case err := <-failed:
			return err
		case <-hangup:
			s.reload(reread)
		case <-ctx.Done():
			s.log.Info("ending")
			bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			if s.journal != nil {
				defer s.journal.Close()
			}
			return errors.Join(context.Cause(ctx), s.server.Shutdown(bye))
		}
	}
}

// reload reads all files again; what is wrong leaves everything as it was.
func (s *service) reload(reread func() (*config, error)) {
	c, err := reread()
	if err == nil && (!slices.Equal(c.listen, s.listen) || c.radsecListen != s.radsecListen || c.coa != s.coa || c.accounts != s.fixed.accounts || c.accounting != s.accounting || c.unsigned != s.server.Unsigned) {
		err = errors.New("listen, coa, unsigned, and the names of accounts and accounting count from a start on")
	}
	if err == nil && s.file != nil {
		err = s.file.Reload()
	}
	if err == nil {
		err = s.use(c)
	}
	if err == nil && s.journal != nil {
		err = s.journal.Reopen()
	}
	if err != nil {
		s.log.Error("reload failed: what was read before stays", "why", err)
		return
	}
	s.log.Info("reloaded", "clients", len(c.clients), "realms", len(c.realms))
}
