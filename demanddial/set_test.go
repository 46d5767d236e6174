package demanddial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/packet"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

// A site is a router with a Set, in a bubble.
type site struct {
	t    *testing.T
	set  *Set
	host *tunneltest.Device
	far  *far
	log  *syncBuffer
	stop func()
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newSite(t *testing.T, list ...*Interface) *site {
	t.Helper()
	s := &site{t: t, host: new(tunneltest.Device), far: &far{t: t}, log: new(syncBuffer)}
	rt := &tunnel.Router{Uplink: s.host, Routes: new(tunnel.Table)}
	s.set = &Set{Router: rt, Domains: []string{"EXAMPLE", "example.com"}, Logger: slog.New(slog.NewTextHandler(s.log, nil))}
	for _, i := range list {
		if i.Dial == nil {
			i.Dial = s.far.dial
		}
	}
	if err := s.set.Add(list...); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- s.set.Router.Serve(ctx, s.host) }()
	go func() { ended <- s.set.Serve(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		<-ended
	})
	s.t.Cleanup(s.stop)
	synctest.Wait()
}

func (s *site) find(name string) *Interface {
	s.t.Helper()
	i := s.set.Find(name)
	if i == nil {
		s.t.Fatalf("no interface %s", name)
	}
	return i
}

func route(p string, metric int) Route {
	return Route{Prefix: netip.MustParsePrefix(p), Metric: metric}
}

func iface(name string, routes ...Route) *Interface {
	return &Interface{Name: name, User: "DD_Seattle", Routes: routes}
}

func TestSetRoutesPacketsOfTheHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, iface("DD_NewYork", route("172.16.2.0/24", 0)), iface("DD_Boston", route("172.16.3.0/24", 0)))
		s.start()
		s.host.Inject(datagram(here, there, 53, 1))
		synctest.Wait()
		if got := s.far.last().numbers(); !slices.Equal(got, []byte{1}) {
			t.Errorf("%v", got)
		}
		if st := s.find("dd_newyork").Status(); st.State != Up {
			t.Error(st)
		}
		if st := s.find("DD_Boston").Status(); st.State != Down {
			t.Error(st)
		}
		s.far.last().send(datagram(there, here, 53, 2), datagram(netip.MustParseAddr("172.16.3.1"), here, 53, 3))
		synctest.Wait()
		if n := len(s.host.Sent()); n != 1 {
			t.Errorf("%d packets came in: one is of a network that is not there", n)
		}
		s.far.set(busy)
		boston := s.find("DD_Boston")
		s.host.Inject(datagram(here, netip.MustParseAddr("172.16.3.1"), 53, 4))
		sleep(time.Minute)
		if st := boston.Status(); st.State != Unreachable {
			t.Error(st)
		}
		<-s.host.Sent()
		if p := <-s.host.Sent(); p[9] != 1 || p[20] != 3 {
			t.Errorf("no ICMP unreachable: %x", p)
		}
	})
}

