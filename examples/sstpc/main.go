// Sstpc is an SSTP client: it dials a server, gives a TUN device what the server assigns, and routes to it what it is told.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/register/hostdns"
	"github.com/dialway/dialway/tunnel/tun"
)

const usage = `sstpc is an SSTP client. It needs root, or CAP_NET_ADMIN.

  sstpc -server vpn.example.com -user alice -password-file secret -route 10.0.0.0/8

It routes the server's own address in the tunnel and each -route; with -default-route everything, by two halves of
the Internet, of the address families that the server gives. The route to the server stays as it is. When it ends, by
SIGINT, SIGTERM or an error, addresses and routes are removed. While it is disconnected (-reconnect) nothing is routed
through the tunnel. IPv6 addresses are made of the prefixes that the server advertises. Name servers are set with -set-dns,
routes with -accept-routes; what else the server tells is printed, not set. With -register others find this host by its name.`

func main() { cli.Main(run) }

// A config is the command line, checked.
type config struct {
	client              cli.Client
	dialer              *sstp.Dialer
	tun                 string
	routes              cli.Prefixes
	defaultRoute, again bool
	delegate            int // length of the prefix to ask for; 0: none
	names               names
	log                 *slog.Logger
}

func parse(args []string, stderr io.Writer) (*config, error) {
	c := new(config)
	fs := cli.Flags("sstpc", usage, stderr)
	c.client.Register(fs)
	fs.StringVar(&c.tun, "tun", "sstp1", "`NAME` of the TUN device")
	fs.Var(&c.routes, "route", "`PREFIX` to route through the tunnel; may be given several times")
	fs.BoolVar(&c.defaultRoute, "default-route", false, "route everything through the tunnel")
	congestion := fs.String("congestion", "", "congestion control of the session's TCP, by `NAME`: cubic, bbr; none means the system's")
	fs.IntVar(&c.delegate, "delegate", 0, "ask for an IPv6 prefix of so many `BITS`, for networks behind this machine, and print it")
	fs.BoolVar(&c.again, "reconnect", false, "dial again when the session ends, unless the server refuses the password")
	c.names.flags(fs)
	if err := cli.Parse(fs, args); err != nil {
		return nil, err
	}
	c.log = cli.Logger(stderr, c.client.Verbose)
	var p cli.Problems
	c.dialer = c.client.Dialer(&p, c.log)
	c.dialer.Congestion = *congestion
	if c.tun == "" || len(c.tun) > 15 {
		p.Add("-tun", fmt.Errorf("%q is no name of a device (1 to 15 bytes)", c.tun))
	}
	if c.delegate != 0 && (c.delegate < 32 || c.delegate > 64) {
		p.Add("-delegate", fmt.Errorf("%d is not between 32 and 64", c.delegate))
	}
	c.names.check(&p)
	for _, r := range c.routes {
		if r.Bits() == 0 {
			p.Add("-route", fmt.Errorf("%v is everything: -default-route does that without cutting off the server", r))
		}
	}
	return c, p.Err()
}

func run(ctx context.Context, args []string, _, stderr io.Writer) error {
	c, err := parse(args, stderr)
	if err != nil {
		return err
	}
	dev, err := tun.Open(tun.Config{Name: c.tun, Logger: c.log})
	if err != nil {
		return err
	}
	// Everything that a server may send comes from the tunnel, and everything that the system gives the device goes there;
	// what it gives is the system's routes, which are kept in sys.
	h := &host{resolver: &hostdns.Resolver{Device: dev.Name(), Logger: c.log}, dev: dev, rt: &tunnel.Router{Uplink: dev, Routes: new(tunnel.Table), Logger: c.log}, sys: dev.Routes(new(tunnel.Table))}
	if c.names.setDNS {
		if err := h.resolver.Recover(ctx); err != nil {
			c.log.Warn("what a process has left that was killed", "err", err)
		}
	}
	ctx, stop := context.WithCancelCause(ctx)
	hosting, closeHost := context.WithCancel(context.WithoutCancel(ctx)) // outlives the session
	done := make(chan struct{})
	go func() {
		defer close(done)
		stop(h.rt.Serve(hosting, dev)) // closes the device, which takes addresses and routes with it
	}()
	defer func() { closeHost(); <-done }()

	if c.again {
		return cli.Redial(ctx, c.log, func(ctx context.Context, up func()) error { return c.session(ctx, h, up) })
	}
	return c.session(ctx, h, func() {})
}

// A host is this machine's end.
type host struct {
	dev *tun.Device
	rt  *tunnel.Router
	sys tunnel.RouteTable

	resolver *hostdns.Resolver
}

// session dials, sets addresses and routes, and moves packets until the session or ctx ends.
func (c *config) session(ctx context.Context, h *host, up func()) error {
	dialling, cancel := context.WithTimeout(ctx, 90*time.Second)
	link, err := c.dialer.DialContext(dialling, c.client.Server)
	cancel()
	if err != nil {
		return err
	}
	routes, err := c.configure(ctx, h, link)
	if err != nil {
		link.Close()
		return errors.Join(err, h.rt.ServeLink(ctx, link)) // serves the goodbye
	}
	for _, p := range routes {
		h.sys.Insert(p, link, 0)
		defer h.sys.Delete(p, link)
	}
	up()
	i := link.Info()
	c.log.Info("connected", "server", i.Call.Remote, "by", i.Auth, "addrs", link.Addrs(), "peer", i.Peer, "dns", link.DNS(),
		"mtu", link.MTU(), "routes", routes)
	six := c.newClient6(h, link)
	err = c.serve(ctx, h, six)
	six.route(nil)
	s := link.Stats()
	c.log.Info("disconnected", "why", err, "rx", s.RxBytes, "tx", s.TxBytes, "after", time.Since(i.Opened).Round(time.Second))
	return err
}

// configure gives the device its addresses and returns the routes to set. The way to the server is kept out of them.
func (c *config) configure(ctx context.Context, h *host, link *ppp.Conn) ([]netip.Prefix, error) {
	if err := h.dev.Configure(ctx, link); err != nil {
		return nil, err
	}
	info := link.Info()
	if err := h.dev.Exclude(info.Call.Remote.Addr()); err != nil {
		return nil, err
	}
	routes := append([]netip.Prefix(nil), c.routes...)
	if info.Peer.IsValid() {
		routes = append(routes, netip.PrefixFrom(info.Peer, info.Peer.BitLen()))
	}
	if c.defaultRoute {
		for _, a := range link.Addrs() {
			if !a.IsLinkLocalUnicast() {
				routes = append(routes, halves(a)...)
			}
		}
	}
	return routes, nil
}

// halves returns two routes that are together everything of a's family: longer than the default route, which stays, and
// comes back by itself when they go.
func halves(a netip.Addr) []netip.Prefix {
	if a.Is4() {
		return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/1"), netip.MustParsePrefix("128.0.0.0/1")}
	}
	return []netip.Prefix{netip.MustParsePrefix("::/1"), netip.MustParsePrefix("8000::/1")}
}
