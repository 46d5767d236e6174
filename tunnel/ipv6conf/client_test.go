package ipv6conf

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// A told is what Changed was told, and when.
type told struct {
	at  time.Duration
	now Config
}

// client serves a Client at the far side, over a link that is told what it has.
func (x *site) client(c *Client) (link *testLink, changes chan told, passed chan []byte, end func()) {
	link = &testLink{Link: x.far}
	changes, passed = make(chan told, 100), make(chan []byte, 100)
	began := time.Now()
	c.Link = link
	c.Changed = func(_ context.Context, now Config) { changes <- told{time.Since(began), now} }
	ctx, cancel := context.WithCancel(x.t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- c.Serve(ctx, func(bufs [][]byte, offset int) (int, error) {
			for _, b := range bufs {
				passed <- slices.Clone(b[offset:])
			}
			return len(bufs), nil
		})
	}()
	return link, changes, passed, func() { cancel(); <-ended }
}

// TestClientAndServer: both ends of one link, from the first word to the last.
func TestClientAndServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t, &Server{Session: fullSession})
		c := &Client{Delegate: true, Length: 60}
		link, changes, passed, end := x.client(c)
		x.serve()
		time.Sleep(20 * time.Second)
		want := Config{
			Addrs: addrs("2001:db8:1::2:3:4:5", "2001:db8:1::5"), Prefixes: []netip.Prefix{pfx("2001:db8:1::/64")}, Delegated: []netip.Prefix{pfx("2001:db8:b0::/60")},
			Router: near, Routes: []netip.Prefix{pfx("2001:db8:88::/48"), pfx("fd00::/8"), pfx("2001:db8::9/128")},
			DNS: addrs("2001:db8::53", "2001:db8::54"), Search: []string{"vpn.test", "corp.test"}, SNTP: addrs("2001:db8::123"), MTU: 1400,
		}
		want.Addrs[0] = adr("2001:db8:1:0:2:3:4:5")
		if got := c.Config(); !reflect.DeepEqual(got, want) {
			t.Fatalf("got\n%+v, want\n%+v", got, want)
		}
		if got := c.Addrs(); !slices.Equal(got, append([]netip.Addr{far}, want.Addrs...)) || !slices.Equal(c.DNS(), want.DNS) {
			t.Errorf("%v, %v", got, c.DNS())
		}
		_, own := link.has()
		if !slices.Equal(own, []netip.Prefix{pfx("2001:db8:1:0:2:3:4:5/128"), pfx("2001:db8:1::5/128"), pfx("2001:db8:b0::/60")}) {
			t.Errorf("the link is told %v", own)
		}
		if !slices.Contains(x.routes(), pfx("2001:db8:b0::/60")) {
			t.Errorf("routes %v", x.routes())
		}
		got, err := c.Wait(t.Context(), func(c Config) bool { return len(c.Delegated) > 0 })
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v", got, err)
		}

		// All of it is kept for days, by what is said again and again; nothing of that is handed on.
		time.Sleep(72 * time.Hour)
		if got := c.Config(); !reflect.DeepEqual(got, want) {
			t.Errorf("after three days\n%+v", got)
		}
		if n := x.server.Stats(); n.Refused != 0 || n.Limited != 0 || n.Delegated != 1 || n.Answered < 72 {
			t.Errorf("%+v", n)
		}
		if len(passed) != 0 {
			t.Errorf("handed on: %x", <-passed)
		}
		for len(changes) > 1 {
			<-changes
		}
		<-changes

		// The server's router goes, and the client says goodbye.
		x.server.Close()
		synctest.Wait()
		if got := <-changes; got.now.Router.IsValid() || len(got.now.DNS) == 0 || len(got.now.Routes) != 0 || len(got.now.Addrs) != 2 {
			t.Errorf("after the last word: %+v", got.now)
		}
		time.Sleep(2 * DefaultValid)
		if got := c.Config(); len(got.Delegated)+len(got.Addrs) != 0 {
			t.Errorf("long after: %+v", got)
		}
		end()
		x.end()
	})
}

