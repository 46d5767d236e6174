package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
)

// A grantLog writes down every address that a pool gives and takes back, and sees what is given twice.
type grantLog struct {
	ppp.AddrPool
	mu    sync.Mutex
	held  map[netip.Addr]string
	lines []string
	twice []string
}

func (g *grantLog) Get(ctx context.Context, pool, user string) ([]netip.Prefix, error) {
	list, err := g.AddrPool.Get(ctx, pool, user)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range list {
		line := fmt.Sprintf("%s %v to %s", time.Now().Format("15:04:05.000"), p.Addr(), user)
		if g.lines = append(g.lines, line); g.held[p.Addr()] != "" {
			g.twice = append(g.twice, line+", which "+g.held[p.Addr()]+" has")
		}
		g.held[p.Addr()] = user
	}
	return list, err
}

func (g *grantLog) Put(list []netip.Prefix) {
	g.mu.Lock()
	for _, p := range list {
		g.lines = append(g.lines, fmt.Sprintf("%s %v back from %s", time.Now().Format("15:04:05.000"), p.Addr(), g.held[p.Addr()]))
		delete(g.held, p.Addr())
	}
	g.mu.Unlock()
	g.AddrPool.Put(list)
}

func (g *grantLog) check(t *testing.T, held int) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.twice) > 0 || len(g.held) != held {
		t.Errorf("given twice: %q; %d in use, want %d\n%s", g.twice, len(g.held), held, strings.Join(g.lines, "\n"))
	}
}

// A leasing is an SSTP server in the test process, whose clients get addresses that a DHCP server on a LAN leases.
type leasing struct {
	t        *testing.T
	pool     *dhcpinform.LeasePool
	log      *grantLog
	sessions *ppp.Sessions
	server   *sstptest.Server
	stop     func() // returns the leases, when all sessions have ended

	mu      sync.Mutex
	clients map[string]*leased
	lost    int
}

// A leased is a client.
type leased struct {
	conn   *ppp.Conn
	served chan error
}

// startLeasing runs a server with a pool that leases through pc.
func startLeasing(t *testing.T, pool *dhcpinform.LeasePool, pc net.PacketConn) *leasing {
	t.Helper()
	l := &leasing{t: t, pool: pool, sessions: new(ppp.Sessions), clients: make(map[string]*leased)}
	l.log = &grantLog{AddrPool: pool, held: make(map[netip.Addr]string)}
	pool.Lost = func(a netip.Addr, err error) {
		if !errors.Is(err, dhcpinform.ErrLeaseLost) {
			t.Errorf("%v: %v", a, err)
		}
		if c := l.sessions.Addr(a); c != nil {
			l.mu.Lock()
			l.lost++
			l.mu.Unlock()
			c.Terminate(ppp.NASError, err.Error())
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pool.Serve(ctx, pc) }()
	owning, enough := context.WithTimeout(ctx, 20*time.Second)
	defer enough()
	own, err := pool.Own(owning)
	if err != nil {
		t.Fatal(err)
	}
	if !netip.MustParsePrefix("10.77.0.0/16").Contains(own) {
		t.Errorf("own address: %v", own)
	}
	l.server = sstptest.NewServer(&sstp.Server{
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
			Addr:          own, Pool: l.log, Sessions: l.sessions, NoIPv6: true,
		},
		MaxPendingPerIP: 100,
		Handler: func(ctx context.Context, c *ppp.Conn) error {
			return c.Serve(ctx, func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
		},
	})
	l.stop = sync.OnceFunc(func() {
		l.server.Close()
		cancel()
		<-ended
	})
	t.Cleanup(l.stop)
	return l
}

// dial connects users, some at a time, and waits for all of them.
func (l *leasing) dial(users []string) {
	l.t.Helper()
	var wg sync.WaitGroup
	slots := make(chan bool, 24)
	for _, u := range users {
		wg.Go(func() {
			slots <- true
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			conn, err := l.server.Dialer(&ppp.Config{User: u, Password: "secret", NoIPv6: true}).DialContext(ctx, l.server.Addr())
			if err != nil {
				l.t.Errorf("%s: %v", u, err)
				return
			}
			c := &leased{conn, make(chan error, 1)}
			go func() {
				c.served <- conn.Serve(context.Background(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
			}()
			l.mu.Lock()
			l.clients[u] = c
			l.mu.Unlock()
		})
	}
	wg.Wait()
}

// hangUp ends sessions, and waits until their addresses are back.
func (l *leasing) hangUp(users []string) {
	for _, u := range users {
		l.mu.Lock()
		c := l.clients[u]
		delete(l.clients, u)
		l.mu.Unlock()
		if c != nil {
			c.conn.Close()
			<-c.served
		}
	}
	l.await("addresses to come back", func() bool {
		l.log.mu.Lock()
		defer l.log.mu.Unlock()
		return len(l.log.held) == len(l.clients)
	})
}

func (l *leasing) await(what string, done func() bool) {
	l.t.Helper()
	for end := time.Now().Add(40 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("%s: not within 40 s; %+v", what, l.pool.Stats())
		}
	}
}

// distinct checks what the clients have against the log and each other.
func (l *leasing) distinct(want int) {
	l.t.Helper()
	seen := make(map[netip.Addr]string)
	for u, c := range l.clients {
		a := c.conn.Addrs()[0]
		if seen[a] != "" || !netip.MustParsePrefix("10.77.0.0/16").Contains(a) {
			l.t.Errorf("%s has %v, as has %q", u, a, seen[a])
		}
		seen[a] = u
	}
	if len(seen) != want {
		l.t.Errorf("%d clients, want %d", len(seen), want)
	}
	l.log.check(l.t, want)
}

func names(from, to int) (list []string) {
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprint("user", i))
	}
	return list
}

