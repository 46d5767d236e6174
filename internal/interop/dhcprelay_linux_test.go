package interop

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tun"
)

// A relayed is an SSTP server in the test process whose clients reach DHCP servers through a relay that has its socket
// in a namespace.
type relayed struct {
	relay  *dhcpinform.Relay
	router *tunnel.Router
	server *sstptest.Server
}

// startRelay runs relay in ns.
func startRelay(t *testing.T, ns *netns.NS, relay *dhcpinform.Relay) *relayed {
	t.Helper()
	if !relay.Transparent {
		var pc net.PacketConn
		var err error
		ns.Do(func() { pc, err = net.ListenPacket("udp4", net.JoinHostPort(relay.Addr.String(), "67")) })
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- relay.Serve(ctx, pc) }()
		t.Cleanup(func() { cancel(); <-ended })
	}

	local := new(tunnel.Table)
	local.Insert(netip.MustParsePrefix("255.255.255.255/32"), relay, 0)
	local.Insert(netip.MustParsePrefix("10.8.0.1/32"), relay, 0)
	rt := &tunnel.Router{Routes: new(tunnel.Table), Local: local}
	srv := sstptest.NewServer(&sstp.Server{
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
			Addr:          netip.MustParseAddr("10.8.0.1"),
			Pool:          &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/29")}},
		},
		Handler: func(ctx context.Context, c *ppp.Conn) error { return rt.ServeLink(ctx, relay.Link(c)) },
	})
	t.Cleanup(srv.Close)
	return &relayed{relay, rt, srv}
}

// forward lets ns reach the pool through the Router.
func (r *relayed) forward(t *testing.T, ns *netns.NS) {
	t.Helper()
	var dev *tun.Device
	var err error
	ns.Do(func() { dev, err = tun.Open(tun.Config{Name: "vpn0", MTU: 1400}) })
	if err != nil {
		t.Fatal(err)
	}
	r.relay.Next = dev
	ns.Run("ip", "link", "set", "vpn0", "up")
	ns.Run("ip", "route", "add", "10.8.0.0/24", "dev", "vpn0")
	ns.Run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.router.Serve(ctx, dev) }()
	t.Cleanup(func() { cancel(); <-ended })
}

