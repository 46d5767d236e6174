package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/tunnel/register"
)

// ddnsConfig has the flags of names: what clients have left in DNS is cleared away, and they may be told WINS servers.
type ddnsConfig struct {
	to, keyFile string
	users       bool
	wins        cli.Addrs

	registrar *register.Registrar // nil: no -ddns
}

func (d *ddnsConfig) register(fs *flag.FlagSet) {
	fs.StringVar(&d.to, "ddns", "", "`ZONE@SERVER`: remove from DNS what clients registered in the zone and left there; updates go to the server, an address with or without a port")
	fs.StringVar(&d.keyFile, "tsig-file", "", "`FILE` with the key of -ddns, as tsig-keygen writes it")
	fs.BoolVar(&d.users, "ddns-users", false, "with -ddns, register clients that have not done it after 5 s themselves, by the name of their user")
	fs.Var(&d.wins, "wins", "`IP,IP` of the WINS servers that clients are told")
}

func (d *ddnsConfig) check(p *cli.Problems) {
	for _, a := range d.wins {
		if !a.Is4() {
			p.Add("-wins", fmt.Errorf("%v: PPP tells IPv4 addresses only", a))
		}
	}
	if len(d.wins) > 2 {
		p.Add("-wins", errors.New("PPP tells two at most"))
	}
	if d.to == "" {
		if d.keyFile != "" || d.users {
			p.Add("-ddns", errors.New("missing: -tsig-file and -ddns-users are of no use without"))
		}
		return
	}
	zone, server, ok := strings.Cut(d.to, "@")
	at, err := netip.ParseAddrPort(server)
	if err != nil {
		var a netip.Addr
		a, err = netip.ParseAddr(server)
		at = netip.AddrPortFrom(a, 53)
	}
	if !ok || zone == "" || err != nil {
		p.Add("-ddns", fmt.Errorf("%q is not ZONE@SERVER, such as vpn.example.com@192.0.2.53", d.to))
	}
	d.registrar = &register.Registrar{Domain: zone, Server: at}
	if d.keyFile == "" {
		return
	}
	key, err := cli.ReadKey(d.keyFile)
	p.Add("-tsig-file", err)
	d.registrar.Signer = key
}

// A ddns clears away what clients leave. A nil one does nothing.
type ddns struct {
	register.Tracker
	users bool
}

func newDDNS(c *ddnsConfig, log *slog.Logger) *ddns {
	if c.registrar == nil {
		return nil
	}
	c.registrar.Logger = log
	return &ddns{register.Tracker{Registrar: c.registrar, Logger: log}, c.users}
}

// begin is called before a session is served, and what it returns after.
func (d *ddns) begin(ctx context.Context, c *ppp.Conn) (end func()) {
	if d == nil {
		return func() {}
	}
	host := ""
	if d.users {
		host = hostOf(c.Info().User)
	}
	return d.Begin(ctx, host, c.Prefixes())
}

// end waits until everything is cleared away.
func (d *ddns) end(ctx context.Context) {
	if d == nil {
		return
	}
	if err := d.Close(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		d.Logger.Warn("left behind in DNS", "why", err)
	}
}

// hostOf makes a host's name of a user's, whose realm, if it has one, is left out. What is no name is no user's either.
func hostOf(user string) string {
	user = user[strings.LastIndexByte(user, '\\')+1:]
	user, _, _ = strings.Cut(user, "@")
	return strings.ReplaceAll(strings.ToLower(user), ".", "-")
}
