package ipv6conf

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestInformation: a request for information is answered with what it asks for.
func TestInformation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t, &Server{Session: fullSession})
		e := x.listen()
		x.serve()
		time.Sleep(100 * time.Second)
		e.take()
		dns, search, sntp := addrs("2001:db8::53", "2001:db8::54"), []string{"vpn.test", "corp.test"}, addrs("2001:db8::123")
		for _, c := range []struct {
			requested []uint16
			want      dhcpMessage
		}{
			{[]uint16{optDNS, optSearch, optRefresh}, dhcpMessage{dns: dns, search: search, refresh: DefaultValid}},
			{[]uint16{optSNTP, 99}, dhcpMessage{sntp: sntp}},
			{nil, dhcpMessage{dns: dns, search: search, sntp: sntp, refresh: DefaultValid}},
		} {
			list := x.ask(e, dhcpMessage{typ: dhcpInformation, requested: c.requested})
			c.want.typ, c.want.xid, c.want.client, c.want.server, c.want.elapsed = dhcpReply, [3]byte{1, 2, 3}, clientID, serverID, -1
			if len(list) != 1 || !reflect.DeepEqual(list[0], c.want) {
				t.Errorf("%v: %+v", c.requested, list)
			}
		}
		// RFC 8415 section 16.12 lets a client say nothing of itself.
		x.say(datagram(far, allServers, dhcpMessage{typ: dhcpInformation, elapsed: -1, server: serverID}))
		if list := replies(t, e.take()); len(list) != 1 || list[0].client != nil {
			t.Errorf("%+v", list)
		}
		x.end()
	})
}

// one asks and wants one answer.
func (x *site) one(e *ear, m dhcpMessage) dhcpMessage {
	x.t.Helper()
	list := x.ask(e, m)
	if len(list) != 1 {
		x.t.Fatalf("%d answers to %+v", len(list), m)
	}
	return list[0]
}

func wantLeases(t *testing.T, what string, x ia, valid uint32, want ...string) {
	t.Helper()
	var got []string
	for _, l := range x.leases {
		got = append(got, l.prefix.String())
		if l.valid != valid || l.preferred > l.valid {
			t.Errorf("%s: lives %d, %d", what, l.preferred, l.valid)
		}
	}
	if !slices.Equal(got, want) || x.status.code != statusSuccess {
		t.Errorf("%s: got %v, status %v, want %v", what, got, x.status, want)
	}
}

