package ipv6conf

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/tunnel"
)

func fullSession(tunnel.Link) Session {
	return Session{
		Prefixes: []netip.Prefix{pfx("2001:db8:1::/64")}, Addr: adr("2001:db8:1::5"),
		Delegated: []netip.Prefix{pfx("2001:db8:a00::/56"), pfx("2001:db8:b0::/60")},
		DNS:       addrs("2001:db8::53", "192.0.2.53", "2001:db8::54"), Search: []string{"vpn.test", "corp.test", "-..-"},
		SNTP: addrs("2001:db8::123"), Routes: []netip.Prefix{pfx("2001:db8:88::/48"), pfx("fd00::/8"), pfx("2001:db8::9/128")},
	}
}

// TestAdvertisements follows the timers of RFC 4861 section 6.2.4 for a day, and what is said at last.
func TestAdvertisements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t, &Server{Session: fullSession})
		e := x.listen()
		x.serve()
		time.Sleep(24 * time.Hour)
		list, to, at := adverts(t, e.take())
		if len(list) < 24*6 || len(list) > 24*18+3 {
			t.Fatalf("%d advertisements in a day", len(list))
		}
		if at[0] != 0 || at[1]-at[0] > initialInterval || at[2]-at[1] > initialInterval {
			t.Errorf("the first come at %v", at[:3])
		}
		different := map[time.Duration]bool{}
		for i := 3; i < len(at); i++ {
			d := at[i] - at[i-1]
			if different[d] = true; d < 200*time.Second || d > 600*time.Second {
				t.Errorf("an interval of %v", d)
			}
		}
		if len(different) < 20 {
			t.Errorf("the intervals are %v", different)
		}
		want := advert{
			hops: 64, managed: true, other: true, lifetime: 1800, mtu: 1400,
			prefixes: []advertPrefix{{pfx("2001:db8:1::/64"), true, 5400, 2700}},
			routes:   []advertRoute{{pfx("2001:db8:88::/48"), 1800}, {pfx("fd00::/8"), 1800}, {pfx("2001:db8::9/128"), 1800}},
			dns:      []advertDNS{{addrs("2001:db8::53", "2001:db8::54"), 1800}},
			search:   []advertSearch{{[]string{"vpn.test", "corp.test"}, 1800}},
		}
		for i := range list {
			if !reflect.DeepEqual(list[i], want) || to[i] != allNodes {
				t.Fatalf("to %v: got\n%+v, want\n%+v", to[i], list[i], want)
			}
		}
		x.end()
		want.lifetime, want.routes[0].lifetime, want.routes[1].lifetime, want.routes[2].lifetime, want.dns[0].lifetime, want.search[0].lifetime = 0, 0, 0, 0, 0, 0
		if list, _, _ = adverts(t, e.take()); len(list) != 1 || !reflect.DeepEqual(list[0], want) {
			t.Errorf("at last: %+v", list)
		}
		time.Sleep(time.Hour)
		if got := e.take(); len(got) != 0 {
			t.Errorf("said after the end: %d", len(got))
		}
		if n := x.server.Stats().Advertised; n < 100 || len(x.server.links) != 0 {
			t.Errorf("%d advertised, %d links left", n, len(x.server.links))
		}
	})
}

// TestSolicited: who asks is answered within half a second, and alone.
func TestSolicited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t, &Server{}, "2001:db8:1::/64")
		e := x.listen()
		x.serve()
		time.Sleep(100 * time.Second)
		e.take()
		began := time.Now()
		x.say(solicitation(far, allRouters))
		x.say(solicitation(far, allRouters, 1, 1, 0, 0, 0, 0, 0, 0)) // one answer is enough
		time.Sleep(solicitedDelay)
		list, to, _ := adverts(t, e.take())
		if len(list) != 1 || to[0] != far || time.Since(began) > solicitedDelay || list[0].managed || list[0].other {
			t.Errorf("%d answers to %v: %+v", len(list), to, list)
		}
		// A neighbour that wants to know whether this end is there.
		ns := newICMP(far, near, neighbourSolicitation)
		x.say(sealICMP(append(append(ns, 0, 0, 0, 0), near.AsSlice()...)))
		got := e.take()
		if len(got) != 1 {
			t.Fatalf("%d answers to a neighbour", len(got))
		}
		if m, ok := parseND(got[0].b); !ok || m.typ != neighbourAdvert || m.dst != far || m.body[0] != 0xc0 || netip.AddrFrom16([16]byte(m.body[4:])) != near {
			t.Errorf("answer %x", got[0].b)
		}
		x.end()
	})
}