// dial connects a client that is served until the test's end.
func (r *relayed) dial(t *testing.T, user string) *dhcpinform.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	link, err := r.server.Dialer(&ppp.Config{User: user, Password: "secret"}).DialContext(ctx, r.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c := &dhcpinform.Client{Link: link, Hostname: user}
	served := make(chan error, 1)
	go func() {
		served <- c.Serve(context.Background(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
	}()
	t.Cleanup(func() { c.Close(); <-served })
	return c
}

// inform asks, and again: the first may come before the session is routed.
func inform(t *testing.T, c *dhcpinform.Client) *dhcpinform.Options {
	t.Helper()
	c.Timeout = time.Second
	o, err := c.Inform(t.Context(), nil)
	if err != nil {
		t.Fatalf("%v: %v", c.Addrs(), err)
	}
	return o
}

// lan joins a DHCP server's namespace and a relay's. The server knows no route but to its own network.
func lan(t *testing.T) (server, relay *netns.NS) {
	server, relay = netns.New(t), netns.New(t)
	netns.Join(server, "lan", "192.0.2.1/24", relay, "lan", "192.0.2.2/24")
	relay.Run("ip", "addr", "add", "10.8.0.1/32", "dev", "lo")
	// Kea never looks again at a device that had no carrier when it started.
	for end := time.Now().Add(10 * time.Second); !strings.Contains(server.Run("ip", "-o", "link", "show", "lan"), "state UP"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the cable has no carrier")
		}
	}
	return server, relay
}

// TestDHCPRelay: our client asks across an SSTP session and our relay, and a server that nobody here wrote answers.
func TestDHCPRelay(t *testing.T) {
	t.Parallel()
	addrs := func(list ...string) (out []netip.Addr) {
		for _, s := range list {
			out = append(out, netip.MustParseAddr(s))
		}
		return out
	}
	via := netip.MustParseAddr("10.8.0.1")
	want := dhcpinform.Options{
		DNS: addrs("192.0.2.53", "192.0.2.54"), Domain: "vpn.test", Search: []string{"vpn.test", "eng.vpn.test", "corp.test"},
		WINS: addrs("192.0.2.9"), NodeType: 8, NTP: addrs("192.0.2.123"), WPAD: "http://wpad.vpn.test/wpad.dat",
		Routes: []dhcpinform.Route{{Prefix: netip.MustParsePrefix("10.88.0.0/16"), Via: via}, {Prefix: netip.MustParsePrefix("10.89.0.0/24"), Via: via}},
		Server: netip.MustParseAddr("192.0.2.1"),
	}
	check := func(t *testing.T, r *relayed, users ...string) {
		t.Helper()
		for _, user := range users {
			o := inform(t, r.dial(t, user))
			for _, x := range o.Raw {
				if x.Code == 82 || x.Code == 51 {
					t.Errorf("%s was told option %d: %x", user, x.Code, x.Data)
				}
			}
			got := *o
			got.Raw = nil
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got\n%+v, want\n%+v", user, got, want)
			}
		}
		// An answer is counted once the link has taken it: the client may be quicker.
		for end := time.Now().Add(5 * time.Second); r.relay.Stats().Answered < uint64(len(users)) && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if s := r.relay.Stats(); s.Answered < uint64(len(users)) || s.Strange != 0 || s.Refused != 0 {
			t.Errorf("%+v", s)
		}
	}
	dead := netip.MustParseAddrPort("192.0.2.77:67")
	live := netip.MustParseAddrPort("192.0.2.1:67")

	t.Run("dnsmasq", func(t *testing.T) {
		server, ns := lan(t)
		server.Run("ip", "route", "add", "10.8.0.1/32", "via", "192.0.2.2")
		d := StartDnsmasq(t, server)
		r := startRelay(t, ns, &dhcpinform.Relay{Servers: []netip.AddrPort{dead, live}, Addr: via,
			Agent: func(client netip.Addr, _ tunnel.PacketWriter) dhcpinform.AgentInfo {
				return dhcpinform.AgentInfo{CircuitID: "ppp-" + client.String(), RemoteID: "test"}
			}})
		check(t, r, "alice", "bob")
		d.Await(10*time.Second, "DHCPINFORM(lan) 10.8.0.", 2)
		d.Await(10*time.Second, "vendor class: MSFT 5.0", 2)
	})

	// The relay's address is of the server's network; option 82 says which subnet is meant. The server has no route to the
	// pool and needs none.
	t.Run("dnsmasq with link selection", func(t *testing.T) {
		server, ns := lan(t)
		StartDnsmasq(t, server)
		r := startRelay(t, ns, &dhcpinform.Relay{Servers: []netip.AddrPort{live}, Addr: netip.MustParseAddr("192.0.2.2"),
			Agent: func(netip.Addr, tunnel.PacketWriter) dhcpinform.AgentInfo {
				return dhcpinform.AgentInfo{LinkSelection: netip.MustParseAddr("10.8.0.0")}
			}})
		check(t, r, "alice")
	})

	// The same by examples/sstpd, whose clients end in a stack of its own.
	t.Run("sstpd on netstack", func(t *testing.T) {
		server, ns := lan(t)
		StartDnsmasq(t, server)
		dir := t.TempDir()
		p := StartProgram(t, ns, "sstpd", "-listen", "192.0.2.2:8443", "-users", writeFile(t, filepath.Join(dir, "users"), "alice:secret\n"),
			"-tun", "netstack", "-pool", "10.8.0.0/29", "-dhcp-relay", "192.0.2.1")
		p.Await(20*time.Second, "msg=ready", 1)
		d := &sstp.Dialer{
			TLSConfig: &tls.Config{InsecureSkipVerify: true}, PPP: &ppp.Config{User: "alice", Password: "secret", AllowUnverified: true},
			NetDial: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
				ns.Do(func() { c, err = new(net.Dialer).DialContext(ctx, network, addr) })
				return c, err
			},
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		link, err := d.DialContext(ctx, "192.0.2.2:8443")
		if err != nil {
			t.Fatal(err)
		}
		c := &dhcpinform.Client{Link: link}
		served := make(chan error, 1)
		go func() {
			served <- c.Serve(context.Background(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
		}()
		o := inform(t, c)
		o.Raw = nil
		if !reflect.DeepEqual(*o, want) {
			t.Errorf("got\n%+v, want\n%+v", *o, want)
		}
		c.Close()
		<-served
		p.Await(5*time.Second, "msg=\"inform relayed\" client=10.8.0.2 user=alice", 1)
	})

	// Servers that answer straight to the client, by a route to the pool; what the relay's host forwards passes its Router.
	for _, direct := range []struct {
		name  string
		start func(testing.TB, *netns.NS) *Program
		saw   string
	}{
		{"ISC", StartISC, "DHCPACK to 10.8.0."},
		{"Kea", StartKea, "DHCP4_INFORM_DIRECT_REPLY"},
	} {
		t.Run(direct.name, func(t *testing.T) {
			server, ns := lan(t)
			server.Run("ip", "route", "add", "10.8.0.0/24", "via", "192.0.2.2")
			d := direct.start(t, server)
			r := startRelay(t, ns, &dhcpinform.Relay{Servers: []netip.AddrPort{dead, live}, Addr: via,
				Agent: func(client netip.Addr, _ tunnel.PacketWriter) dhcpinform.AgentInfo {
					return dhcpinform.AgentInfo{CircuitID: "ppp-" + client.String()}
				}})
			r.forward(t, ns)
			check(t, r, "alice", "bob")
			d.Await(10*time.Second, direct.saw, 2)
		})

		t.Run(direct.name+" transparently", func(t *testing.T) {
			server, ns := lan(t)
			server.Run("ip", "route", "add", "10.8.0.0/24", "via", "192.0.2.2")
			d := direct.start(t, server)
			r := startRelay(t, ns, &dhcpinform.Relay{Servers: []netip.AddrPort{dead, live}, Transparent: true})
			r.forward(t, ns)
			check(t, r, "alice", "bob")
			d.Await(10*time.Second, direct.saw, 2)
		})
	}
}