// TestWhoSentIsToldThatNothingIsReached: the host and a client of another link, of both families.
func TestWhoSentIsToldThatNothingIsReached(t *testing.T) {
	here6, there6 := netip.MustParseAddr("2001:db8:1::7"), netip.MustParseAddr("2001:db8:2::7")
	client, client6 := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("2001:db8:9::1")
	for _, held := range []bool{true, false} { // while it is dialled; and locked out, by somebody who knows an old route
		bubble(t, func(t *testing.T) {
			s := newSite(t, iface("DD_NewYork", route("172.16.2.0/24", 0), route("2001:db8:2::/48", 0)))
			s.set.Router.LinkToLink = true
			s.start()
			own, far := tunneltest.Pipe(netip.MustParsePrefix("10.9.0.254/32"), netip.MustParsePrefix("10.9.0.0/16"))
			six := &dual{own}
			s.set.Router.Routes.Insert(netip.PrefixFrom(client6, 128), six, 0)
			go s.set.Router.ServeLink(t.Context(), six)
			var told [][]byte
			go far.Serve(t.Context(), func(bufs [][]byte, offset int) (int, error) {
				for _, b := range bufs {
					told = append(told, bytes.Clone(b[offset:]))
				}
				return len(bufs), nil
			})
			i := s.find("DD_NewYork")
			s.far.set(func(int, string) error { return refusedForGood{errBusy} })
			s.far.delay = time.Second
			if !held {
				i.Connect(t.Context())
			}
			send := func(src, dst netip.Addr) {
				p := ip(src.String(), dst.String(), 17, portsOf(1, 53))
				switch {
				case held && (src == here || src == here6):
					s.host.Inject(p)
				case held:
					far.Write([][]byte{p}, 0)
				case src == here || src == here6:
					i.Write([][]byte{p}, 0)
				default:
					i.Receive(six, [][]byte{p}, 0)
				}
				synctest.Wait()
			}
			for _, p := range [][2]netip.Addr{{here, there}, {here6, there6}, {client, there}, {client6, there6}} {
				send(p[0], p[1])
			}
			sleep(time.Minute)
			var host [][]byte
			for len(s.host.Sent()) > 0 {
				host = append(host, <-s.host.Sent())
			}
			check := func(who string, got [][]byte, four, six netip.Addr) {
				t.Helper()
				if len(got) != 2 {
					t.Fatalf("held %v: %s is told %d times: %x", held, who, len(got), got)
				}
				slices.SortFunc(got, func(a, b []byte) int { return int(a[0]) - int(b[0]) })
				// Network unreachable, and no route to destination: RFC 1812 section 5.2.7.1, RFC 4443 section 3.1.
				if p := packet.IPv4(got[0]); got[0][9] != 1 || got[0][20] != 3 || p.Dst() != four {
					t.Errorf("held %v: %s: %x", held, who, got[0])
				}
				if p := packet.IPv6(got[1]); got[1][6] != 58 || got[1][40] != 1 || got[1][41] != 0 || p.Dst() != six {
					t.Errorf("held %v: %s: %x", held, who, got[1])
				}
			}
			check("the host", host, here, here6)
			check("the client", told, client, client6)
			if n := i.Status().Rejected; n != 4 {
				t.Errorf("held %v: %d rejected", held, n)
			}
		})
	}
}

// A dual is a link with an IPv6 address, too.
type dual struct{ tunnel.Link }

func (d *dual) Addrs() []netip.Addr {
	return append(d.Link.Addrs(), netip.MustParseAddr("2001:db8:9::fe"))
}

func TestSetServesWhatIsAddedAndNotWhatIsRemoved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, iface("DD_NewYork", route("172.16.2.0/24", 0)))
		s.start()
		kept := s.find("DD_NewYork")
		if err := kept.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := s.far.last()
		boston := iface("DD_Boston", route("172.16.3.0/24", 0))
		boston.Dial, boston.Persistent = s.far.dial, true
		if err := s.set.Add(boston); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st := boston.Status(); st.State != Up {
			t.Error(st)
		}
		again := iface("DD_Boston", route("172.16.3.0/24", 5))
		again.Dial = s.far.dial
		if err := s.set.Update([]string{"dd_boston"}, again); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if hop := s.set.Router.Routes.Lookup(netip.MustParseAddr("172.16.3.1")); hop != tunnel.PacketWriter(again) {
			t.Errorf("routed to %v", hop)
		}
		if n, err := boston.Write(nil, 0); !errors.Is(err, net.ErrClosed) {
			t.Error(n, err)
		}
		s.set.Remove("DD_Boston")
		if hop := s.set.Router.Routes.Lookup(netip.MustParseAddr("172.16.3.1")); hop != nil || s.set.Find("DD_Boston") != nil {
			t.Error("it is still there")
		}
		if first.near.closed() || kept.Status().State != Up {
			t.Error("the other one was touched")
		}
		var names []string
		for i := range s.set.All() {
			names = append(names, i.Name)
		}
		if !slices.Equal(names, []string{"DD_NewYork"}) {
			t.Error(names)
		}
		if err := s.set.Serve(t.Context()); err == nil {
			t.Error("served twice")
		}
	})
}

func TestSetEndsWhenTheHostsSideFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, iface("DD_NewYork", route("172.16.2.0/24", 0)))
		ended := make(chan error, 1)
		go func() { ended <- s.set.Serve(context.Background()) }()
		synctest.Wait()
		if err := s.find("DD_NewYork").Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.host.Close()
		s.far.last().send(datagram(there, here, 53, 2))
		if err := <-ended; !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "DD_NewYork") {
			t.Error(err)
		}
	})
}