// TestServerHearsItsLinkOnly: what has been forwarded, what comes from elsewhere than the far side's link-local address and
// what is broken are no solicitations, and no DHCPv6.
func TestServerHearsItsLinkOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t, &Server{}, "2001:db8:1::/64", "2001:db8:a00::/56")
		e := x.listen()
		x.serve()
		time.Sleep(100 * time.Second)
		e.take()
		change := func(b []byte, f func(p []byte)) []byte {
			f(b[headroom:])
			return b
		}
		global := adr("2001:db8:1::9")
		ask := dhcpMessage{typ: dhcpInformation, client: clientID, elapsed: 0}
		ns := func(src, target netip.Addr) []byte {
			return sealICMP(append(append(newICMP(src, near, neighbourSolicitation), 0, 0, 0, 0), target.AsSlice()...))
		}
		for what, b := range map[string][]byte{
			"forwarded":                     change(solicitation(far, allRouters), func(p []byte) { p[7] = 254 }),
			"a global source":               solicitation(global, allRouters),
			"our own source":                solicitation(near, allRouters),
			"to others":                     solicitation(far, allNodes),
			"an empty option":               solicitation(far, allRouters, 1, 0, 0, 0, 0, 0, 0, 0),
			"half an option":                solicitation(far, allRouters, 1, 2, 0, 0, 0, 0, 0, 0),
			"a wrong checksum":              change(solicitation(far, allRouters), func(p []byte) { p[42]++ }),
			"a code":                        change(solicitation(far, allRouters), func(p []byte) { p[41] = 1; binary.BigEndian.PutUint16(p[42:], binary.BigEndian.Uint16(p[42:])-1) }),
			"too short":                     sealICMP(newICMP(far, allRouters, routerSolicitation)),
			"an advertisement":              sealICMP((&advert{}).appendTo(newICMP(far, allRouters, routerAdvertisement))),
			"for a neighbour":               ns(far, adr("fe80::7")),
			"from a global neighbour":       ns(global, near),
			"DHCPv6 from a global source":   datagram(global, allServers, ask),
			"DHCPv6 from ourselves":         datagram(near, allServers, ask),
			"DHCPv6 to others":              datagram(far, allRouters, ask),
			"DHCPv6 to its clients' port":   sealUDP(ask.appendTo(newUDP(far, allServers, clientPort, clientPort))),
			"DHCPv6 with a wrong checksum":  change(datagram(far, allServers, ask), func(p []byte) { p[46]++ }),
			"DHCPv6 without a checksum":     change(datagram(far, allServers, ask), func(p []byte) { p[46], p[47] = 0, 0 }),
			"nothing":                       sealUDP(newUDP(far, allServers, clientPort, serverPort)),
			"a relay's":                     sealUDP(append(newUDP(far, allServers, clientPort, serverPort), make([]byte, 34)...)),
			"DHCPv6 whose options are cut":  sealUDP(append(newUDP(far, allServers, clientPort, serverPort), dhcpInformation, 1, 2, 3, 0, 1, 0, 9)),
			"DHCPv6 with two identifiers":   datagram(far, allServers, dhcpMessage{typ: dhcpInformation, client: clientID, server: serverID, elapsed: -1, ias: []ia{{kind: optClientID}}}),
			"a request for another's":       datagram(far, allServers, dhcpMessage{typ: dhcpRequest, client: clientID, server: clientID}),
			"a solicitation of a server":    datagram(far, allServers, dhcpMessage{typ: dhcpSolicit, client: clientID, server: serverID}),
			"a solicitation of nobody":      datagram(far, allServers, dhcpMessage{typ: dhcpSolicit}),
			"a solicitation to us alone":    datagram(far, near, dhcpMessage{typ: dhcpSolicit, client: clientID}),
			"information and associations":  datagram(far, allServers, dhcpMessage{typ: dhcpInformation, client: clientID, ias: []ia{{kind: optIAPD}}}),
			"an answer":                     datagram(far, allServers, dhcpMessage{typ: dhcpReply, client: clientID, server: serverID}),
			"a large identifier":            datagram(far, allServers, dhcpMessage{typ: dhcpSolicit, client: make([]byte, maxDUID+1)}),
			"a fragment's extension header": change(solicitation(far, allRouters), func(p []byte) { p[6] = 44 }),
		} {
			// Past the Router, which lets pass no global source to a link's group; and twice, if the first is held back.
			n := x.server.Stats()
			x.server.Receive(x.routed, [][]byte{b}, headroom)
			time.Sleep(2 * time.Second)
			if got := e.take(); len(got) != 0 {
				t.Errorf("%s: answered by %x", what, got[0].b)
			}
			if s := x.server.Stats(); s.Refused != n.Refused+1 || s.Limited != n.Limited {
				t.Errorf("%s: %+v", what, s)
			}
		}
		// Who is no link of the Server is not heard.
		x.server.Write([][]byte{solicitation(far, allRouters)}, headroom)
		x.server.Receive(x.link, [][]byte{solicitation(far, allRouters)}, headroom)
		new(Server).Receive(x.routed, [][]byte{solicitation(far, allRouters)}, headroom)
		time.Sleep(time.Second)
		if got := e.take(); len(got) != 0 {
			t.Errorf("a stranger is answered by %x", got[0].b)
		}
		x.end()
	})
}