// leasingLAN makes a DHCP server's namespace and a VPN server's, and a host with an address that the server will lease.
func leasingLAN(t *testing.T) (server, gw *netns.NS) {
	server, gw = netns.New(t), netns.New(t)
	netns.Join(server, "lan", "10.77.0.1/16", gw, "lan", "10.77.0.2/16")
	for end := time.Now().Add(10 * time.Second); !strings.Contains(server.Run("ip", "-o", "link", "show", "lan"), "state UP"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the cable has no carrier")
		}
	}
	return server, gw
}

// listenOnLAN takes what DHCP servers say to the gateway.
func listenOnLAN(t *testing.T, gw *netns.NS) (pc net.PacketConn) {
	t.Helper()
	var err error
	gw.Do(func() { pc, err = dhcpinform.ListenInterface("lan") })
	if err != nil {
		t.Fatal(err)
	}
	return pc
}

// TestLeasedPool: 200 clients of an SSTP server get addresses that DHCP servers which nobody here wrote lease, and never
// one address twice, though the DHCP server is restarted while clients come and go.
func TestLeasedPool(t *testing.T) {
	t.Parallel()

	// crowd is what happens to each server. restart ends it and starts it again, when down has returned.
	crowd := func(t *testing.T, l *leasing, restart func(down func())) {
		l.dial(names(0, 120))
		l.distinct(120)
		l.hangUp(names(0, 40))
		l.log.check(t, 80)
		restart(func() {
			l.dial(names(200, 210)) // of what is leased already
			l.hangUp(names(200, 210))
		})
		l.dial(names(120, 200))
		l.dial(names(0, 40))
		l.distinct(200)
		s := l.pool.Stats()
		if s.Used != 200 || s.Refused != 0 || s.Lost != 0 {
			t.Errorf("%+v", s)
		}
	}

	t.Run("dnsmasq", func(t *testing.T) {
		t.Parallel()
		server, gw := leasingLAN(t)
		dir := scratch(t)
		d := StartLeasingDnsmasq(t, server, dir)
		// Behind the address that it leases first there is another host, which nobody has told it of.
		trial, end := context.WithTimeout(t.Context(), 20*time.Second)
		first := &dhcpinform.LeasePool{Block: 1}
		ended := make(chan error, 1)
		go func() { ended <- first.Serve(trial, listenOnLAN(t, gw)) }()
		taken, err := first.Own(trial)
		if end(); err != nil {
			t.Fatal(err)
		}
		<-ended
		d.Await(10*time.Second, "DHCPRELEASE(lan)", 1)
		taken = taken.Next()
		server.Run("ip", "addr", "add", taken.String()+"/32", "dev", "lan")

		pool := new(dhcpinform.LeasePool)
		probe := dhcpinform.ProbeARP("lan")
		pool.InUse = func(ctx context.Context, a netip.Addr) (used bool) {
			gw.Do(func() { used = probe(ctx, a) })
			return used
		}
		l := startLeasing(t, pool, listenOnLAN(t, gw))
		declined := false
		crowd(t, l, func(down func()) {
			declined = strings.Contains(d.Output(), "DHCPDECLINE(lan) "+taken.String())
			d.Stop()
			down()
			d = StartLeasingDnsmasq(t, server, dir)
		})
		if s := pool.Stats(); s.Declined == 0 || !declined {
			t.Errorf("what other hosts have is not declined: %+v", s)
		}
		for u, c := range l.clients {
			if c.conn.Addrs()[0] == taken {
				t.Errorf("%s has %v, which another host has", u, taken)
			}
		}
		leased := pool.Stats().Leased
		l.stop()
		d.Await(10*time.Second, "DHCPRELEASE(lan)", leased*3/4) // on a busy machine its socket loses some
	})

	t.Run("Kea", func(t *testing.T) {
		t.Parallel()
		server, gw := leasingLAN(t)
		dir := scratch(t)
		const seconds = 20
		d := StartLeasingKea(t, server, dir, seconds)
		pool := new(dhcpinform.LeasePool)
		l := startLeasing(t, pool, listenOnLAN(t, gw))
		crowd(t, l, func(down func()) {
			d.Kill()
			down()
			d = StartLeasingKea(t, server, dir, seconds)
		})
		renewed := pool.Stats().Renewed
		l.await("leases to be extended", func() bool { return pool.Stats().Renewed >= renewed+200 })
		if s := pool.Stats(); s.Lost != 0 || s.Used != 200 {
			t.Errorf("%+v", s)
		}
		// Gone for longer than leases last: no session keeps an address that is not its own any more.
		d.Kill()
		l.await("sessions without a lease to end", func() bool { return l.sessions.Len() == 0 })
		l.await("addresses to come back", func() bool { return pool.Stats().Used == 0 })
		l.log.check(t, 0)
		if s := pool.Stats(); l.lost != 200 || s.Lost < 200 {
			t.Errorf("%d sessions told, %+v", l.lost, s)
		}
	})

	t.Run("Kea through a relay's socket", func(t *testing.T) {
		t.Parallel()
		server, gw := leasingLAN(t)
		d := StartLeasingKea(t, server, scratch(t), 6)
		addr := netip.MustParseAddr("10.77.0.2")
		var pc net.PacketConn
		var err error
		gw.Do(func() { pc, err = net.ListenPacket("udp4", "10.77.0.2:67") })
		if err != nil {
			t.Fatal(err)
		}
		pool := &dhcpinform.LeasePool{Addr: addr, Servers: []netip.AddrPort{netip.MustParseAddrPort("10.77.0.77:67"), netip.MustParseAddrPort("10.77.0.1:67")}}
		l := startLeasing(t, pool, pc)
		l.dial(names(0, 30))
		l.distinct(30)
		l.await("leases to be extended", func() bool { return pool.Stats().Renewed >= 60 })
		l.distinct(30)
		if s := pool.Stats(); s.Lost != 0 {
			t.Errorf("%+v", s)
		}
		l.stop()
		d.Await(10*time.Second, "DHCP4_RELEASE ", 30)
	})

	t.Run("ISC", func(t *testing.T) {
		t.Parallel()
		server, gw := leasingLAN(t)
		dir := scratch(t)
		const seconds = 14
		d := StartLeasingISC(t, server, dir, seconds)
		pool := new(dhcpinform.LeasePool)
		l := startLeasing(t, pool, listenOnLAN(t, gw))
		l.dial(names(0, 25))
		l.distinct(25)
		d.Kill()
		l.hangUp(names(0, 5)) // their leases are kept, and it is not told
		d = StartLeasingISC(t, server, dir, seconds)
		l.dial(names(25, 35))
		l.distinct(30)
		l.await("leases to be extended", func() bool { return pool.Stats().Renewed >= 30 })
		l.distinct(30)
		if s := pool.Stats(); s.Lost != 0 || s.Refused != 0 {
			t.Errorf("%+v", s)
		}
		l.stop()
		d.Await(10*time.Second, "DHCPRELEASE of 10.77.", 30)
	})

	// A client of sstpd is found by the hosts of the LAN while it is connected, and by nobody afterwards, also when the server
	// was killed meanwhile.
	t.Run("sstpd", func(t *testing.T) {
		t.Parallel()
		Need(t, "openssl:openssl", "ping:iputils-ping")
		lan, gw := leasingLAN(t)
		client := netns.New(t)
		netns.Join(gw, "wan", "192.0.2.1/24", client, "wan", "192.0.2.2/24")
		for ns, a := range map[*netns.NS]string{lan: "2001:db8:77::fff1/64", gw: "2001:db8:77::fff2/64"} {
			ns.Run("ip", "addr", "add", a, "dev", "lan", "nodad")
		}
		gw.Run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
		dir := scratch(t)
		dhcp := StartLeasingDnsmasq(t, lan, dir)
		cert, key := certificate(t, dir, "sstp.test")
		users := writeFile(t, filepath.Join(dir, "users"), "alice:secret\n")
		password := writeFile(t, filepath.Join(dir, "password"), "secret\n")
		serve := func() *Program {
			p := StartProgram(t, gw, "sstpd", "-listen", "192.0.2.1:443", "-cert", cert, "-key", key, "-users", users, "-tun", "vpn0",
				"-pool-from-dhcp", "lan", "-ipv6", "2001:db8:77::/64", "-pool-state", filepath.Join(dir, "state"), "-v")
			p.Await(20*time.Second, "msg=ready", 1)
			return p
		}
		dial := func() (p *Program, addrs []string) {
			p = StartProgram(t, client, "sstpc", "-server", "192.0.2.1", "-user", "alice", "-password-file", password,
				"-insecure", "-tun", "vpn1", "-route", "10.77.0.0/16", "-route", "2001:db8:77::/64")
			p.Await(20*time.Second, "msg=connected", 1)
			for end := time.Now().Add(10 * time.Second); len(addrs) < 2; time.Sleep(50 * time.Millisecond) {
				if addrs = nil; time.Now().After(end) {
					t.Fatalf("no IPv6 address: %s", client.Run("ip", "addr", "show", "dev", "vpn1"))
				}
				for _, f := range strings.Fields(client.Run("ip", "-o", "addr", "show", "dev", "vpn1", "scope", "global")) {
					if a, err := netip.ParsePrefix(f); err == nil && a.Addr().IsGlobalUnicast() {
						addrs = append(addrs, a.Addr().String())
					} else if a, err := netip.ParseAddr(f); err == nil && a.Is4() {
						addrs = append(addrs, f)
					}
				}
			}
			return p, addrs
		}
		proxied := func() string {
			return gw.Run("ip", "neigh", "show", "proxy") + gw.Run("ip", "-6", "neigh", "show", "proxy")
		}
		await := func(what string, done func() bool) {
			t.Helper()
			for end := time.Now().Add(15 * time.Second); !done(); time.Sleep(50 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s: %s", what, proxied())
				}
			}
		}
		server := serve()
		c, addrs := dial()
		for _, a := range addrs {
			if !strings.Contains(proxied(), a+" dev lan") {
				t.Errorf("%s is not answered for:\n%s", a, proxied())
			}
			PingFrom(t, lan, a, 2)
		}
		PingFrom(t, client, "10.77.0.1", 2)
		c.Stop()
		await("entries of a session that has ended", func() bool { return proxied() == "" })

		c, again := dial()
		if again[0] != addrs[0] {
			t.Errorf("%s, had %s", again[0], addrs[0])
		}
		server.Kill()
		c.Await(20*time.Second, "disconnected", 1)
		if !strings.Contains(proxied(), again[0]) {
			t.Logf("nothing is left of a killed server: %q", proxied())
		}
		server = serve()
		await("entries of a server that was killed", func() bool { return proxied() == "" })
		_, again = dial()
		if again[0] != addrs[0] {
			t.Errorf("after a restart of the server: %s, had %s", again[0], addrs[0])
		}
		PingFrom(t, lan, again[0], 2)
		server.Stop()
		await("entries of a server that has ended", func() bool { return proxied() == "" })
		dhcp.Await(10*time.Second, "DHCPRELEASE(lan) "+again[0], 1)
		if out, err := lan.Try("ping", "-c", "1", "-W", "1", again[0]); err == nil {
			t.Errorf("somebody answers for %s: %s", again[0], out)
		}
	})
}