func TestAddTellsEverythingAndDoesNothing(t *testing.T) {
	dial := func(context.Context, string) (tunnel.Link, error) { return nil, errBusy }
	outer := netip.MustParseAddr("157.60.234.17")
	type field struct{ iface, field, text string }
	for name, c := range map[string]struct {
		there []*Interface
		add   []*Interface
		want  []field
		set   func(s *Set)
	}{
		"names": {
			there: []*Interface{iface("DD_NewYork")},
			add:   []*Interface{iface("dd_newyork"), iface("DD_B"), iface("dd_b"), iface(""), iface(`X\Y`), iface("a@b"), iface(strings.Repeat("x", 254)), iface("DD\nX"), iface("DD ")},
			want: []field{
				{"dd_newyork", "Name", "DD_NewYork"}, {"dd_b", "Name", "DD_B"}, {"", "Name", "has none"}, {`X\Y`, "Name", "without domain"}, {"a@b", "Name", "without domain"},
				{strings.Repeat("x", 254), "Name", "253 at most"}, {"DD\nX", "Name", "control characters"}, {"DD ", "Name", "space around"},
			},
		},
		"overlapping routes": {
			there: []*Interface{iface("A", route("172.16.0.0/16", 0), route("10.0.0.0/8", 1))},
			add: []*Interface{
				iface("B", route("172.16.2.0/24", 0), route("10.1.0.0/16", 2), route("192.168.0.0/24", 0)),
				iface("C", route("172.16.0.0/12", 0), route("192.168.0.0/24", 0), route("0.0.0.0/0", 0)),
				iface("D", route("0.0.0.0/0", 0), route("128.0.0.0/1", 0), route("2001:db8::/32", 0), route("2001:db8::/32", 1)),
			},
			want: []field{
				{"B", "Routes", `172.16.2.0/24 overlaps with 172.16.0.0/16 of interface "A"`},
				{"C", "Routes", `172.16.0.0/12 overlaps with 172.16.0.0/16 of interface "A"`},
				{"C", "Routes", `172.16.0.0/12 overlaps with 172.16.2.0/24 of interface "B"`},
				{"C", "Routes", `192.168.0.0/24 overlaps with 192.168.0.0/24 of interface "B"`},
				{"D", "Routes", `0.0.0.0/0 overlaps with 0.0.0.0/0 of interface "C"`},
				{"D", "Routes", `2001:db8::/32 is there twice`},
			},
		},
		"routes that are none": {
			add: []*Interface{iface("A", Route{}, route("10.0.0.1/8", 0), route("fe80::/64", 0), route("224.0.0.0/4", 0), route("127.0.0.0/8", 0), route("::ffff:10.0.0.0/104", 0))},
			want: []field{
				{"A", "Routes", "no prefix"}, {"A", "Routes", "is 10.0.0.0/8 meant"}, {"A", "Routes", "fe80::/64 never"}, {"A", "Routes", "224.0.0.0/4 never"},
				{"A", "Routes", "127.0.0.0/8 never"}, {"A", "Routes", "write it as IPv4"},
			},
		},
		"a tunnel through itself": {
			add: []*Interface{
				{Name: "A", User: "u", To: []string{"vpn.example.com", outer.String(), outer.String() + ":8443"}, Routes: []Route{route("157.60.0.0/16", 0)}},
				{Name: "B", User: "u", To: []string{"[2001:db8::1]:443"}, Routes: []Route{{Prefix: netip.MustParsePrefix("::/0"), Connected: true}}},
				{Name: "C", User: "u", To: []string{"192.0.2.1"}, Routes: []Route{route("198.51.100.0/24", 0)}},
				{Name: "D", User: "u", To: []string{"198.51.100.1"}, Routes: []Route{route("192.0.2.0/24", 0)}},
				{Name: "E", User: "u", To: []string{"203.0.113.1"}, Routes: []Route{route("203.0.113.0/24", 0)}, Exclude: func(netip.Addr) error { return nil }},
			},
			want: []field{
				{"A", "To", "through itself"}, {"A", "To", "through itself"}, {"B", "To", "through itself"}, {"C", "To", `interface "D"`}, {"D", "To", `interface "C"`},
			},
		},
		"a name that is asked through the tunnel": {
			set: func(s *Set) { s.Resolvers = []netip.Addr{netip.MustParseAddr("172.16.2.53")} },
			add: []*Interface{
				{Name: "A", User: "u", To: []string{"vpn.example.com"}, Routes: []Route{route("172.16.2.0/24", 0)}},
				{Name: "B", User: "u", To: []string{"vpn.example.com"}, Routes: []Route{{Prefix: netip.MustParsePrefix("172.16.0.0/16"), Connected: true}}},
			},
			want: []field{{"A", "To", "172.16.2.53"}, {"B", "Routes", "overlaps"}},
		},
		"what makes no sense": {
			add: []*Interface{
				{Name: "A", NoAnswer: true}, {Name: "B", Persistent: true}, {Name: "C", Dial: dial},
				{Name: "D", To: []string{""}, Hold: -1, HoldFor: -1, Timeout: -1, AnsweredIdle: -1, MaxMTU: 100, LockOut: [2]time.Duration{time.Hour, time.Minute}},
			},
			want: []field{
				{"A", "", "neither"}, {"B", "Persistent", "only answers"}, {"C", "User", "cross"}, {"D", "To", "no destination"},
				{"D", "AnsweredIdle", "negative"}, {"D", "HoldFor", "negative"}, {"D", "Timeout", "negative"}, {"D", "Hold", "bytes"}, {"D", "MaxMTU", "576"}, {"D", "LockOut", "longer"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, c.there...)
			if c.set != nil {
				c.set(s.set)
			}
			if name != "what makes no sense" {
				for _, i := range c.add {
					i.Dial = dial
				}
			}
			err := s.set.Add(c.add...)
			var left []string
			for _, p := range Problems(err) {
				left = append(left, p.Error())
				if p.Unwrap() == nil {
					t.Errorf("%v unwraps to nothing", p)
				}
			}
			for _, w := range c.want {
				n := slices.IndexFunc(left, func(s string) bool {
					return strings.Contains(s, fmt.Sprintf("interface %q: %s", w.iface, w.field)) && strings.Contains(s, w.text)
				})
				if n < 0 {
					t.Errorf("not told: %+v", w)
					continue
				}
				left = slices.Delete(left, n, n+1)
			}
			if len(left) > 0 {
				t.Errorf("told, too: %q", left)
			}
			n := 0
			for range s.set.All() {
				n++
			}
			if n != len(c.there) || len(s.set.routes.sorted) > 2 {
				t.Errorf("half applied: %d interfaces, routes %v", n, s.set.routes.sorted)
			}
		})
	}
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, iface("A", route("172.16.2.0/24", 0)), iface("B", route("172.16.3.0/24", 0)))
		s.start()
		bad := iface("C", route("172.16.3.0/24", 0))
		bad.Dial = s.far.dial
		if err := s.set.Update([]string{"A"}, bad); err == nil {
			t.Fatal("applied")
		}
		if err := s.set.Update([]string{"nobody"}); err == nil {
			t.Error("removed nobody")
		}
		a := s.find("A")
		if err := s.set.Add(a); err == nil {
			t.Error("added twice")
		}
		if err := s.set.Update([]string{"B"}, bad); err != nil {
			t.Error(err)
		}
		if err := a.Connect(t.Context()); err != nil {
			t.Error(err)
		}
		clash := iface("D", route("172.16.2.0/24", 0))
		clash.Dial = s.far.dial
		if err := s.set.Add(clash); err == nil {
			t.Error("the routes of A are forgotten")
		}
	})
	if err := new(Set).Add(iface("A")); err == nil {
		t.Error("a Set without a Router")
	}
}