// TestClientGivesBack: the goodbye of a client that has a prefix.
func TestClientGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t, &Server{Session: fullSession})
		c := &Client{Delegate: true, NoAddrs: true}
		link, _, _, end := x.client(c)
		x.serve()
		time.Sleep(20 * time.Second)
		if got := c.Config(); len(got.Delegated) != 1 || len(got.Addrs) != 0 || x.server.Stats().Delegated != 1 {
			t.Errorf("%+v", got)
		}
		end()
		if _, own := link.has(); len(own) != 0 {
			t.Errorf("the link still has %v", own)
		}
		synctest.Wait()
		if s := x.server.Stats(); s.Delegated != 0 {
			t.Errorf("%+v", s)
		}
		<-x.ended
		if got := x.routes(); len(got) != 0 {
			t.Errorf("routes left: %v", got)
		}
	})
}

// A liar is the near end of a link, under the test's own control.
type liar struct {
	*site
	heard *ear
}

// newLiar returns a link whose near end nobody serves but the test.
func newLiar(t *testing.T, c *Client) (x *liar, link *testLink, changes chan told, end func()) {
	x = &liar{site: newSite(t, new(Server))}
	x.heard = new(ear)
	began := time.Now()
	go x.link.Serve(t.Context(), func(bufs [][]byte, offset int) (int, error) {
		x.heard.mu.Lock()
		defer x.heard.mu.Unlock()
		for _, b := range bufs {
			x.heard.got = append(x.heard.got, said{time.Since(began), slices.Clone(b[offset:])})
		}
		return len(bufs), nil
	})
	link, changes, _, end = x.client(c)
	return x, link, changes, end
}

func (x *liar) say(b []byte) {
	x.t.Helper()
	if n, err := x.link.Write([][]byte{b}, headroom); n != 1 || err != nil {
		x.t.Fatalf("Write: %d, %v", n, err)
	}
	synctest.Wait()
}

func (x *liar) advertise(a advert) {
	x.t.Helper()
	x.say(sealICMP(a.appendTo(newICMP(near, allNodes, routerAdvertisement))))
}

// asked returns what the client has asked since the last call: "RS" and the types of DHCPv6.
func (x *liar) asked() (list []dhcpMessage, solicitations []time.Duration) {
	for _, p := range x.heard.take() {
		if m, ok := parseND(p.b); ok && m.typ == routerSolicitation && m.src == far && m.dst == allRouters {
			solicitations = append(solicitations, p.at)
		} else if u, ok := parseUDP(p.b); ok && u.src == far && u.dst == allServers {
			m, ok := parseDHCP(u.body)
			if !ok || m.refused {
				x.t.Errorf("asked %x", p.b)
			}
			list = append(list, m)
		}
	}
	return list, solicitations
}

func (x *liar) answer(m dhcpMessage) {
	x.t.Helper()
	m.elapsed = -1
	x.say(sealUDP(m.appendTo(newUDP(near, far, serverPort, clientPort))))
}

// TestSolicitations: RFC 7559's times, until somebody is a router.
func TestSolicitations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, _, changes, end := newLiar(t, new(Client))
		time.Sleep(24 * time.Hour)
		_, at := x.asked()
		if len(at) < 25 || len(at) > 40 || at[0] != 0 {
			t.Fatalf("%d solicitations in a day: %v", len(at), at)
		}
		for i := 1; i < len(at); i++ {
			low, high := solicitFirst*9/10, solicitFirst*11/10 // RFC 8415 section 15
			if i > 1 {
				last := at[i-1] - at[i-2]
				low, high = last*19/10, last*21/10
			}
			if high > solicitMost { // what would be longer than the most is about the most
				low, high = min(low, solicitMost*9/10), solicitMost*11/10
			}
			if w := at[i] - at[i-1]; w < low || w > high+1 {
				t.Errorf("wait %d is %v, not %v to %v", i, w, low, high)
			}
		}
		x.advertise(advert{prefixes: []advertPrefix{{pfx("2001:db8:1::/64"), true, 100000, 100}}}) // no router
		time.Sleep(2 * time.Hour)
		if _, at = x.asked(); len(at) == 0 {
			t.Error("gave up at an advertisement of no router")
		}
		x.advertise(advert{lifetime: 1800})
		time.Sleep(1700 * time.Second)
		x.asked()
		x.advertise(advert{lifetime: 1800})
		time.Sleep(1700 * time.Second)
		if _, at = x.asked(); len(at) != 0 {
			t.Errorf("goes on: %v", at)
		}
		if len(changes) == 0 {
			t.Error("nothing is told")
		}
		end()
	})
}

