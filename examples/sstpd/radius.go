package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/examples/internal/servers"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/radius"
)

// A radiusConfig is what the flags about RADIUS say.
type radiusConfig struct {
	targets             []radius.Target // none: no RADIUS
	secret              radius.Secret   // that -coa shares
	tls                 servers.TLS
	coa, spool          string
	interim             time.Duration
	trustName, unsigned bool

	servers, secretFile string
}

func (c *radiusConfig) register(fs *flag.FlagSet) {
	fs.StringVar(&c.servers, "radius", "", "`HOST[:PORT],...` of RADIUS servers in the place of -users, with accounting at the port behind PORT; without a port 1812 and 1813")
	fs.StringVar(&c.secretFile, "radius-secret-file", "", "`FILE` whose first line is the secret shared with them; not readable by others")
	fs.StringVar(&c.coa, "coa", "", "`ADDRESS` such as :3799 where those servers may disconnect sessions and change their limits; by RadSec they may without")
	c.tls.Register(fs, "")
	fs.StringVar(&c.spool, "radius-spool", "", "`DIR` that keeps accounting records while no server takes them; without, memory does")
	fs.DurationVar(&c.interim, "radius-interim", 10*time.Minute, "`TIME` between a session's accounting updates where RADIUS does not say; 0 sends none")
	fs.BoolVar(&c.trustName, "radius-trust-name", false, "take the User-Name of an Access-Accept for EAP as proved: only where the servers do not repeat there what the client claims")
	fs.BoolVar(&c.unsigned, "radius-unsigned", false, "take replies without Message-Authenticator from servers that are too old for it: they can be forged (CVE-2024-3596)")
}

// check completes c, and says what does not go together.
func (c *radiusConfig) check(fs *flag.FlagSet, p *cli.Problems) {
	if c.servers == "" {
		fs.Visit(func(f *flag.Flag) {
			if f.Name == "coa" || strings.HasPrefix(f.Name, "radius-") {
				p.Add("-"+f.Name, errors.New("means nothing without -radius"))
			}
		})
		return
	}
	c.targets = c.tls.Targets(c.servers, c.secretFile, p)
	for i := range c.targets {
		c.secret = c.targets[i].Secret
		c.targets[i].TrustUserName, c.targets[i].Unsigned = c.trustName, c.unsigned
	}
	if c.coa != "" {
		_, _, err := net.SplitHostPort(c.coa)
		if err == nil && c.tls.Given() {
			err = errors.New("means nothing with RadSec: the servers ask over the connections that this end has made")
		}
		p.Add("-coa", err)
	}
	if c.interim != 0 && c.interim < time.Second {
		p.Add("-radius-interim", fmt.Errorf("%v is less than a second", c.interim))
	}
	if c.spool != "" {
		p.Add("-radius-spool", os.MkdirAll(c.spool, 0o700))
	}
}

// An aaa is the RADIUS side of a server: who answers logins, and what follows each session.
type aaa struct {
	client  *radius.Client
	acct    *radius.Accounting
	dynamic *radius.Dynamic
	coa     net.PacketConn // nil: no -coa
	hosts   []string
	from    atomic.Pointer[map[netip.Addr]bool] // the addresses of hosts
	log     *slog.Logger
}

// newAAA makes what the flags say. filter resolves the names of filters; nil refuses every one.
func newAAA(c *radiusConfig, sessions *ppp.Sessions, filter func(string) (func([]byte) bool, error), log *slog.Logger) *aaa {
	a := &aaa{client: &radius.Client{Targets: c.targets, Filter: filter, Logger: log}, log: log}
	a.acct = &radius.Accounting{Client: a.client, Interim: c.interim, Spool: c.spool, Logger: log}
	for _, t := range c.targets {
		host, _, _ := net.SplitHostPort(t.Addr)
		a.hosts = append(a.hosts, host)
	}
	a.dynamic = &radius.Dynamic{
		Sessions: sessions, Filter: filter, Logger: log,
		Clients: func(from netip.Addr) (radius.Secret, bool) { return c.secret, (*a.from.Load())[from.Unmap()] },
	}
	a.client.Dynamic = a.dynamic // of RadSec
	a.from.Store(&map[netip.Addr]bool{})
	return a
}

// reload looks the servers' addresses up again, from which -coa takes requests. A name that cannot be looked up is told.
func (a *aaa) reload() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	from := make(map[netip.Addr]bool)
	for _, host := range a.hosts {
		list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			a.log.Warn("a RADIUS server's name has no address: its requests to -coa are dropped", "server", host, "why", err)
		}
		for _, addr := range list {
			from[addr.Unmap()] = true
		}
	}
	a.from.Store(&from)
	return nil
}

// count is of no use: the servers have the accounts.
func (a *aaa) count() int { return -1 }

// Authenticate is ppp.Authenticator's.
func (a *aaa) Authenticate(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
	return a.client.Authenticate(ctx, req)
}

// listen opens -coa.
func (a *aaa) listen(addr string) (err error) {
	if addr != "" {
		a.coa, err = net.ListenPacket("udp", addr)
	}
	return err
}

// account reports sessions until ctx has ended and so have they. It never returns nil.
func (a *aaa) account(ctx context.Context) error {
	defer a.client.Close()
	return a.acct.Serve(ctx)
}

// answer answers -coa until ctx ends. It never returns nil.
func (a *aaa) answer(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { a.dynamic.Close() })()
	err := a.dynamic.Serve(a.coa)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("-coa: %w", err)
}