func TestOnlyTheNameOfAnInterfaceIsARouter(t *testing.T) {
	s := newSite(t, iface("DD_NewYork"), iface("DD_Boston"), iface("Kontor"))
	s.find("DD_Boston").Domains = []string{"other.example"}
	s.find("Kontor").Enable(false)
	for user, want := range map[string]string{
		"DD_NewYork": "DD_NewYork", "dd_newyork": "DD_NewYork", `EXAMPLE\DD_NewYork`: "DD_NewYork", `example\dd_newyork`: "DD_NewYork",
		"DD_NewYork@example.com": "DD_NewYork", "DD_NewYork@EXAMPLE.COM": "DD_NewYork", `example.com\DD_NewYork`: "DD_NewYork",
		"DD_Boston@other.example": "DD_Boston", "DD_Boston": "DD_Boston",
		"": "", "DD_NewYor": "", "DD_NewYork2": "", "mallory": "", "Kontor": "",
		"DD_NewYor\u212a": "", // the Kelvin sign folds to k, but not in ASCII
	} {
		i := s.set.Match(user)
		if got := nameOf(i); got != want {
			t.Errorf("%q is %q, want %q", user, got, want)
		}
	}
}

func nameOf(i *Interface) string {
	if i == nil {
		return ""
	}
	return i.Name
}

