package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/demanddial"
	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tun"
)

// TestForeignCallingRouter: Debian's sstpc and pppd, with a network behind them, call examples/branch by the name of an
// interface, and by another.
func TestForeignCallingRouter(t *testing.T) {
	t.Parallel()
	NeedLinuxClient(t)
	Need(t, "openssl:openssl")
	outside, ns, host, dir := netns.New(t), netns.New(t), netns.New(t), t.TempDir()
	netns.Join(outside, "wan", "192.0.2.2/24", ns, "wan", "192.0.2.1/24")
	netns.Join(ns, "lan", "172.16.1.1/24", host, "eth0", "172.16.1.7/24")
	ns.Run("ip", "route", "add", "default", "via", "192.0.2.2")
	host.Run("ip", "route", "add", "default", "via", "172.16.1.1")
	for _, n := range []*netns.NS{outside, ns} {
		n.Run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	}
	cert, key := certificate(t, dir, "router1.test")
	b := NewBranch(t, ns, dir)
	b.Configure(fmt.Sprintf(`certificate = %q
key = %q
pool = "10.1.0.0/24"

[[interface]]
name = "DD_NewYork"
dial-in-password = 'h8#dW@93z~[Fc6$Q'
user = "anybody"

[[interface.route]]
prefix = "172.16.2.0/24"

[[client]]
name = "DD_New_York"
password = 'h8#dW@93z~[Fc6$Q'
`, cert, key))
	b.Start()
	g := StartGuest(t, outside, 0)
	g.Must(10*time.Second, "ip addr add 172.16.2.1/24 dev lo; ip addr add 172.16.8.1/24 dev lo") // its kernel has no other device to spare
	call := Call{Server: "192.0.2.1:443", Host: "router1.test", CA: cert, Password: `h8#dW@93z~[Fc6$Q`, Auth: "mschap-v2"}
	ping := func(to string) error {
		out, err := host.Try("ping", "-n", "-c", "2", "-i", "0.3", "-W", "2", to)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	back := "ip route replace 172.16.1.0/24 dev ppp0; ping -n -c 2 -i 0.3 -W 2 -I 172.16.2.1 172.16.1.7"

	for _, user := range []string{"DD_NewYork", `EXAMPLE\DD_NewYork`} {
		t.Run(user, func(t *testing.T) {
			if strings.Contains(user, `\`) {
				b.Configure("domains = [\"EXAMPLE\"]\n" + fmt.Sprintf("certificate = %q\nkey = %q\npool = \"10.1.0.0/24\"\n", cert, key) +
					"[[interface]]\nname = \"DD_NewYork\"\ndial-in-password = 'h8#dW@93z~[Fc6$Q'\n[[interface.route]]\nprefix = \"172.16.2.0/24\"\n")
				b.Stop()
				b.Start()
			}
			call := call
			call.User = user
			s := g.Dial(call)
			if s.Refused != "" {
				t.Fatalf("refused: %s\n%s", s.Refused, last(s.PPPLog(), 2000))
			}
			b.AwaitState(10*time.Second, "DD_NewYork", "Connected")
			if out, status := g.Run(20*time.Second, back); status != 0 {
				t.Errorf("from behind the caller: %s", out)
			}
			if err := ping("172.16.2.1"); err != nil {
				t.Errorf("to behind the caller: %v", err)
			}
			s.Hangup()
			b.AwaitState(20*time.Second, "DD_NewYork", "Disconnected")
			if err := ping("172.16.2.1"); err == nil {
				t.Error("reached through nothing")
			}
		})
	}

	t.Run("a name that is no interface's", func(t *testing.T) {
		b.Configure(fmt.Sprintf("certificate = %q\nkey = %q\npool = \"10.1.0.0/24\"\n", cert, key) +
			"[[interface]]\nname = \"DD_NewYork\"\ndial-in-password = 'x'\n[[interface.route]]\nprefix = \"172.16.2.0/24\"\n" +
			"[[client]]\nname = \"DD_New_York\"\npassword = 'h8#dW@93z~[Fc6$Q'\n" +
			"[[client]]\nname = \"OneWay\"\npassword = 'h8#dW@93z~[Fc6$Q'\nroutes = [\"172.16.8.0/24\"]\n")
		b.Stop()
		b.Start()
		call := call
		call.User = "DD_New_York"
		s := g.Dial(call)
		if s.Refused != "" {
			t.Fatalf("refused: %s", s.Refused)
		}
		s.Ping("172.16.1.7", 2) // as the client that it is
		if out, status := g.Run(20*time.Second, back); status == 0 {
			t.Errorf("its network is reached: %s", out)
		}
		if err := ping("172.16.2.1"); err == nil {
			t.Error("its network is reached")
		}
		if line := b.Line("DD_NewYork"); line[0] != "Disconnected" {
			t.Errorf("the interface is %v", line)
		}
		if line := b.Line("client DD_New_York"); line[0] != "Connected" {
			t.Errorf("the client is %v", line)
		}
		b.Await(5*time.Second, `let it call as DD_NewYork, or name the interface DD_New_York`, 1)
		s.Hangup()
	})

	// A router that only calls may have any name: its account has the routes.
	t.Run("one way, with routes of the account", func(t *testing.T) {
		call := call
		call.User = "OneWay"
		s := g.Dial(call)
		if s.Refused != "" {
			t.Fatalf("refused: %s", s.Refused)
		}
		if out, status := g.Run(20*time.Second, "ip route replace 172.16.1.0/24 dev ppp0; ping -n -c 2 -i 0.3 -W 2 -I 172.16.8.1 172.16.1.7"); status != 0 {
			t.Errorf("from behind the caller: %s", out)
		}
		if err := ping("172.16.8.1"); err != nil {
			t.Errorf("to behind the caller: %v", err)
		}
		s.Hangup()
		for end := time.Now().Add(20 * time.Second); strings.Contains(ns.Run("ip", "route"), "172.16.8.0/24"); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the route stays when the caller has gone")
			}
		}
	})

	// The interface's account by its password, but of a domain that is not this router's.
	t.Run(`EVIL\DD_NewYork`, func(t *testing.T) {
		b.Configure(fmt.Sprintf("certificate = %q\nkey = %q\npool = \"10.1.0.0/24\"\ndomains = [\"EXAMPLE\"]\n", cert, key) +
			"[[interface]]\nname = \"DD_NewYork\"\ndial-in-password = 'h8#dW@93z~[Fc6$Q'\n[[interface.route]]\nprefix = \"172.16.2.0/24\"\n")
		b.Stop()
		b.Start()
		call := call
		call.User = `EVIL\DD_NewYork`
		s := g.Dial(call)
		if s.Refused != "" {
			t.Fatalf("refused: %s", s.Refused)
		}
		if line := b.Line("DD_NewYork"); line[0] != "Disconnected" {
			t.Errorf("the interface is %v", line)
		}
		if line := b.Line(`client EVIL\DD_NewYork`); line[0] != "Connected" {
			t.Errorf("the client is %v", line)
		}
		b.Await(5*time.Second, "list it there if its users may be this router", 1)
		s.Hangup()
	})
}

// TestForeignAnsweringRouter: an interface dials SoftEther on the first packet to its network, hangs up, and dials again.
// SoftEther knows one address of whom it has let in and is no router, so what is answered is what comes from that address,
// which the device has once the call is up.
func TestForeignAnsweringRouter(t *testing.T) {
	t.Parallel()
	there, ns := netns.New(t), netns.New(t)
	se := StartSoftEther(t, there)
	netns.Join(there, "wan", "192.0.2.1/24", ns, "wan", "192.0.2.2/24")
	pem, err := os.ReadFile(se.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	d := &sstp.Dialer{
		TLSConfig: &tls.Config{RootCAs: roots, ServerName: "sstp.test"},
		PPP:       &ppp.Config{User: se.User, Password: ppp.Secret(se.Password)},
		NetDial: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
			ns.Do(func() { c, err = new(net.Dialer).DialContext(ctx, network, addr) })
			return c, err
		},
	}
	var dev *tun.Device
	ns.Do(func() { dev, err = tun.Open(tun.Config{Name: "ras0"}) })
	if err != nil {
		t.Fatal(err)
	}
	rule, err := tunnel.ParseRule("icmp any > any")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	rt := &tunnel.Router{Uplink: dev, Routes: dev.Routes(new(tunnel.Table))}
	set := &demanddial.Set{Router: rt, Logger: log}
	i := &demanddial.Interface{
		Name: "DD_SoftEther", User: se.User, To: []string{"192.0.2.1"}, NoAnswer: true,
		Dial: func(ctx context.Context, to string) (tunnel.Link, error) {
			c, err := d.DialContext(ctx, to)
			if err != nil {
				return nil, err
			}
			return c, nil
		},
		Up: func(_ context.Context, l tunnel.Link) error {
			return dev.SetAddrs(netip.PrefixFrom(l.Addrs()[0], 32))
		},
		Routes:      []demanddial.Route{{Prefix: netip.MustParsePrefix("192.168.30.0/24")}},
		IdleTimeout: 3 * time.Second,
		Demand:      (&tunnel.Filter{Rules: []tunnel.Rule{rule}}).Match, // the hub's own broadcasts are no use
	}
	if err := set.Add(i); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- rt.Serve(ctx, dev) }()
	go func() { ended <- set.Serve(ctx) }()
	defer func() { cancel(); <-ended; <-ended }()
	await := func(s demanddial.State) {
		t.Helper()
		wait, stop := context.WithTimeout(ctx, 30*time.Second)
		defer stop()
		for st := range i.Watch(wait) {
			if st.State == s {
				return
			}
		}
		t.Fatalf("not %v but %+v", s, i.Status())
	}
	for round := range 2 {
		await(demanddial.Down)
		for end := time.Now().Add(10 * time.Second); !strings.Contains(ns.Run("ip", "route"), "192.168.30.0/24"); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the route is not there")
			}
		}
		ns.Try("ping", "-n", "-c", "1", "-W", "1", se.Tap) // dials
		await(demanddial.Up)
		PingFrom(t, ns, se.Tap, 3)
		if a := i.Addrs(); len(a) == 0 || !netip.MustParsePrefix("192.168.30.0/24").Contains(a[0]) {
			t.Errorf("round %d: addresses %v", round, a)
		}
		if st := i.Status(); st.Dials != uint64(round+1) || st.RxPackets == 0 {
			t.Errorf("round %d: %+v", round, st)
		}
	}
	await(demanddial.Down)
	if !slices.ContainsFunc(strings.Split(ns.Run("ip", "route"), "\n"), func(s string) bool { return strings.HasPrefix(s, "192.168.30.0/24") }) {
		t.Error("the route is withdrawn, though it may dial")
	}
}
