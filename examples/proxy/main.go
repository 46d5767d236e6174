// Proxy is a SOCKS5 and HTTP proxy on this machine whose traffic goes through an SSTP tunnel. It needs no root and changes
// nothing in the system: the tunnel ends in a network stack inside the program.
package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel/ipv6conf"
	"github.com/dialway/dialway/tunnel/netstack"
)

const usage = `proxy is a SOCKS5 and HTTP proxy whose traffic goes through an SSTP tunnel, without root.

  proxy -server vpn.example.com -user alice -password-file secret
  curl --proxy socks5h://localhost:1080 http://intranet.example.com/
  curl --proxy http://localhost:8080 https://intranet.example.com/

Names are asked of the tunnel's name servers. When the tunnel breaks it is dialled again, unless the server refuses the
password; what is connected meanwhile waits. Whoever can connect to -socks and -http can use the tunnel: leave them on
localhost unless you mean it.`

func main() { cli.Main(run) }

// A config is the command line, checked.
type config struct {
	client      cli.Client
	dialer      *sstp.Dialer
	socks, http string
	log         *slog.Logger
}

func parse(args []string, stderr io.Writer) (*config, error) {
	c := new(config)
	fs := cli.Flags("proxy", usage, stderr)
	c.client.Register(fs)
	fs.StringVar(&c.socks, "socks", "localhost:1080", "`ADDRESS` of the SOCKS5 proxy; empty for none")
	fs.StringVar(&c.http, "http", "localhost:8080", "`ADDRESS` of the HTTP proxy; empty for none")
	if err := cli.Parse(fs, args); err != nil {
		return nil, err
	}
	c.log = cli.Logger(stderr, c.client.Verbose)
	var p cli.Problems
	c.dialer = c.client.Dialer(&p, c.log)
	if c.socks == "" && c.http == "" {
		p.Add("-socks", errors.New("empty, and -http too: nobody could use the tunnel"))
	}
	return c, p.Err()
}

func run(ctx context.Context, args []string, _, stderr io.Writer) error {
	c, err := parse(args, stderr)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ns := new(netstack.Stack)
	defer ns.Close()
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return ns.DialContext(ctx, network, addr)
	}
	serve := func(addr string, serve func(net.Listener) error) error {
		if addr == "" {
			return nil
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { l.Close() })
		go func() { stop(serve(l)) }()
		c.log.Info("listening", "on", l.Addr())
		return nil
	}
	if err := serve(c.socks, func(l net.Listener) error { return serveSOCKS(ctx, l, dial, c.log) }); err != nil {
		return err
	}
	web := &http.Server{Handler: httpProxy(dial, c.log), ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 5 * time.Minute}
	defer web.Close()
	if err := serve(c.http, web.Serve); err != nil {
		return err
	}
	return cli.Redial(ctx, c.log, func(ctx context.Context, up func()) error {
		dialling, cancel := context.WithTimeout(ctx, 90*time.Second)
		link, err := c.dialer.DialContext(dialling, c.client.Server)
		cancel()
		if err != nil {
			return err
		}
		up()
		i := link.Info()
		c.log.Info("connected", "server", i.Call.Remote, "by", i.Auth, "addrs", link.Addrs(), "dns", link.DNS(), "mtu", link.MTU())
		six := &ipv6conf.Client{Link: link}
		six.Changed = func(ctx context.Context, now ipv6conf.Config) { // the stack has what the server tells of IPv6
			err := ns.Configure(ctx, six)
			c.log.Info("IPv6", "addrs", now.Addrs, "dns", now.DNS, "err", err)
		}
		return ns.Serve(ctx, six)
	})
}