func TestANameOfAnotherDomainIsNoRouter(t *testing.T) {
	s := newSite(t, iface("DD_NewYork"), iface("DD_Boston"))
	s.find("DD_Boston").Domains = []string{"other.example"}
	for _, user := range []string{
		`EVIL\DD_NewYork`, "DD_NewYork@evil.example", "DD_NewYork@other.example", `EXAMPLE\DD_NewYork@evil.example`, `EVIL\DD_NewYork@example.com`,
		"DD_NewYork@example.com@evil.example", `\\DD_NewYork`, `EXAMPLE\EVIL\DD_NewYork`, "@DD_NewYork",
	} {
		if i := s.set.Match(user); i != nil {
			t.Errorf("%q is %s", user, i.Name)
		}
	}
}

func TestAKindThatIsOffIsRefused(t *testing.T) {
	for _, c := range []struct {
		noRemote, noDial bool
		user             string
		router, refused  bool
	}{
		{false, false, "alice", false, false}, {true, false, "alice", false, true}, {false, true, "alice", false, false},
		{false, false, "DD_NewYork", true, false}, {true, false, "DD_NewYork", true, false}, {false, true, "DD_NewYork", true, true},
	} {
		s := newSite(t, iface("DD_NewYork"))
		s.set.NoRemoteAccess, s.set.NoDemandDial = c.noRemote, c.noDial
		i, err := s.set.Admit(c.user)
		var r *RefusedError
		if errors.As(err, &r) != c.refused || c.refused && (r.Router != c.router || r.User != c.user || i != nil) {
			t.Errorf("%+v: %v %v", c, i, err)
		}
		if !c.refused && (i != nil) != c.router {
			t.Errorf("%+v: %v", c, i)
		}
		if c.refused {
			l, _ := newLink("")
			if err := s.set.Answer(t.Context(), c.user, l); !errors.As(err, &r) || !l.closed() {
				t.Errorf("%+v: %v", c, err)
			}
		}
	}
}

func TestSwitchedOffNothingIsDialled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.set.NoDemandDial = true
		i := iface("DD_NewYork", route("172.16.2.0/24", 0))
		i.Dial, i.Persistent = s.far.dial, true
		if err := s.set.Add(i); err != nil {
			t.Fatal(err)
		}
		s.start()
		sleep(time.Hour)
		if st := i.Status(); st.State != Unreachable || st.Reasons != Paused || s.far.count() != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestPauseLeavesCallsAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, iface("A", route("172.16.2.0/24", 0)), iface("B", route("172.16.3.0/24", 0)))
		s.start()
		a, b := s.find("A"), s.find("B")
		if err := a.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.far.delay = time.Hour
		connected := make(chan error, 1)
		go func() { connected <- b.Connect(t.Context()) }()
		synctest.Wait()
		s.set.Pause(true)
		var u *UnreachableError
		if err := <-connected; !errors.As(err, &u) || u.Reasons != Paused {
			t.Error(err)
		}
		synctest.Wait()
		if a.Status().State != Up || b.Status().Reasons != Paused {
			t.Error(a.Status(), b.Status())
		}
		l, _ := newLink("")
		if err := b.Answer(t.Context(), l); !errors.As(err, &u) || u.Reasons != Paused {
			t.Error(err)
		}
		s.set.Pause(false)
		synctest.Wait()
		if b.Status().State != Down {
			t.Error(b.Status())
		}
	})
}