// TestServerLimitsEachSession: a flood costs a message a second.
func TestServerLimitsEachSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t, &Server{}, "2001:db8:1::/64")
		e := x.listen()
		x.serve()
		time.Sleep(100 * time.Second)
		e.take()
		for range 10000 {
			x.server.Receive(x.routed, [][]byte{datagram(far, allServers, dhcpMessage{typ: dhcpInformation, client: clientID, elapsed: -1})}, headroom)
		}
		if n := len(e.take()); n != askBurst {
			t.Errorf("%d answers at once", n)
		}
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			x.server.Receive(x.routed, [][]byte{datagram(far, allServers, dhcpMessage{typ: dhcpInformation, client: clientID, elapsed: -1})}, headroom)
		}
		if n := len(e.take()); n != 10 {
			t.Errorf("%d answers in ten seconds", n)
		}
		if s := x.server.Stats(); s.Limited != 10000-askBurst+90 {
			t.Errorf("%+v", s)
		}
		x.end()
	})
}

// TestFromLink: what a session's prefixes make of it.
func TestFromLink(t *testing.T) {
	for _, c := range []struct {
		has  []string
		want Session
	}{
		{[]string{"10.8.0.2/32", "192.0.2.0/24"}, Session{}},
		{[]string{"10.8.0.2/32", "2001:db8:1::/64", "2001:db8:a00::/56"}, Session{Prefixes: []netip.Prefix{pfx("2001:db8:1::/64")}, Delegated: []netip.Prefix{pfx("2001:db8:a00::/56")}}},
		{[]string{"2001:db8:1::7/128"}, Session{Prefixes: []netip.Prefix{pfx("2001:db8:1::/64")}, Addr: adr("2001:db8:1::7")}},
		{[]string{"::/0", "fe80::/64", "2001:db8::/96", "ff00::/8"}, Session{}},
	} {
		l := new(testLink)
		for _, p := range c.has {
			l.prefixes = append(l.prefixes, pfx(p))
		}
		if got := FromLink(l); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %+v", c.has, got)
		}
	}
}