// TestLifetimes: RFC 4862 section 5.5.3, RFC 8106 section 5.1.
func TestLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(Client)
		x, _, _, end := newLiar(t, c)
		p, q, r := pfx("2001:db8:1::/64"), pfx("2001:db8:2::/64"), pfx("2001:db8:3::/64")
		say := func(lives ...uint32) {
			a := advert{lifetime: 60}
			for i, life := range lives {
				a.prefixes = append(a.prefixes, advertPrefix{[]netip.Prefix{p, q, r}[i], true, life, life})
			}
			x.advertise(a)
		}
		check := func(what string, want ...netip.Prefix) {
			t.Helper()
			synctest.Wait()
			if got := c.Config().Prefixes; !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		say(3*3600, forever, 60)
		check("told", p, q, r)
		time.Sleep(time.Minute)
		check("a minute", p, q)
		say(0, forever, 0)
		check("no shorter than two hours", p, q)
		time.Sleep(2*time.Hour - time.Second)
		check("nearly", p, q)
		say(0, 60)
		check("what is left stays", p, q)
		time.Sleep(2 * time.Second)
		check("over", q)
		time.Sleep(2*time.Hour - 10*time.Second)
		check("what was for ever, nearly", q)
		time.Sleep(10 * time.Second)
		check("what was for ever")
		if c.Config().Router.IsValid() {
			t.Error("the router is not forgotten")
		}

		x.advertise(advert{mtu: 1300, dns: []advertDNS{{addrs("2001:db8::53", "fe80::1", "::1"), 10}, {addrs("2001:db8::54"), forever}}, search: []advertSearch{{[]string{"a.test"}, 5}}})
		if got := c.Config(); !slices.Equal(got.DNS, addrs("2001:db8::53", "fe80::1", "2001:db8::54")) || len(got.Search) != 1 || got.MTU != 1300 {
			t.Errorf("%+v", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := c.Config(); !slices.Equal(got.DNS, addrs("2001:db8::54")) || len(got.Search) != 0 {
			t.Errorf("%+v", got)
		}
		x.advertise(advert{mtu: 1000, dns: []advertDNS{{addrs("2001:db8::54"), 0}}})
		if got := c.Config(); len(got.DNS) != 0 || got.MTU != 1300 {
			t.Errorf("%+v", got)
		}
		// Without end it is not kept.
		many := advert{lifetime: 60}
		for i := range 200 {
			many.prefixes = append(many.prefixes[:0], advertPrefix{netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i)}), 64), true, 9000, 9000})
			many.routes = append(many.routes[:0], advertRoute{many.prefixes[0].prefix, 9000})
			x.advertise(many)
		}
		if got := c.Config(); len(got.Prefixes) != maxListed || len(got.Routes) != maxListed {
			t.Errorf("%d prefixes, %d routes", len(got.Prefixes), len(got.Routes))
		}
		end()
	})
}

// TestClientHearsItsRouterOnly: what is no advertisement of the link's other end says nothing, and is handed on.
func TestClientHearsItsRouterOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(Client)
		x, _, changes, end := newLiar(t, c)
		a := &advert{lifetime: 1800, prefixes: []advertPrefix{{pfx("2001:db8:1::/64"), true, 9000, 9000}}}
		make := func(src, dst netip.Addr, f func(p []byte)) []byte {
			b := sealICMP(a.appendTo(newICMP(src, dst, routerAdvertisement)))
			if f != nil {
				f(b[headroom:])
			}
			return b
		}
		for what, b := range map[string][]byte{
			"a global source":  make(adr("2001:db8::1"), far, nil),
			"ourselves":        make(far, allNodes, nil),
			"to routers":       make(near, allRouters, nil),
			"forwarded":        make(near, allNodes, func(p []byte) { p[7] = 64 }),
			"a wrong checksum": make(near, allNodes, func(p []byte) { p[50]++ }),
			"an empty option":  sealICMP(append(a.appendTo(newICMP(near, allNodes, routerAdvertisement)), 1, 0, 0, 0, 0, 0, 0, 0)),
			"cut":              sealICMP(append(newICMP(near, allNodes, routerAdvertisement), 64, 0, 7, 8, 0, 0, 0, 0)),
		} {
			x.say(b)
			if len(changes) != 0 {
				t.Errorf("%s is believed: %+v", what, (<-changes).now)
			}
		}
		// Prefixes of which nobody makes addresses.
		a.prefixes = []advertPrefix{{pfx("fe80::/64"), true, 9, 9}, {pfx("2001:db8::/48"), true, 9, 9}, {pfx("2001:db8:1::/64"), false, 9, 9}, {pfx("ff00::/64"), true, 9, 9}, {pfx("2001:db8:1::/64"), true, 8, 9}}
		x.say(make(near, far, nil))
		if got := c.Config(); len(got.Addrs) != 0 || got.Router != near {
			t.Errorf("%+v", got)
		}
		end()
	})
}