func TestPortsAreShared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.set.Ports = 1
		for n, name := range []string{"A", "B"} {
			i := iface(name, route(fmt.Sprintf("172.16.%d.0/24", n+2), 0))
			i.Dial = s.far.dial
			if err := s.set.Add(i); err != nil {
				t.Fatal(err)
			}
		}
		s.start()
		a, b := s.find("A"), s.find("B")
		if err := a.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		var u *UnreachableError
		if err := b.Connect(t.Context()); !errors.As(err, &u) || u.Reasons != NoResources {
			t.Error(err)
		}
		synctest.Wait()
		if st := b.Status(); st.State != Unreachable || st.Reasons != NoResources {
			t.Error(st)
		}
		l, _ := newLink("")
		if err := b.Answer(t.Context(), l); !errors.As(err, &u) || u.Reasons != NoResources {
			t.Error(err)
		}
		a.Disconnect()
		synctest.Wait()
		if st := b.Status(); st.State != Down {
			t.Error(st)
		}
		if err := b.Connect(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestNameMismatchIsLoggedWithTheFix(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, iface("DD_NewYork", route("172.16.2.0/24", 0)))
		s.start()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for user, want := range map[string]string{
			"DD_Seattle":        "must call by the name DD_NewYork",
			`EVIL\DD_NewYork`:   "list it there",
			"alice":             "",
			"DD_New_York":       "let it call as DD_NewYork, or name the interface DD_New_York",
			"EXAMPLE\\a-client": "",
		} {
			s.log.b.Reset()
			l, _ := newLink("")
			stray := &strays{near: l}
			go s.set.Answer(ctx, user, stray)
			synctest.Wait()
			if user == "DD_New_York" {
				stray.f(there)
			} else {
				stray.f(netip.MustParseAddr("192.0.2.1")) // of no interface
			}
			if got := s.log.String(); want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("%s: logged %q, want %q", user, got, want)
			}
			l.Close()
			synctest.Wait()
		}
	})
}

type strays struct {
	*near
	f func(netip.Addr)
}

func (s *strays) OnStray(f func(netip.Addr)) { s.f = f }

func TestOneWayTrafficIsLoggedWithTheFix(t *testing.T) {
	for _, answers := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			s := newSite(t, iface("DD_NewYork", route("172.16.2.0/24", 0)))
			s.start()
			for n := range byte(6) {
				s.host.Inject(datagram(here, there, 53, n))
				sleep(10 * time.Second)
				if answers && n == 3 {
					s.far.last().send(datagram(there, here, 53, n))
				}
			}
			sleep(time.Minute)
			if got := strings.Count(s.log.String(), "must be named DD_Seattle"); (got == 1) == answers {
				t.Errorf("answers %v: told %d times", answers, got)
			}
		})
	}
}

func TestAlternateByMetricTakesOverWhileUnreachable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		main, spare := &far{t: t}, &far{t: t}
		a, b := iface("Main", route("172.16.2.0/24", 1)), iface("Spare", route("172.16.2.0/24", 2))
		a.Dial, b.Dial, a.Attempts = main.dial, spare.dial, 1
		main.set(busy)
		s := newSite(t, a, b)
		s.start()
		s.host.Inject(datagram(here, there, 53, 1))
		synctest.Wait()
		if a.Status().State != Unreachable {
			t.Fatal(a.Status())
		}
		s.host.Inject(datagram(here, there, 53, 2))
		synctest.Wait()
		if got := spare.last().numbers(); !slices.Equal(got, []byte{2}) {
			t.Errorf("%v", got)
		}
		main.set(nil)
		sleep(10 * time.Minute)
		s.host.Inject(datagram(here, there, 53, 3))
		synctest.Wait()
		if got := main.last().numbers(); !slices.Equal(got, []byte{3}) {
			t.Errorf("%v", got)
		}
	})
}

func TestUpdatesAtOnceDoNotUndoEachOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, iface("A0", route("10.0.0.0/24", 0)), iface("B0", route("10.1.0.0/24", 0)))
		s.start()
		var both sync.WaitGroup
		for n, name := range []string{"A", "B"} {
			both.Go(func() {
				for k := range 20 {
					i := iface(fmt.Sprint(name, k+1), route(fmt.Sprintf("10.%d.0.0/24", n), 0))
					i.Dial, i.Persistent = s.far.dial, true
					if err := s.set.Update([]string{fmt.Sprint(name, k)}, i); err != nil {
						t.Error(err)
					}
				}
			})
		}
		both.Wait()
		var names []string
		for i := range s.set.All() {
			names = append(names, i.Name)
		}
		slices.Sort(names)
		if !slices.Equal(names, []string{"A20", "B20"}) || len(s.set.routes.sorted) != 2 {
			t.Errorf("%v, %v", names, s.set.routes.sorted)
		}
	})
}