// TestWhatASessionHasIsRoutedAndItsSource: what the Session says besides the link's own prefixes.
func TestWhatASessionHasIsRoutedAndItsSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t, &Server{Session: func(tunnel.Link) Session {
			return Session{Prefixes: []netip.Prefix{pfx("2001:db8:1::/64"), pfx("2001:db8:2::/64")}, Addr: adr("2001:db8:3::5")}
		}}, "2001:db8:2::/64")
		x.serve()
		synctest.Wait()
		if got := x.routes(); !slices.Equal(got, []netip.Prefix{pfx("2001:db8:1::/64"), pfx("2001:db8:2::/64"), pfx("2001:db8:3::5/128")}) {
			t.Errorf("routes %v", got)
		}
		if got, _ := x.link.has(); !slices.Equal(got, []netip.Prefix{pfx("2001:db8:1::/64"), pfx("2001:db8:3::5/128")}) {
			t.Errorf("given %v", got)
		}
		x.end()
		if got := x.routes(); len(got) != 0 {
			t.Errorf("routes left: %v", got)
		}

		// Of a /64 that sessions share, each has its address alone.
		x = newSite(t, new(Server), "2001:db8:1::7/128")
		x.serve()
		synctest.Wait()
		if got := x.routes(); !slices.Equal(got, []netip.Prefix{pfx("2001:db8:1::7/128")}) {
			t.Errorf("routes %v", got)
		}
		x.end()
	})
}

// TestCloseTellsFarSides: a Server that ends while the links go on.
func TestCloseTellsFarSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t, &Server{Session: fullSession})
		e := x.listen()
		x.serve()
		time.Sleep(time.Minute)
		e.take()
		x.ask(e, dhcpMessage{typ: dhcpSolicit, rapid: true, ias: []ia{{kind: optIAPD, id: 1}}})
		if n := len(x.routes()); n != 2 {
			t.Errorf("routes %v", x.routes())
		}
		e.take()
		x.server.Close()
		if list, _, _ := adverts(t, e.take()); len(list) != 1 || list[0].lifetime != 0 {
			t.Errorf("at last: %+v", list)
		}
		if n := len(x.routes()); n != 1 || x.server.Stats().Delegated != 0 {
			t.Errorf("routes %v", x.routes())
		}
		x.say(solicitation(far, allRouters))
		time.Sleep(time.Hour)
		if got := e.take(); len(got) != 0 {
			t.Errorf("answers after Close: %x", got[0].b)
		}
		x.server.Close()
		y := x.server.Link(x.link) // a link that comes later is told nothing
		_ = y
		x.end()
	})
}

// TestAdvertisementFits: what has no room is left out, the least important first.
func TestAdvertisementFits(t *testing.T) {
	long := make([]string, 30)
	for i := range long {
		long[i] = string(rune('a'+i%26)) + "23456789.123456789.123456789.123456789.vpn.test"
	}
	var routes []advertRoute
	for i := range 60 {
		routes = append(routes, advertRoute{netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i)}), 120), 9})
	}
	a := &advert{prefixes: []advertPrefix{{pfx("2001:db8:1::/64"), true, 1, 1}}, dns: []advertDNS{{addrs("2001:db8::1"), 1}}, routes: routes, search: []advertSearch{{long, 1}}}
	b, left := a.fit(newICMP(near, allNodes, routerAdvertisement), headroom+1280)
	m, ok := parseND(sealICMP(b)[headroom:])
	got, ok2 := parseAdvert(m.body)
	if !left || !ok || !ok2 || len(b) > headroom+1280 || len(got.prefixes) != 1 || len(got.dns) != 1 || len(got.routes) == 0 {
		t.Errorf("%d bytes, %+v", len(b)-headroom, got)
	}
}