var pdAnswer = []ia{{kind: optIAPD, id: 1, t1: 1000, t2: 1600, leases: []iaLease{{pfx("2001:db8:a00::/56"), 2000, 4000}}}}

// TestClientDelegation: the client's side of RFC 8415 section 18.2, with a server that is slow, forgetful, and dies.
func TestClientDelegation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{Delegate: true, Length: 56, DUID: clientID}
		x, _, _, end := newLiar(t, c)
		has := func(what string, n int) {
			t.Helper()
			synctest.Wait()
			if got := c.Config().Delegated; len(got) != n {
				t.Errorf("%s: %v", what, got)
			}
		}
		last := func(typ byte) dhcpMessage {
			t.Helper()
			list, _ := x.asked()
			if len(list) == 0 || list[len(list)-1].typ != typ {
				t.Fatalf("asked %+v, want type %d", list, typ)
			}
			return list[len(list)-1]
		}
		time.Sleep(10 * time.Second)
		list, _ := x.asked()
		if len(list) < 3 || list[0].elapsed != 0 || list[2].elapsed <= list[1].elapsed {
			t.Fatalf("asked %+v", list)
		}
		m := list[0]
		if m.typ != dhcpSolicit || !m.rapid || !slices.Equal(m.client, clientID) || len(m.ias) != 1 || m.ias[0].leases[0].prefix.Bits() != 56 || !m.asksFor(optDNS) {
			t.Errorf("%+v", m)
		}
		// One who has nothing, and then one who has.
		x.answer(dhcpMessage{typ: dhcpAdvertise, xid: m.xid, client: clientID, server: []byte{9, 9, 9}, ias: []ia{{kind: optIAPD, id: 1, status: status{statusNoPrefixAvail, "no"}}}})
		if list, _ = x.asked(); len(list) != 0 {
			t.Errorf("asked %+v", list)
		}
		x.answer(dhcpMessage{typ: dhcpAdvertise, xid: m.xid, client: clientID, server: serverID, ias: pdAnswer})
		m = last(dhcpRequest)
		if !slices.Equal(m.server, serverID) {
			t.Errorf("%+v", m)
		}
		has("requested", 0)
		x.answer(dhcpMessage{typ: dhcpReply, xid: m.xid, client: clientID, server: serverID, status: status{statusUnspec, "later"}})
		has("put off", 0)
		time.Sleep(5 * time.Second)
		m = last(dhcpRequest)
		x.answer(dhcpMessage{typ: dhcpReply, xid: m.xid, client: clientID, server: serverID, ias: pdAnswer, dns: addrs("2001:db8::53")})
		has("bound", 1)

		time.Sleep(1000 * time.Second)
		m = last(dhcpRenew)
		if !slices.Equal(m.server, serverID) || m.ias[0].leases[0].prefix != pfx("2001:db8:a00::/56") {
			t.Errorf("%+v", m)
		}
		x.answer(dhcpMessage{typ: dhcpReply, xid: m.xid, client: clientID, server: serverID, ias: pdAnswer})
		time.Sleep(999 * time.Second)
		if list, _ = x.asked(); len(list) != 0 {
			t.Errorf("asked %+v", list)
		}
		time.Sleep(2 * time.Second)
		m = last(dhcpRenew)
		x.answer(dhcpMessage{typ: dhcpReply, xid: m.xid, client: clientID, server: serverID, ias: []ia{{kind: optIAPD, id: 1, status: status{statusNoBinding, "who?"}}}})
		m = last(dhcpRequest) // a server that has lost its memory
		x.answer(dhcpMessage{typ: dhcpReply, xid: m.xid, client: clientID, server: serverID, ias: pdAnswer})
		has("bound again", 1)

		// Nobody renews: others are asked at T2, and when nothing is left all over again.
		time.Sleep(1500 * time.Second)
		last(dhcpRenew)
		time.Sleep(200 * time.Second)
		if m = last(dhcpRebind); m.server != nil {
			t.Errorf("%+v", m)
		}
		time.Sleep(2299 * time.Second)
		has("at the end", 1)
		x.asked()
		time.Sleep(2 * time.Second)
		has("over", 0)
		m = last(dhcpSolicit)

		// Rapid commit, and a server that takes it back.
		x.answer(dhcpMessage{typ: dhcpReply, xid: m.xid, client: clientID, server: serverID, rapid: true, ias: pdAnswer})
		has("at once", 1)
		time.Sleep(1001 * time.Second)
		m = last(dhcpRenew)
		x.answer(dhcpMessage{typ: dhcpReply, xid: m.xid, client: clientID, server: serverID, ias: []ia{{kind: optIAPD, id: 1, leases: []iaLease{{pfx("2001:db8:a00::/56"), 0, 0}}}}})
		has("taken back", 0)
		time.Sleep(10 * time.Second)
		m = last(dhcpSolicit)

		// A server that offers and does not give is not asked without end.
		for range 10 {
			x.answer(dhcpMessage{typ: dhcpAdvertise, xid: m.xid, client: clientID, server: serverID, pref: 255, ias: pdAnswer})
			m = last(dhcpRequest)
			x.answer(dhcpMessage{typ: dhcpReply, xid: m.xid, client: clientID, server: serverID, ias: []ia{{kind: optIAPD, id: 1, status: status{statusNoPrefixAvail, ""}}}})
			if list, _ := x.asked(); len(list) != 0 {
				t.Errorf("asked at once: %+v", list)
			}
			began := time.Now()
			for len(list) == 0 || list[0].typ != dhcpSolicit {
				time.Sleep(time.Second)
				list, _ = x.asked()
			}
			m, list = list[len(list)-1], nil
			if d := time.Since(began); d < time.Second {
				t.Errorf("asked again after %v", d)
			}
		}
		end()
		if list, _ := x.asked(); len(list) != 0 {
			t.Errorf("gives back what it has not: %+v", list)
		}
	})
}

