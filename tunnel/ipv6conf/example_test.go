package ipv6conf_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/ipv6conf"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

// A server gives each session a /64 of its pool, and tells it name servers; a client makes itself an address.
func Example() {
	rt := &tunnel.Router{Routes: new(tunnel.Table), Local: new(tunnel.Table)}
	six := &ipv6conf.Server{Routes: rt.Routes, Session: func(l tunnel.Link) ipv6conf.Session {
		s := ipv6conf.FromLink(l)
		s.DNS = []netip.Addr{netip.MustParseAddr("2001:db8::53")}
		return s
	}}
	rt.Local.Insert(netip.MustParsePrefix("ff02::2/128"), six, 0)   // router solicitations
	rt.Local.Insert(netip.MustParsePrefix("ff02::1:2/128"), six, 0) // DHCPv6
	srv := sstptest.NewServer(&sstp.Server{
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
			Addr:          netip.MustParseAddr("10.8.0.1"),
			Pool:          &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.2/31"), netip.MustParsePrefix("2001:db8:8::/48")}},
		},
		Handler: func(ctx context.Context, c *ppp.Conn) error { return rt.ServeLink(ctx, six.Link(c)) },
	})
	defer srv.Close()

	ctx := context.Background()
	link, err := srv.Dialer(&ppp.Config{User: "alice", Password: "secret"}).DialContext(ctx, srv.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	c := &ipv6conf.Client{Link: link} // in the place of link, everywhere
	defer c.Close()
	go c.Serve(ctx, func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
	got, err := c.Wait(ctx, func(c ipv6conf.Config) bool { return len(c.Addrs) > 0 })
	fmt.Println(got.Prefixes, got.DNS, err)
	// Output: [2001:db8:8::/64] [2001:db8::53] <nil>
}

// A branch asks for a prefix for its own networks.
func ExampleClient() {
	var session tunnel.Link // of sstp.Dialer.DialContext
	c := &ipv6conf.Client{
		Link: session, Delegate: true, Length: 56,
		Changed: func(ctx context.Context, now ipv6conf.Config) {
			for _, p := range now.Delegated {
				fmt.Println("the LAN's prefix is of", p)
			}
		},
	}
	_ = c // give it to tunnel.Router.ServeLink, to netstack's Serve, or to a demanddial.Interface's Dial
}

// TestOverPPP: what is advertised and delegated passes between two ends of PPP, and nothing else.
func TestOverPPP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		uplink := new(tunneltest.Device)
		rt := &tunnel.Router{Routes: new(tunnel.Table), Local: new(tunnel.Table), Uplink: uplink}
		six := &ipv6conf.Server{Routes: rt.Routes, Session: func(l tunnel.Link) ipv6conf.Session {
			s := ipv6conf.FromLink(l)
			s.Delegated = []netip.Prefix{netip.MustParsePrefix("2001:db8:a00::/56")}
			return s
		}}
		rt.Local.Insert(netip.MustParsePrefix("ff02::2/128"), six, 0)
		rt.Local.Insert(netip.MustParsePrefix("ff02::1:2/128"), six, 0)
		srv := sstptest.NewServer(&sstp.Server{
			PPP: &ppp.Config{
				Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
				Addr:          netip.MustParseAddr("10.8.0.1"),
				Pool:          &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.2/31"), netip.MustParsePrefix("2001:db8:8::/48")}},
			},
			Handler: func(ctx context.Context, c *ppp.Conn) error { return rt.ServeLink(ctx, six.Link(c)) },
		})
		link, err := srv.Dialer(&ppp.Config{User: "alice", Password: "secret"}).DialContext(t.Context(), srv.Addr())
		if err != nil {
			t.Fatal(err)
		}
		c := &ipv6conf.Client{Link: link, Delegate: true}
		passed, ended := make(chan netip.Addr, 10), make(chan error, 1)
		go func() {
			ended <- c.Serve(t.Context(), func(bufs [][]byte, offset int) (int, error) {
				for _, b := range bufs {
					passed <- netip.AddrFrom16([16]byte(b[offset+24:]))
				}
				return len(bufs), nil
			})
		}()
		time.Sleep(time.Second)
		got := c.Config()
		if len(got.Addrs) != 1 || len(got.Delegated) != 1 || !netip.MustParsePrefix("2001:db8:8::/64").Contains(got.Addrs[0]) {
			t.Fatalf("%+v", got)
		}
		world, own, lan := netip.MustParseAddr("2001:db8:ffff::1"), got.Addrs[0], netip.MustParseAddr("2001:db8:a00:1::9")
		stranger := netip.MustParseAddr("2001:db8:a01::9")
		up := func(src netip.Addr) bool {
			c.Write([][]byte{packet(src, world)}, 32)
			synctest.Wait()
			select {
			case b := <-uplink.Sent():
				return netip.AddrFrom16([16]byte(b[8:24])) == src
			default:
				return false
			}
		}
		down := func(dst netip.Addr) bool {
			rt.Write([][]byte{packet(world, dst)}, 32)
			synctest.Wait()
			select {
			case a := <-passed:
				return a == dst
			default:
				return false
			}
		}
		for a, want := range map[netip.Addr]bool{own: true, own.Next(): true, lan: true, stranger: false} {
			if up(a) != want {
				t.Errorf("from %v: not %v", a, want)
			}
		}
		for a, want := range map[netip.Addr]bool{own: true, own.Next(): false, lan: true, stranger: false} {
			if down(a) != want {
				t.Errorf("to %v: not %v", a, want)
			}
		}
		c.Close()
		<-ended
		synctest.Wait()
		for r := range rt.Routes.(*tunnel.Table).All() {
			t.Errorf("left: %v", r.Prefix)
		}
		srv.Close()
	})
}

