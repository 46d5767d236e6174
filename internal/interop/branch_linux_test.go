package interop

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
)

// offices are the two of a well-known example: Seattle behind Router 1 and New York behind Router 2, each with a host, and
// the Internet between them.
type offices struct {
	t                           *testing.T
	internet                    *netns.NS
	seattle, newYork            *Branch
	hostSeattle, hostNewYork    *netns.NS
	certSeattle, certNewYork    string
	keySeattle, keyNewYork      string
	passwordSeattle, passwordNY string
	six                         bool   // IPv6 is routed, too
	more, moreSeattle           string // of both interfaces, and of one
}

const (
	router1 = "131.107.21.178"
	router2 = "157.60.234.17"
	host1   = "172.16.1.7"
	host2   = "172.16.2.7"
)

func newOffices(t *testing.T) *offices {
	Need(t, "openssl:openssl", "ping:iputils-ping", "ss:iproute2")
	o := &offices{
		t: t, internet: netns.New(t), hostSeattle: netns.New(t), hostNewYork: netns.New(t),
		passwordSeattle: `7%uQv45l?p!kWy9*`, passwordNY: `h8#dW@93z~[Fc6$Q`,
	}
	site := func(outer, gateway, lan, host string, hostNS *netns.NS) (*Branch, string, string) {
		ns, dir := netns.New(t), t.TempDir()
		netns.Join(o.internet, "to-"+outer[:3], gateway+"/24", ns, "wan", outer+"/24")
		netns.Join(ns, "lan", lan+"/24", hostNS, "eth0", host+"/24")
		ns.Run("ip", "route", "add", "default", "via", gateway)
		hostNS.Run("ip", "route", "add", "default", "via", lan)
		ns.Run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
		cert, key := certificate(t, dir, "r"+outer[:3]+".test")
		return NewBranch(t, ns, dir), cert, key
	}
	o.internet.Run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	o.seattle, o.certSeattle, o.keySeattle = site(router1, "131.107.21.1", "172.16.1.1", host1, o.hostSeattle)
	o.newYork, o.certNewYork, o.keyNewYork = site(router2, "157.60.234.1", "172.16.2.1", host2, o.hostNewYork)
	o.configure()
	return o
}

// configure writes both files. The passwords are literal strings of TOML, as a person would write them.
func (o *offices) configure(extra ...string) {
	common := `domains = ["EXAMPLE", "example.com"]
`
	iface := `
[[interface]]
name = "%s"
connection = "VPN"
vpn = "automatic"
to = ["%s"]
route-packets = true
add-user = true
dial-in-password = '%s'
user = "%s"
domain = "example.com"
password = '%s'
fingerprint = "%s"
idle = "4s"
attempts = 1
backoff = "1s"
lock-out = ["1s", "1s"]

%s
[[interface.route]]
prefix = "%s"
metric = 1
`
	route6 := func(prefix string) string {
		if !o.six {
			return ""
		}
		return "\n[[interface.route]]\nprefix = \"" + prefix + "\"\n"
	}
	client := `
[[client]]
name = "alice"
password = "secret"
`
	o.seattle.Configure(common + fmt.Sprintf("pool = \"10.1.0.0/24\"\ncertificate = %q\nkey = %q\n", o.certSeattle, o.keySeattle) +
		fmt.Sprintf(iface, "DD_NewYork", router2, o.passwordNY, "DD_Seattle", o.passwordSeattle, fingerprint(o.t, o.certNewYork), o.more+o.moreSeattle, "172.16.2.0/24") + route6("2001:db8:2::/64") + client + strings.Join(extra, "\n"))
	o.newYork.Configure(common + fmt.Sprintf("pool = \"10.2.0.0/24\"\ncertificate = %q\nkey = %q\n", o.certNewYork, o.keyNewYork) +
		fmt.Sprintf(iface, "DD_Seattle", router1, `7%uQv45l?p!kWy9*`, "DD_NewYork", o.passwordNY, fingerprint(o.t, o.certSeattle), o.more, "172.16.1.0/24") + route6("2001:db8:1::/64"))
}

// ping sends one packet and waits long for its answer: what is not repeated must not be lost.
func (o *offices) ping(from *netns.NS, to string, wait time.Duration) error {
	out, err := from.Try("ping", "-n", "-c", "1", "-W", fmt.Sprint(int(wait.Seconds())), to)
	if err != nil {
		return fmt.Errorf("ping %s: %w\n%s", to, err, out)
	}
	return nil
}