// TestClientInformation: O is asked for, refreshed, and the rest of time-outs.
func TestClientInformation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{DUID: clientID}
		x, _, _, end := newLiar(t, c)
		time.Sleep(time.Minute)
		if list, _ := x.asked(); len(list) != 0 {
			t.Errorf("asked %+v", list)
		}
		x.advertise(advert{lifetime: 9000, other: true})
		list, _ := x.asked()
		if len(list) != 1 || list[0].typ != dhcpInformation || len(list[0].ias) != 0 || !list[0].asksFor(optRefresh) {
			t.Fatalf("asked %+v", list)
		}
		x.answer(dhcpMessage{typ: dhcpReply, xid: list[0].xid, client: clientID, server: serverID, dns: addrs("2001:db8::53", "::1"), search: []string{"vpn.test"}, sntp: addrs("2001:db8::123"), refresh: time.Second})
		if got := c.Config(); !slices.Equal(got.DNS, addrs("2001:db8::53")) || len(got.Search) != 1 || len(got.SNTP) != 1 {
			t.Errorf("%+v", got)
		}
		time.Sleep(refreshLow - time.Second)
		x.advertise(advert{lifetime: 9000, other: true})
		if list, _ = x.asked(); len(list) != 0 {
			t.Errorf("asked %+v", list)
		}
		time.Sleep(time.Second)
		if list, _ = x.asked(); len(list) != 1 || list[0].typ != dhcpInformation {
			t.Errorf("asked %+v", list)
		}
		x.answer(dhcpMessage{typ: dhcpReply, xid: list[0].xid, client: clientID, server: serverID})
		if got := c.Config(); len(got.DNS) != 0 {
			t.Errorf("%+v", got)
		}
		// Now addresses, too.
		x.advertise(advert{lifetime: 9000, managed: true})
		list, _ = x.asked()
		if len(list) != 1 || list[0].typ != dhcpSolicit || len(list[0].ias) != 1 || list[0].ias[0].kind != optIANA {
			t.Fatalf("asked %+v", list)
		}
		x.answer(dhcpMessage{typ: dhcpReply, xid: list[0].xid, client: clientID, server: serverID, rapid: true, ias: []ia{{kind: optIANA, id: 1, leases: []iaLease{{pfx("2001:db8::7/128"), 5000, 5000}}}}})
		if got := c.Config(); !slices.Equal(got.Addrs, addrs("2001:db8::7")) {
			t.Errorf("%+v", got)
		}
		end()
	})
}