// TestPoolPrefixIsRoutedWhileDelegated: what a pool keeps for the networks behind a far side is routed there from when that
// asks until it gives it back, or no longer says that it is there.
func TestPoolPrefixIsRoutedWhileDelegated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &tunnel.Router{Routes: new(tunnel.Table), Local: new(tunnel.Table)}
		six := &ipv6conf.Server{Routes: rt.Routes}
		rt.Local.Insert(netip.MustParsePrefix("ff02::2/128"), six, 0)
		rt.Local.Insert(netip.MustParsePrefix("ff02::1:2/128"), six, 0)
		srv := sstptest.NewServer(&sstp.Server{
			PPP: &ppp.Config{
				Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
				Addr:          netip.MustParseAddr("10.8.0.1"),
				Pool:          &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.2/31")}, Delegate: []netip.Prefix{netip.MustParsePrefix("2001:db8:a00::/55")}},
			},
			Handler: func(ctx context.Context, c *ppp.Conn) error { return rt.ServeLink(ctx, six.Link(c)) },
		})
		link, err := srv.Dialer(&ppp.Config{User: "alice", Password: "secret"}).DialContext(t.Context(), srv.Addr())
		if err != nil {
			t.Fatal(err)
		}
		var got netip.Prefix
		routed := func() bool {
			synctest.Wait()
			return rt.Routes.Lookup(netip.MustParseAddr("2001:db8:a00::9")) != nil || rt.Routes.Lookup(netip.MustParseAddr("2001:db8:a00:100::9")) != nil
		}
		// The session is the link's, and one host after the other asks over it.
		hear := make(chan func(bufs [][]byte, offset int) (int, error), 1)
		to := func([][]byte, int) (int, error) { return 0, nil }
		ended := make(chan error, 1)
		go func() {
			ended <- link.Serve(t.Context(), func(bufs [][]byte, offset int) (int, error) {
				select {
				case to = <-hear:
				default:
				}
				to(bufs, offset)
				return len(bufs), nil
			})
		}()
		host := func(meanwhile func()) {
			ctx, stop := context.WithCancel(t.Context())
			c := &ipv6conf.Client{Link: &borrowed{link, hear}, Delegate: true, NoAddrs: true}
			over := make(chan error, 1)
			go func() { over <- c.Serve(ctx, func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil }) }()
			time.Sleep(20 * time.Second)
			list := c.Config().Delegated
			if len(list) != 1 || got.IsValid() && list[0] != got || rt.Routes.Lookup(list[0].Addr()) == nil {
				t.Fatalf("delegated %v, after %v", list, got)
			}
			got = list[0]
			meanwhile()
			stop()
			<-over
		}
		if routed() {
			t.Error("routed before anybody has asked")
		}
		host(func() {
			time.Sleep(3 * time.Hour) // and it is renewed
			if !routed() {
				t.Error("not routed while it is renewed")
			}
		})
		if routed() {
			t.Error("routed after it was given back")
		}
		host(func() { link.Close() })
		<-ended
		if routed() {
			t.Error("routed when the session is over")
		}
		srv.Close()
	})
}