func (o *offices) mustPing(from *netns.NS, to string) {
	o.t.Helper()
	if err := o.ping(from, to, 20*time.Second); err != nil {
		o.t.Fatal(err)
	}
}

// calls returns the connections between the routers, as their ports.
func (o *offices) calls() (list []string) {
	out := o.seattle.NS.Run("ss", "-Htn", "state", "established")
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) >= 4 && strings.Contains(line, router2) {
			list = append(list, f[2]+" "+f[3])
		}
	}
	return list
}

func (o *offices) await(states string) {
	o.t.Helper()
	o.seattle.AwaitState(30*time.Second, "DD_NewYork", states)
	o.newYork.AwaitState(30*time.Second, "DD_Seattle", states)
}

func TestSeattleNewYork(t *testing.T) {
	t.Parallel()
	o := newOffices(t)
	if out, err := o.seattle.NS.Try(o.seattle.program, "-config", o.seattle.config, "-check"); err != nil || !strings.Contains(out, "nothing is wrong") {
		t.Fatalf("-check: %v\n%s", err, out)
	}
	if out, err := o.seattle.NS.Try(o.seattle.program, "-config", o.seattle.config, "-explain", host2); err != nil || !strings.Contains(out, "dials (DD_NewYork)") {
		t.Errorf("-explain: %v\n%s", err, out)
	}
	o.seattle.Start()
	o.newYork.Start()
	captures := []*Capture{StartCapture(t, o.seattle.NS, "ras0"), StartCapture(t, o.newYork.NS, "ras0")}
	o.await("Disconnected")

	step := func(name string, f func(t *testing.T)) {
		t.Helper()
		if !t.Run(name, func(t *testing.T) {
			o.t = t
			f(t)
		}) {
			t.FailNow() // what follows builds on it
		}
		o.t = t
	}
	step("the first packet from Seattle dials and is answered", func(t *testing.T) {
		o.mustPing(o.hostSeattle, host2)
		o.await("Connected")
		own1, own2 := o.address(o.seattle, "DD_NewYork"), o.address(o.newYork, "DD_Seattle")
		if !netip.MustParsePrefix("10.2.0.0/24").Contains(own1) || !netip.MustParsePrefix("10.1.0.0/24").Contains(own2) {
			t.Errorf("Router 1 has %v and Router 2 %v: each should have the other's", own1, own2)
		}
		if c := o.calls(); len(c) != 1 || !strings.HasSuffix(c[0], router2+":443") {
			t.Errorf("calls: %v", c)
		}
		// The echo and its answer are all that has passed: routers are no clients, which ask by DHCPInform and register names.
		for b, line := range map[*Branch][]string{o.seattle: o.seattle.Line("DD_NewYork"), o.newYork: o.newYork.Line("DD_Seattle")} {
			if n := len(line); n < 2 || line[n-2] != "1" || line[n-1] != "1" {
				t.Errorf("%s: more than a packet in and a packet out: %v", b.config, line)
			}
		}
	})
	step("idle, it is hung up, and the next packet from New York dials", func(t *testing.T) {
		o.await("Disconnected")
		o.mustPing(o.hostNewYork, host1)
		o.await("Connected")
		if c := o.calls(); len(c) != 1 || strings.HasSuffix(c[0], router2+":443") {
			t.Errorf("calls: %v", c)
		}
		o.await("Disconnected")
	})
	step("both at once end with one call", func(t *testing.T) {
		for round := range 5 {
			var both sync.WaitGroup
			for _, x := range []struct {
				ns *netns.NS
				to string
			}{{o.hostSeattle, host2}, {o.hostNewYork, host1}} {
				both.Go(func() {
					if err := o.ping(x.ns, x.to, 20*time.Second); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			o.await("Connected")
			for end := time.Now().Add(15 * time.Second); len(o.calls()) != 1; time.Sleep(100 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("round %d: %v", round, o.calls())
				}
				o.ping(o.hostSeattle, host2, time.Second) // it is not idle meanwhile
			}
			if err := o.ping(o.hostSeattle, host2, 5*time.Second); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
			o.await("Disconnected")
		}
	})
	step("connected by hand from either end", func(t *testing.T) {
		for _, x := range []struct {
			b    *Branch
			name string
		}{{o.seattle, "DD_NewYork"}, {o.newYork, "DD_Seattle"}} {
			if out, err := x.b.Ctl("connect", x.name); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			o.await("Connected")
			if out, err := x.b.Ctl("disconnect", x.name); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			o.await("Disconnected")
		}
	})
	step("a new configuration leaves an unchanged call alone", func(t *testing.T) {
		o.mustPing(o.hostSeattle, host2)
		before := o.calls()
		o.configure("[[client]]\nname = \"bob\"\npassword = \"x\"\n", `[[interface]]
name = "DD_Boston"
to = ["192.0.2.1"]
user = "DD_Seattle"
password = "x"
[[interface.route]]
prefix = "172.16.3.0/24"
`)
		o.seattle.Reload()
		if out := o.seattle.NS.Run("ip", "route", "show", "proto", "201"); !strings.Contains(out, "172.16.3.0/24") {
			t.Errorf("the new route is not there:\n%s", out)
		}
		if after := o.calls(); len(after) != 1 || after[0] != before[0] {
			t.Errorf("calls before %v, after %v", before, after)
		}
		o.configure()
		o.seattle.Reload()
		if line := o.seattle.Line("DD_Boston"); line[0] != "missing" {
			t.Errorf("DD_Boston is %v", line)
		}
		o.await("Disconnected")
	})
	step("a wrong password", func(t *testing.T) {
		o.passwordSeattle = "wrong"
		o.configure()
		o.seattle.Reload()
		if err := o.ping(o.hostSeattle, host2, 20*time.Second); err == nil || !strings.Contains(err.Error(), "Unreachable") {
			t.Errorf("the host is not told: %v", err)
		}
		o.seattle.AwaitState(10*time.Second, "DD_NewYork", "Unreachable")
		if line := strings.Join(o.seattle.Line("DD_NewYork"), " "); !strings.Contains(line, "previous attempt failed") || !strings.Contains(line, "691") {
			t.Errorf("why: %s", line)
		}
		if out := o.seattle.NS.Run("ip", "route", "show", "proto", "201"); strings.Contains(out, "172.16.2.0/24") {
			t.Errorf("the route is still there:\n%s", out)
		}
		if out, err := o.seattle.Ctl("explain", host2); err != nil || !strings.Contains(out, "unreachable, and its routes are withdrawn") {
			t.Errorf("explain: %v\n%s", err, out)
		}
		o.passwordSeattle = `7%uQv45l?p!kWy9*`
		o.configure()
		o.seattle.Reload()
		o.mustPing(o.hostSeattle, host2)
	})
	step("IPv6 dials as well", func(t *testing.T) {
		for _, x := range []struct {
			b    *Branch
			host *netns.NS
			net  string
		}{{o.seattle, o.hostSeattle, "2001:db8:1::"}, {o.newYork, o.hostNewYork, "2001:db8:2::"}} {
			x.b.NS.Run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
			x.b.NS.Run("ip", "addr", "add", x.net+"1/64", "dev", "lan", "nodad")
			x.host.Run("ip", "addr", "add", x.net+"7/64", "dev", "eth0", "nodad")
			x.host.Run("ip", "route", "add", "default", "via", x.net+"1")
		}
		o.six = true
		o.configure()
		o.seattle.Reload()
		o.newYork.Reload()
		o.mustPing(o.hostSeattle, "2001:db8:2::7")
		o.mustPing(o.hostNewYork, host1)
		o.await("Connected")
	})
	step("nothing was sent that only clients send", func(t *testing.T) {
		o.hostSeattle.Run("bash", "-c", "echo x >/dev/udp/"+host2+"/9") // the captures do see such things
		o.mustPing(o.hostSeattle, host2)
		for n, c := range captures {
			for _, what := range []string{"proto 17 port 67", "proto 17 port 68", "proto 17 port 53", "proto 6 port 53", "proto 17 port 137", "proto 17 port 138"} {
				if seen := c.Seen(what); seen > 0 {
					t.Errorf("router %d: %d packets of %s", n+1, seen, what)
				}
			}
			if c.Seen("proto 1") < 10 || c.Seen("proto 17 port 9") != 1 {
				t.Errorf("router %d: the capture saw %s", n+1, c.All())
			}
		}
	})
	step("everything goes through the tunnel while connected, but for the tunnel, whoever calls", func(t *testing.T) {
		o.moreSeattle = "default-route = true\nexclude = true\n"
		o.configure()
		o.seattle.Reload()
		if out := o.seattle.NS.Run("ip", "route", "get", "198.51.100.1"); !strings.Contains(out, "dev wan") {
			t.Errorf("not connected: %s", out)
		}
		for from, to := range map[*netns.NS]string{o.hostSeattle: host2, o.hostNewYork: host1} {
			o.mustPing(from, to)
			o.await("Connected")
			if out := o.seattle.NS.Run("ip", "route", "get", "198.51.100.1"); !strings.Contains(out, "dev ras0") {
				t.Errorf("connected: %s", out)
			}
			if out := o.seattle.NS.Run("ip", "route", "get", router2); !strings.Contains(out, "dev wan") {
				t.Errorf("the tunnel goes through itself: %s", out)
			}
			o.mustPing(from, to)
			o.seattle.Ctl("disconnect", "DD_NewYork")
			o.await("Disconnected")
		}
		o.moreSeattle = ""
		o.configure()
		o.seattle.Reload()
	})
	step("the line is pulled and comes back", func(t *testing.T) {
		o.more = "dead-peer = \"5s\"\nredial-lost = true\n"
		o.configure()
		o.seattle.Reload()
		o.newYork.Reload()
		o.mustPing(o.hostSeattle, host2)
		pulled := time.Now()
		o.internet.Run("ip", "link", "set", "to-157", "down")
		for o.seattle.Line("DD_NewYork")[0] == "Connected" || o.newYork.Line("DD_Seattle")[0] == "Connected" {
			if time.Since(pulled) > 30*time.Second {
				t.Fatal("both ends think that the line is there")
			}
			o.ping(o.hostSeattle, host2, time.Second) // it is not idle
			o.ping(o.hostNewYork, host1, time.Second)
		}
		t.Logf("noticed after %v", time.Since(pulled))
		o.internet.Run("ip", "link", "set", "to-157", "up")
		began := time.Now()
		for o.ping(o.hostSeattle, host2, 2*time.Second) != nil {
			if time.Since(began) > 90*time.Second {
				t.Fatal("no way back within 90 s")
			}
		}
		t.Logf("back after %v", time.Since(began))
		o.more = ""
		o.configure()
		o.seattle.Reload()
		o.newYork.Reload()
	})
	step("the other router is killed and comes back", func(t *testing.T) {
		o.newYork.Kill()
		o.ping(o.hostSeattle, host2, 2*time.Second)
		began := time.Now()
		o.newYork.Start()
		for o.ping(o.hostSeattle, host2, 2*time.Second) != nil {
			if time.Since(began) > 90*time.Second {
				t.Fatal("no way back within 90 s")
			}
			time.Sleep(200 * time.Millisecond)
		}
		t.Logf("back after %v", time.Since(began))
		o.await("Connected")
	})
	step("a remote-access client of the same server stays a client", func(t *testing.T) {
		NeedLinuxClient(t)
		g := StartGuest(t, o.internet, 0)
		s := g.Dial(Call{Server: router1 + ":443", Host: "r131.test", CA: o.certSeattle, User: "alice", Password: "secret", Auth: "mschap-v2"})
		if s.Refused != "" {
			t.Fatalf("refused: %s\n%s", s.Refused, last(s.PPPLog(), 2000))
		}
		if !netip.MustParsePrefix("10.1.0.0/24").Contains(s.Local) || s.Peer.String() != "10.1.0.1" {
			t.Errorf("%+v", s)
		}
		s.Ping(host1, 3)
		o.mustPing(o.hostSeattle, host2)
		if line := o.seattle.Line("client alice"); line[0] != "Connected" {
			t.Errorf("alice is %v", line)
		}
		if line := o.seattle.Line("DD_NewYork"); line[0] != "Connected" {
			t.Errorf("DD_NewYork is %v", line)
		}
		s.Hangup()
	})
}

// address returns this end's PPP address of an interface.
func (o *offices) address(b *Branch, name string) netip.Addr {
	o.t.Helper()
	for _, f := range b.Line(name) {
		if a, err := netip.ParseAddr(strings.Trim(f, "[]")); err == nil && a.Is4() {
			return a
		}
	}
	o.t.Fatalf("%s has no address: %v", name, b.Line(name))
	return netip.Addr{}
}
