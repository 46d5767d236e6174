package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/dialway/dialway/demanddial"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/ipv6conf"
)

// A builder makes interfaces of their configuration.
type builder struct {
	*config
	pool    ppp.AddrPool // gives the far router its address, also when this one calls
	exclude func(dst netip.Addr) error
	log     *slog.Logger
}

func (b *builder) build(c *ifaceConfig) (*demanddial.Interface, *demanddial.Account, error) {
	i, account, err := c.Wizard.Finish(func(who demanddial.Credentials) func(context.Context, string) (tunnel.Link, error) {
		d := b.dialer(c, who)
		return func(ctx context.Context, to string) (tunnel.Link, error) {
			conn, err := d.DialContext(ctx, to)
			if err != nil {
				return nil, err
			}
			if c.delegate == 0 {
				return conn, nil
			}
			return b.delegated(c, conn), nil
		}
	})
	if err != nil {
		return nil, nil, err
	}
	i.Domains, i.Persistent, i.Disabled, i.KeepOrder, i.RedialLost = c.domains, c.persistent, c.disabled, c.keepOrder, c.redialLost
	i.IdleTimeout, i.AnsweredIdle, i.Timeout, i.HoldFor, i.LockOut = c.idle, c.answeredIdle, c.timeout, c.holdFor, c.lockOut
	i.DeadPeer, i.Lookup = c.deadPeer, lookup
	i.Attempts, i.Hold, i.MaxMTU, i.NameServers, i.HoursCut = c.attempts, c.hold, c.mtu, c.dns, c.hoursCut
	if c.backoff > 0 {
		i.Backoff = func(int) time.Duration { return c.backoff }
	}
	if c.exclude {
		i.Exclude = b.exclude
	}
	if c.hours != "" {
		i.Hours, _ = demanddial.ParseHours(c.hours) // it was read before
	}
	i.Demand, i.In, i.Out = match(c.demand), match(c.in), match(c.out)
	return i, account, nil
}

// delegated wraps a call that asks for a prefix, and tells of it: the office's networks get theirs by whatever this machine
// has for that. The line itself needs no address.
func (b *builder) delegated(c *ifaceConfig, conn tunnel.Link) tunnel.Link {
	return &ipv6conf.Client{Link: conn, Delegate: true, Length: c.delegate, NoAddrs: true, Changed: func(_ context.Context, now ipv6conf.Config) {
		b.log.Info("delegated", "interface", c.Name, "prefixes", now.Delegated, "dns", now.DNS)
	}}
}

// lookup finds the addresses of a far router's name, which may be others each time.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

func match(f *tunnel.Filter) func(packet []byte) bool {
	if f == nil {
		return nil
	}
	return f.Match
}

// families returns which IP routes need.
func families(list []demanddial.Route) (four, six bool) {
	for _, r := range list {
		four, six = four || r.Prefix.Addr().Is4(), six || r.Prefix.Addr().Is6()
	}
	return four, six
}

// dialer dials as an interface does. Each end asks the other for its address, and gives one of its pool.
func (b *builder) dialer(c *ifaceConfig, who demanddial.Credentials) *sstp.Dialer {
	d := &sstp.Dialer{
		TLSConfig: &tls.Config{InsecureSkipVerify: c.insecure},
		Pins:      c.pins,
		PPP: &ppp.Config{
			User: who.User, Password: who.Password, Auth: c.auth, Addr: c.address, Pool: b.pool,
			MTU: b.mtu, Identification: c.identification, AllowUnverified: c.insecure, Logger: b.log,
		},
		Logger: b.log,
	}
	// A call without a protocol that routes need is none: it fails and says why, rather than carry the other alone.
	four, six := families(c.Routes)
	d.PPP.NoIPv4, d.PPP.NoIPv6 = six && !four, four && !six && c.delegate == 0
	if c.ca != "" {
		d.TLSConfig.RootCAs = x509.NewCertPool()
		d.TLSConfig.RootCAs.AppendCertsFromPEM([]byte(c.ca))
	}
	if c.source.IsValid() {
		nd := &net.Dialer{LocalAddr: &net.TCPAddr{IP: c.source.AsSlice()}}
		d.NetDial = nd.DialContext
	}
	return d
}