// borrowed is a link that several are served over, one after the other: what ends it is ctx.
type borrowed struct {
	*ppp.Conn
	hear chan func(bufs [][]byte, offset int) (int, error)
}

func (b *borrowed) Serve(ctx context.Context, to func(bufs [][]byte, offset int) (int, error)) error {
	b.hear <- to
	<-ctx.Done()
	return ctx.Err()
}

func (b *borrowed) Close() error { return nil }

// TestSharedPrefix: of a /64 that sessions share each has one address, which its far side makes of the interface identifier
// that IPV6CP told it.
func TestSharedPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		uplink := new(tunneltest.Device)
		rt := &tunnel.Router{Routes: new(tunnel.Table), Local: new(tunnel.Table), Uplink: uplink}
		six := &ipv6conf.Server{Routes: rt.Routes}
		rt.Local.Insert(netip.MustParsePrefix("ff02::2/128"), six, 0)
		rt.Local.Insert(netip.MustParsePrefix("ff02::1:2/128"), six, 0)
		shared := netip.MustParsePrefix("2001:db8:1::/64")
		srv := sstptest.NewServer(&sstp.Server{
			PPP: &ppp.Config{
				Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
				Addr:          netip.MustParseAddr("10.8.0.1"),
				Pool:          &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24"), shared}, Share: true, Exclude: []netip.Prefix{netip.MustParsePrefix("10.8.0.1/32")}},
			},
			Handler: func(ctx context.Context, c *ppp.Conn) error { return rt.ServeLink(ctx, six.Link(c)) },
		})
		var clients []*ipv6conf.Client
		ended := make(chan error, 2)
		for _, user := range []string{"alice", "bob"} {
			link, err := srv.Dialer(&ppp.Config{User: user, Password: "secret"}).DialContext(t.Context(), srv.Addr())
			if err != nil {
				t.Fatal(err)
			}
			c := &ipv6conf.Client{Link: link}
			go func() {
				ended <- c.Serve(t.Context(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
			}()
			clients = append(clients, c)
		}
		time.Sleep(time.Second)
		// Made of the advertised prefix and given by DHCPv6: both are the one address.
		a, b := clients[0].Config().Addrs, clients[1].Config().Addrs
		if len(a) != 1 || len(b) != 1 || a[0] == b[0] || !shared.Contains(a[0]) || !shared.Contains(b[0]) {
			t.Errorf("addresses %v and %v", a, b)
			a, b = append(a, netip.Addr{}), append(b, netip.Addr{})
		}
		for i, c := range clients {
			for _, src := range []netip.Addr{a[0], b[0], netip.MustParseAddr("2001:db8:1::9:9")} {
				c.Write([][]byte{packet(src, netip.MustParseAddr("2001:db8:ffff::1"))}, 32)
				synctest.Wait()
				passed := false
				select {
				case <-uplink.Sent():
					passed = true
				default:
				}
				if own := src == []netip.Addr{a[0], b[0]}[i]; passed != own {
					t.Errorf("client %d from %v: passed %v", i, src, passed)
				}
			}
			c.Close()
			<-ended
		}
		srv.Close()
	})
}

// packet makes a packet without a next header, behind headroom.
func packet(src, dst netip.Addr) []byte {
	b := make([]byte, 32+40)
	p := b[32:]
	p[0], p[6], p[7] = 0x60, 59, 64
	copy(p[8:], src.AsSlice())
	copy(p[24:], dst.AsSlice())
	return b
}