// TestDelegation is the life of a delegated prefix: offered, bound, renewed, rebound, given back, bound again, expired; and
// its route with it.
func TestDelegation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t, &Server{Session: fullSession})
		e := x.listen()
		x.serve()
		time.Sleep(100 * time.Second)
		e.take()
		const a, b, addr = "2001:db8:a00::/56", "2001:db8:b0::/60", "2001:db8:1::5/128"
		routed := func(what string, want ...string) {
			t.Helper()
			all := []netip.Prefix{pfx("2001:db8:1::/64")}
			for _, p := range want {
				all = append(all, pfx(p))
			}
			got := x.routes()
			given, _ := x.link.has()
			slices.SortFunc(all, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
			slices.SortFunc(given, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
			slices.SortFunc(got, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
			given = slices.DeleteFunc(given, func(p netip.Prefix) bool { return p == pfx(addr) }) // is in the /64, too
			if !slices.Equal(got, all) || !slices.Equal(given, all) {
				t.Errorf("%s: routes %v, given %v, want %v", what, got, given, all)
			}
			if n := x.server.Stats().Delegated; int(n) != len(want) {
				t.Errorf("%s: %d delegated", what, n)
			}
		}
		pd := ia{kind: optIAPD, id: 7}

		r := x.one(e, dhcpMessage{typ: dhcpSolicit, ias: []ia{pd}})
		if r.typ != dhcpAdvertise || r.pref != 255 || r.rapid {
			t.Errorf("%+v", r)
		}
		wantLeases(t, "offer", r.ias[0], 5400, a)
		routed("an offer")

		r = x.one(e, dhcpMessage{typ: dhcpRequest, server: serverID, ias: []ia{pd}, requested: []uint16{optDNS}})
		if r.typ != dhcpReply || len(r.dns) != 2 || r.ias[0].id != 7 || r.ias[0].t1 != 1350 || r.ias[0].t2 != 2160 {
			t.Errorf("%+v", r)
		}
		wantLeases(t, "request", r.ias[0], 5400, a)
		routed("a request", a)

		time.Sleep(80 * time.Minute)
		r = x.one(e, dhcpMessage{typ: dhcpRenew, server: serverID, ias: []ia{{kind: optIAPD, id: 7, leases: []iaLease{{prefix: pfx(a)}}}, {kind: optIAPD, id: 8}}})
		wantLeases(t, "renew", r.ias[0], 5400, a)
		if r.ias[1].status.code != statusNoBinding {
			t.Errorf("renew of another: %+v", r.ias[1])
		}
		time.Sleep(80 * time.Minute)
		r = x.one(e, dhcpMessage{typ: dhcpRebind, ias: []ia{{kind: optIAPD, id: 7, leases: []iaLease{{prefix: pfx(a)}}}}})
		wantLeases(t, "rebind", r.ias[0], 5400, a)
		r = x.one(e, dhcpMessage{typ: dhcpRebind, client: []byte{0, 9, 9}, ias: []ia{{kind: optIAPD, id: 7, leases: []iaLease{{prefix: pfx("2001:db8:ff00::/56"), valid: 9}}}}})
		if x := r.ias[0]; x.status.code != statusNoBinding || len(x.leases) != 1 || x.leases[0].valid != 0 {
			t.Errorf("rebind of what is not ours: %+v", x)
		}
		routed("renewed", a)

		r = x.one(e, dhcpMessage{typ: dhcpRelease, server: serverID, ias: []ia{{kind: optIAPD, id: 7, leases: []iaLease{{prefix: pfx(a)}}}, {kind: optIAPD, id: 8}}})
		if r.status.code != statusSuccess || r.status.text == "" || len(r.ias) != 1 || r.ias[0].id != 8 || r.ias[0].status.code != statusNoBinding {
			t.Errorf("release: %+v", r)
		}
		routed("given back")

		// At once, of a wished length, and two of them.
		wish := []iaLease{{prefix: netip.PrefixFrom(netip.IPv6Unspecified(), 60)}}
		r = x.one(e, dhcpMessage{typ: dhcpSolicit, rapid: true, ias: []ia{{kind: optIAPD, id: 7, leases: wish}, {kind: optIAPD, id: 8}, {kind: optIANA, id: 7}, {kind: optIATA, id: 1}, {kind: optIAPD, id: 9}}})
		if r.typ != dhcpReply || !r.rapid || len(r.ias) != 5 {
			t.Fatalf("rapid commit: %+v", r)
		}
		wantLeases(t, "the wished length", r.ias[0], 5400, b)
		wantLeases(t, "another", r.ias[1], 5400, a)
		wantLeases(t, "an address", r.ias[2], 5400, addr)
		if r.ias[3].status.code != statusNoAddrs || r.ias[4].status.code != statusNoPrefixAvail {
			t.Errorf("%+v", r.ias[3:])
		}
		routed("two", a, b)

		r = x.one(e, dhcpMessage{typ: dhcpConfirm, ias: []ia{{kind: optIANA, id: 7, leases: []iaLease{{prefix: pfx("2001:db8:1::77/128")}}}}})
		if r.status.code != statusSuccess {
			t.Errorf("confirm: %+v", r)
		}
		r = x.one(e, dhcpMessage{typ: dhcpConfirm, ias: []ia{{kind: optIANA, id: 7, leases: []iaLease{{prefix: pfx("2001:db8:9::77/128")}}}}})
		if r.status.code != statusNotOnLink {
			t.Errorf("confirm: %+v", r)
		}
		if list := x.ask(e, dhcpMessage{typ: dhcpConfirm, ias: []ia{{kind: optIANA, id: 7}}}); len(list) != 0 {
			t.Errorf("confirm of nothing: %+v", list)
		}
		r = x.one(e, dhcpMessage{typ: dhcpDecline, server: serverID, ias: []ia{{kind: optIANA, id: 7, leases: []iaLease{{prefix: pfx(addr)}}}}})
		if r.status.code != statusSuccess || len(r.ias) != 0 {
			t.Errorf("decline: %+v", r)
		}

		// Who sends to the server alone was not told to.
		time.Sleep(time.Second)
		x.say(datagram(far, near, dhcpMessage{typ: dhcpRenew, client: clientID, server: serverID, ias: []ia{{kind: optIAPD, id: 7}}, elapsed: -1}))
		if list := replies(t, e.take()); len(list) != 1 || list[0].status.code != statusUseMulticast || len(list[0].ias) != 0 {
			t.Errorf("unicast: %+v", list)
		}

		time.Sleep(DefaultValid - time.Minute)
		routed("before the end", a, b)
		time.Sleep(time.Minute)
		routed("expired")
		x.one(e, dhcpMessage{typ: dhcpSolicit, rapid: true, ias: []ia{pd}})
		routed("again", a)
		x.end()
		if got := x.routes(); len(got) != 0 || x.server.Stats().Delegated != 0 {
			t.Errorf("routes left: %v", got)
		}
	})
}

// TestDelegatedPrefixIsOneAssociations: what one has another of the same far side does not get; but who has lost its memory
// gets what it had.
func TestDelegatedPrefixIsOneAssociations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t, &Server{}, "2001:db8:a00::/56")
		e := x.listen()
		x.serve()
		time.Sleep(100 * time.Second)
		e.take()
		solicit := dhcpMessage{typ: dhcpSolicit, rapid: true, ias: []ia{{kind: optIAPD, id: 1}}}
		wantLeases(t, "first", x.one(e, solicit).ias[0], 5400, "2001:db8:a00::/56")
		wantLeases(t, "again", x.one(e, solicit).ias[0], 5400, "2001:db8:a00::/56")
		solicit.ias[0].id = 2
		if r := x.one(e, solicit); r.ias[0].status.code != statusNoPrefixAvail || len(r.ias[0].leases) != 0 {
			t.Errorf("a second association: %+v", r)
		}
		solicit.client = []byte{0, 3, 0, 1, 9}
		wantLeases(t, "another self", x.one(e, solicit).ias[0], 5400, "2001:db8:a00::/56")
		if r := x.one(e, dhcpMessage{typ: dhcpRenew, server: serverID, ias: []ia{{kind: optIAPD, id: 1}}}); r.ias[0].status.code != statusNoBinding {
			t.Errorf("the former self: %+v", r)
		}
		if n := x.server.Stats().Delegated; n != 1 {
			t.Errorf("%d delegated", n)
		}
		// It is the link's own: routed as long as that is, and told to nobody twice.
		if got := x.routes(); !slices.Equal(got, []netip.Prefix{pfx("2001:db8:a00::/56")}) {
			t.Errorf("routes %v", got)
		}
		x.end()
	})
}