// TestClientHearsItsServerOnly: what does not answer what was asked says nothing.
func TestClientHearsItsServerOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{Delegate: true, DUID: clientID}
		x, _, _, end := newLiar(t, c)
		time.Sleep(time.Second)
		list, _ := x.asked()
		good := dhcpMessage{typ: dhcpReply, xid: list[0].xid, client: clientID, server: serverID, rapid: true, ias: pdAnswer}
		for what, f := range map[string]func(m *dhcpMessage){
			"another transaction": func(m *dhcpMessage) { m.xid[0]++ },
			"another client":      func(m *dhcpMessage) { m.client = serverID },
			"no client":           func(m *dhcpMessage) { m.client = nil },
			"no server":           func(m *dhcpMessage) { m.server = nil },
			"two servers":         func(m *dhcpMessage) { m.ias = append([]ia{{kind: optServerID}}, m.ias...) },
			"not at once":         func(m *dhcpMessage) { m.rapid = false },
			"another association": func(m *dhcpMessage) { m.ias = []ia{pdAnswer[0]}; m.ias[0].id = 2 },
			"another kind": func(m *dhcpMessage) {
				m.ias = []ia{{kind: optIANA, id: 1, leases: []iaLease{{pfx("2001:db8::7/128"), 9, 9}}}}
			},
		} {
			m := good
			f(&m)
			x.answer(m)
			if got := c.Config(); len(got.Delegated)+len(got.Addrs) != 0 {
				t.Fatalf("%s is believed: %+v", what, got)
			}
		}
		// From another than was asked.
		x.asked()
		time.Sleep(time.Minute)
		list, _ = x.asked()
		m := good
		m.typ, m.xid = dhcpAdvertise, list[len(list)-1].xid
		x.answer(m)
		list, _ = x.asked()
		m = good
		m.xid, m.server = list[len(list)-1].xid, []byte{8, 8, 8}
		x.answer(m)
		if got := c.Config(); len(got.Delegated) != 0 {
			t.Errorf("another server is believed: %+v", got)
		}
		m.server = serverID
		x.answer(m)
		if got := c.Config(); len(got.Delegated) != 1 {
			t.Errorf("the right one is not: %+v", got)
		}
		end()
	})
}

// TestClientTakesNoWholeInternet: packets to what was delegated pass, so it must be no more than a site has.
func TestClientTakesNoWholeInternet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{Delegate: true, DUID: clientID}
		x, link, _, end := newLiar(t, c)
		for _, p := range []string{"::/0", "2000::/3", "2001:db8::1/128", "fe80::/64", "ff00::/32", "::1/64"} {
			time.Sleep(time.Hour)
			list, _ := x.asked()
			x.answer(dhcpMessage{typ: dhcpReply, xid: list[len(list)-1].xid, client: clientID, server: serverID, rapid: true, ias: []ia{{kind: optIAPD, id: 1, leases: []iaLease{{pfx(p), 9000, 9000}}}}})
			if _, own := link.has(); len(own) != 0 || len(c.Config().Delegated) != 0 {
				t.Errorf("%s is taken", p)
				break
			}
		}
		end()
	})
}

// TestLinkWithoutIPv6: there is nothing to say.
func TestLinkWithoutIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(Server)
		l := &testLink{Link: fourOnly{}}
		if s.Link(l) != tunnel.Link(l) {
			t.Error("a link without IPv6 is wrapped")
		}
		c := &Client{Link: l}
		if err := c.Serve(t.Context(), nil); err != errFourOnly {
			t.Error(err)
		}
	})
}
