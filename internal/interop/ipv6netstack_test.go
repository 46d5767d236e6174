package interop

import (
	"context"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/ipv6conf"
	"github.com/dialway/dialway/tunnel/netstack"
)

// TestIPv6OnNetstack: without any device, a client's stack takes an address by router advertisement, and reaches the
// server's by it.
func TestIPv6OnNetstack(t *testing.T) {
	site := netip.MustParseAddr("2001:db8:8::1")
	inside, outside := new(netstack.Stack), new(netstack.Stack)
	defer inside.Close()
	defer outside.Close()
	if err := inside.SetAddrs(site, netip.MustParseAddr("10.8.0.1")); err != nil {
		t.Fatal(err)
	}
	rt := &tunnel.Router{Routes: new(tunnel.Table), Local: new(tunnel.Table), Uplink: inside}
	six := &ipv6conf.Server{Routes: rt.Routes}
	rt.Local.Insert(netip.MustParsePrefix("ff02::2/128"), six, 0)
	rt.Local.Insert(netip.MustParsePrefix("ff02::1:2/128"), six, 0)
	routed := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { routed <- rt.Serve(ctx, inside) }()
	defer func() { stop(); <-routed }()
	srv := sstptest.NewServer(&sstp.Server{
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
			Addr:          netip.MustParseAddr("10.8.0.1"),
			Pool: &ppp.Pool{
				Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.2/31"), netip.MustParsePrefix("2001:db8:8::/48")},
				Exclude:  []netip.Prefix{netip.MustParsePrefix("2001:db8:8::/64")},
			},
		},
		Handler: func(ctx context.Context, c *ppp.Conn) error { return rt.ServeLink(ctx, six.Link(c)) },
	})
	defer srv.Close()
	l, err := inside.Listen("tcp", "[2001:db8:8::1]:80")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, c.RemoteAddr().String())
			c.Close()
		}
	}()

	dialling, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	link, err := srv.Dialer(&ppp.Config{User: "alice", Password: "secret"}).DialContext(dialling, srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c := &ipv6conf.Client{Link: link}
	c.Changed = func(ctx context.Context, _ ipv6conf.Config) {
		if err := outside.Configure(ctx, c); err != nil {
			t.Error(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- outside.Serve(t.Context(), c) }()
	got, err := c.Wait(dialling, func(c ipv6conf.Config) bool { return len(c.Addrs) > 0 })
	if err != nil {
		t.Fatal(err)
	}
	conn, err := outside.DialContext(dialling, "tcp", "[2001:db8:8::1]:80")
	if err != nil {
		t.Fatalf("%v: %+v", err, got)
	}
	defer conn.Close()
	b, err := io.ReadAll(conn)
	if from, perr := netip.ParseAddrPort(string(b)); err != nil || perr != nil || from.Addr() != got.Addrs[0] {
		t.Errorf("%q, %v, want from %v", b, err, got.Addrs)
	}
	c.Close()
	<-ended
}
