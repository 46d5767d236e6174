package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/tunnel/register"
)

// names has the flags of step 3: what is asked after the connection is up, and what is registered.
type names struct {
	register, accept, take, setDNS bool
	host, id                       string
	keyFile, workgroup             string

	key *register.Key
}

func (n *names) flags(fs *flag.FlagSet) {
	fs.BoolVar(&n.register, "register", false, "ask DHCPInform, and register this host's name in DNS and with WINS servers while it is connected")
	fs.StringVar(&n.host, "hostname", "", "`NAME` to register, with or without its domain; none means this host's")
	fs.StringVar(&n.id, "host-id", "", "`TEXT` by which DNS knows again whose a name is, where this machine has no /etc/machine-id or shares it")
	fs.StringVar(&n.keyFile, "tsig-file", "", "`FILE` with the key that signs DNS updates, as tsig-keygen writes it; none means not to sign them")
	fs.BoolVar(&n.take, "take-name", false, "with -register, take the name from another host that has it")
	fs.StringVar(&n.workgroup, "workgroup", "WORKGROUP", "`NAME` of the workgroup to register with WINS servers")
	fs.BoolVar(&n.setDNS, "set-dns", false, "ask DHCPInform, and have names in the tunnel's domains asked of the tunnel's name servers: by systemd-resolved or resolvconf, while connected")
	fs.BoolVar(&n.accept, "accept-routes", false, "ask DHCPInform, and route to the tunnel what it says, and router advertisements of IPv6 do; but not everything, and not what would cut off the server")
}

func (n *names) check(p *cli.Problems) {
	if !n.register && (n.host != "" || n.keyFile != "" || n.take) {
		p.Add("-register", errors.New("missing: -hostname, -tsig-file and -take-name are of no use without"))
	}
	if n.register && n.host == "" {
		host, err := os.Hostname()
		p.Add("-hostname", err)
		n.host, _, _ = strings.Cut(host, ".")
	}
	if n.register {
		p.Add("-hostname", register.CheckHost(n.host))
	}
	if n.keyFile != "" {
		var err error
		n.key, err = cli.ReadKey(n.keyFile)
		p.Add("-tsig-file", err)
	}
}

// serve is rt.ServeLink, and step 3 while it runs. It leaves in good order: names go before the link does.
func (c *config) serve(ctx context.Context, h *host, link *client6) error {
	if !c.names.register && !c.names.accept && !c.names.setDNS {
		return h.rt.ServeLink(ctx, &link.Client)
	}
	client := &dhcpinform.Client{Link: &link.Client, Hostname: c.names.host, Timeout: time.Second, Logger: c.logIfVerbose()}
	r := &register.Registrar{Logger: c.logIfVerbose()}
	if c.names.register {
		r.Host, r.Workgroup, r.Take, r.NetBIOS = c.names.host, c.names.workgroup, c.names.take, true
		r.ID = hostID(c.names.id)
		if c.names.key != nil {
			r.Signer = c.names.key
		}
	}
	if c.names.setDNS {
		r.Resolver = h.resolver
	}
	registering, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	r.Changed = link.came

	serving, hangUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer hangUp(nil)
	left := make(chan error, 1)
	t := &teller{config: c, host: h, link: client, server: link.server}
	go func() {
		err := r.Run(registering, client, t.watch)
		if registering.Err() == nil {
			c.log.Warn("not registered", "why", err)
			<-registering.Done()
		}
		left <- err
		hangUp(context.Cause(registering)) // ctx has ended, or the link has already
	}()
	err := h.rt.ServeLink(serving, client)
	leave(err)
	if why := <-left; !errors.Is(why, net.ErrClosed) && !errors.Is(why, context.Canceled) {
		c.log.Warn("left behind", "why", why)
	} else if len(t.said) > 0 && ctx.Err() != nil {
		c.log.Info("names removed")
	}
	t.forget()
	return err
}

func (c *config) logIfVerbose() *slog.Logger {
	if c.client.Verbose {
		return c.log
	}
	return nil
}

// A teller prints what is learnt and registered, once each, and sets the routes that are accepted. Run tells it one thing
// at a time.
type teller struct {
	*config
	host   *host
	link   *dhcpinform.Client
	server netip.Addr // its outer address
	learnt bool
	routes []netip.Prefix
	said   map[string]string // by record

	resolver string // why it is not set
}

func (t *teller) watch(s register.Status) {
	if (s.Options != nil || s.Err != nil) && !t.learnt {
		t.learnt = true
		t.learn(s.Options, s.Err)
	}
	if s.Resolver != nil && t.resolver != s.Resolver.Error() {
		t.resolver = s.Resolver.Error()
		t.log.Warn("resolver not set", "why", s.Resolver)
	}
	if t.said == nil {
		t.said = make(map[string]string)
	}
	for _, r := range s.Records {
		key, what := fmt.Sprint(r.Kind, r.Name, r.Addr), fmt.Sprint(r.Server, r.Err)
		if t.said[key] == what {
			continue
		}
		t.said[key] = what
		if r.Err != nil {
			t.log.Warn("not registered", "record", r.Kind, "name", r.Name, "addr", r.Addr, "why", r.Err)
		} else {
			t.log.Info("registered", "record", r.Kind, "name", r.Name, "addr", r.Addr, "server", r.Server)
		}
	}
}

func (t *teller) learn(o *dhcpinform.Options, err error) {
	if err != nil {
		t.log.Info("learnt nothing", "why", err)
		return
	}
	t.log.Info("learnt", "from", o.Server, "domain", o.Domain, "search", o.Search, "dns", o.DNS, "wins", o.WINS, "ntp", o.NTP, "wpad", o.WPAD, "routes", o.Routes)
	if !t.names.accept {
		return
	}
	for _, r := range o.Routes {
		if !acceptable(r.Prefix, t.server) {
			t.log.Warn("route not accepted", "route", r.Prefix, "why", "it is everything, or leads to the server itself")
			continue
		}
		t.host.sys.Insert(r.Prefix, t.link, 0)
		t.routes = append(t.routes, r.Prefix)
		t.log.Info("route accepted", "route", r.Prefix)
	}
}

// acceptable reports whether a route may be taken from a server: none that would lead the session's own packets into it.
func acceptable(p netip.Prefix, server netip.Addr) bool {
	return p.IsValid() && p.Bits() > 1 && !p.Contains(server.Unmap())
}

// forget removes the routes that were accepted.
func (t *teller) forget() {
	for _, p := range t.routes {
		t.host.sys.Delete(p, t.link)
	}
}

// hostID is who this host is: a hash of said, or of what the system says, so that nobody else learns that; nil if it says
// nothing.
func hostID(said string) []byte {
	id := []byte(said)
	if said == "" {
		var err error
		if id, err = os.ReadFile("/etc/machine-id"); err != nil || len(id) < 32 {
			return nil
		}
	}
	h := hmac.New(sha256.New, id)
	h.Write([]byte("dialway sstpc"))
	return h.Sum(nil)
}
