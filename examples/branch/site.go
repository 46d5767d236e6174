package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/demanddial"
	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/access"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tun"
)

// A site is what runs: one TUN device, one server, one set of interfaces.
type site struct {
	config   *config // as applied
	addr     netip.Addr
	log      *slog.Logger
	dev      *tun.Device
	router   *tunnel.Router
	set      *demanddial.Set
	pool     *ppp.Pool
	sessions ppp.Sessions // open calls of far routers and clients
	accounts accounts
	cert     atomic.Pointer[tls.Certificate]
	srv      *sstp.Server
}

// newSite opens the device and makes the rest.
func newSite(c *config, log *slog.Logger) (*site, error) {
	dev, err := tun.Open(tun.Config{Name: c.tun, MTU: c.mtu, Logger: log})
	if err != nil {
		return nil, err
	}
	if err := dev.SetAddrs(netip.PrefixFrom(c.addr, c.pool.Bits())); err != nil {
		dev.Close()
		return nil, err
	}
	s := &site{log: log, dev: dev, addr: c.addr, accounts: accounts{domains: c.domains}}
	s.router = &tunnel.Router{Uplink: dev, Routes: dev.Routes(new(tunnel.Table)), Logger: log}
	s.set = &demanddial.Set{
		Router: s.router, Domains: c.domains, Ports: c.ports, Resolvers: c.resolvers, Logger: log,
		NoRemoteAccess: !c.remoteAccess, NoDemandDial: !c.demandDial,
	}
	s.pool = &ppp.Pool{Prefixes: []netip.Prefix{c.pool}, Exclude: []netip.Prefix{netip.PrefixFrom(c.addr, 32)}}
	if err := s.apply(c); err != nil {
		dev.Close()
		return nil, err
	}
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward"); err == nil && strings.TrimSpace(string(b)) == "0" {
		log.Warn("this system does not forward: hosts behind it reach nothing", "fix", "sysctl -w net.ipv4.ip_forward=1")
	}
	return s, nil
}

// apply makes the interfaces, accounts and certificate be those of a configuration. Interfaces that have not changed are
// not touched: their calls go on.
func (s *site) apply(c *config) error {
	cert, err := certificate(c, s.cert.Load())
	if err != nil {
		return err
	}
	old := map[string]*ifaceConfig{}
	if s.config != nil {
		for n := range s.config.interfaces {
			old[s.config.interfaces[n].Name] = &s.config.interfaces[n]
		}
		if !reflect.DeepEqual(s.config.global, c.global) {
			s.log.Warn("what is not of interfaces, clients and certificate needs a restart, and stays as it was", "changed", changed(s.config.global, c.global))
			c.global = s.config.global
		}
	}
	b := builder{config: c, pool: s.pool, exclude: s.dev.Exclude, log: s.log}
	var routers []*demanddial.Account
	var add []*demanddial.Interface
	var remove, kept []string
	for n := range c.interfaces {
		x := &c.interfaces[n]
		i, account, err := b.build(x)
		if err != nil {
			return err
		}
		if account != nil {
			routers = append(routers, account)
		}
		was := old[x.Name]
		delete(old, x.Name)
		if was != nil && was.equal(x) {
			kept = append(kept, x.Name)
			continue
		}
		if was != nil {
			remove = append(remove, x.Name)
		}
		add = append(add, i)
	}
	for name := range old {
		remove = append(remove, name)
	}
	if err := s.set.Update(remove, add...); err != nil {
		return err
	}
	gone := s.config.clientsNotIn(c)
	s.accounts.set(c, routers)
	for conn := range s.sessions.All() {
		if slices.Contains(gone, conn.Info().User) && s.set.Match(conn.Info().User) == nil {
			conn.Terminate(ppp.AdminReset, "the account has gone, or has changed")
		}
	}
	s.cert.Store(cert)
	s.config = c
	s.log.Info("configuration applied", "added", names(add), "removed", remove, "unchanged", kept, "clients", len(c.clients))
	return nil
}

// equal compares what an interface is made of, not where it stands in the file.
func (c *ifaceConfig) equal(x *ifaceConfig) bool {
	a, b := *c, *x
	a.path, b.path = "", ""
	return reflect.DeepEqual(a, b)
}

func names(list []*demanddial.Interface) (names []string) {
	for _, i := range list {
		names = append(names, i.Name)
	}
	return names
}

// changed returns the names of what differs.
func changed(a, b global) (names []string) {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for n := range x.NumField() {
		if fmt.Sprint(x.Field(n)) != fmt.Sprint(y.Field(n)) {
			names = append(names, x.Type().Field(n).Name)
		}
	}
	return names
}

// certificate loads the certificate, or keeps the one that was made.
func certificate(c *config, old *tls.Certificate) (*tls.Certificate, error) {
	switch {
	case c.cert != "":
		cert, err := tls.LoadX509KeyPair(c.cert, c.key)
		return &cert, err
	case old != nil:
		return old, nil
	}
	host, _ := os.Hostname()
	return cli.SelfSigned(host, "localhost")
}

// server makes the server that far routers and clients call.
func (s *site) server() *sstp.Server {
	c := s.config
	return &sstp.Server{
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cert.Load(), nil },
		},
		PPP: &ppp.Config{
			Authenticator: s.accounts.keepDomain(&access.Accounts{Store: &s.accounts}),
			Sessions:      &s.sessions,
			Addr:          c.addr, Pool: s.pool, DNS: c.dns, MTU: c.mtu, Logger: s.log,
		},
		Handler: func(ctx context.Context, conn *ppp.Conn) error { return s.set.Answer(ctx, conn.Info().User, conn) },
		Logger:  s.log,
	}
}

// run serves until ctx ends or something fails.
func (s *site) run(ctx context.Context, hangup <-chan os.Signal, reread func() (*config, error)) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	l, err := net.Listen("tcp", s.config.listen)
	if err != nil {
		s.dev.Close()
		return err
	}
	control, err := listenControl(s.config.control)
	if err != nil {
		l.Close()
		s.dev.Close()
		return err
	}
	s.srv = s.server()
	parts := make(chan error, 4)
	go func() { parts <- s.router.Serve(ctx, s.dev) }()
	go func() { parts <- s.set.Serve(ctx) }()
	go func() { parts <- s.srv.Serve(l) }()
	go func() { parts <- s.serveControl(ctx, control) }()
	s.log.Info("ready", "listen", l.Addr(), "router", s.config.addr, "pool", s.config.pool, "tun", s.dev.Name(), "control", s.config.control,
		"fingerprint", cli.Fingerprint(s.cert.Load().Certificate[0]))

	left, failed := cap(parts), error(nil)
	for failed == nil && ctx.Err() == nil {
		select {
		case failed = <-parts:
			left--
		case <-ctx.Done():
		case <-hangup:
			if c, err := reread(); err != nil {
				s.log.Error("not applied: what was read before stays", "why", err)
			} else if err := s.apply(c); err != nil {
				s.log.Error("not applied: what was read before stays", "why", err)
			}
		}
	}
	s.log.Info("ending", "calls", s.sessions.Len())
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = s.srv.Shutdown(bye) // routers and clients are told first
	stop(failed)
	for ; left > 0; left-- {
		<-parts
	}
	if failed == nil {
		failed = context.Cause(ctx)
	}
	return errors.Join(failed, err)
}

// explain says what would become of a packet from this router to an address, with a port by TCP, without one as a ping.
func explain(set *demanddial.Set, from netip.Addr, to string) (string, error) {
	dst, port := netip.Addr{}, uint16(0)
	if ap, err := netip.ParseAddrPort(to); err == nil {
		dst, port = ap.Addr(), ap.Port()
	} else if dst, err = netip.ParseAddr(to); err != nil {
		return "", fmt.Errorf("%q is no address, nor one with a port", to)
	}
	if dst.Is6() {
		from = netip.MustParseAddr("2001:db8::1") // this router has none of its own: any will do
	}
	d := set.Explain(probe(from, dst, port), time.Now())
	if d.Interface == nil {
		d.Why = append(d.Why, "the system's own routes are not looked at here")
	}
	var b strings.Builder
	for _, why := range d.Why {
		fmt.Fprintf(&b, "  %s\n", why)
	}
	verdict := d.Verdict.String()
	if d.Interface != nil {
		verdict += " (" + d.Interface.Name + ")"
	}
	return verdict + "\n" + b.String(), nil
}
