package ipv6conf

import (
	"bytes"
	"context"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

// FuzzAdvert: whatever comes as an advertisement, what is read of it is bounded and survives being written.
func FuzzAdvert(f *testing.F) {
	for _, a := range []advert{
		{},
		{hops: 64, managed: true, other: true, lifetime: 1800, mtu: 1400, prefixes: []advertPrefix{{pfx("2001:db8:1::/64"), true, 5400, 2700}}},
		{routes: []advertRoute{{pfx("2001:db8:88::/48"), 1800}, {pfx("::/0"), 1}, {pfx("2001:db8::9/128"), 1800}}},
		{dns: []advertDNS{{addrs("2001:db8::53", "2001:db8::54"), 1800}}, search: []advertSearch{{[]string{"vpn.test", "corp.test"}, 1800}}},
	} {
		f.Add(a.appendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := parseAdvert(b)
		if !ok {
			return
		}
		if max(len(a.prefixes), len(a.routes), len(a.dns), len(a.search)) > maxListed {
			t.Errorf("kept %+v", a)
		}
		again, ok := parseAdvert(a.appendTo(nil))
		if !ok || !reflect.DeepEqual(again, a) {
			t.Errorf("got\n%+v, want\n%+v", again, a)
		}
	})
}

// FuzzDHCPv6: likewise, DHCPv6 messages.
func FuzzDHCPv6(f *testing.F) {
	for _, m := range []dhcpMessage{
		{typ: dhcpSolicit, client: clientID, rapid: true, requested: []uint16{optDNS, optSearch}, ias: []ia{{kind: optIAPD, id: 1, leases: []iaLease{{prefix: pfx("2001:db8::/56")}}}, {kind: optIANA, id: 2}, {kind: optIATA, id: 3}}},
		{typ: dhcpReply, client: clientID, server: serverID, elapsed: -1, dns: addrs("2001:db8::53"), search: []string{"vpn.test"}, sntp: addrs("2001:db8::123"), refresh: time.Hour, ias: pdAnswer, status: status{statusNoBinding, "no"}},
		{typ: dhcpAdvertise, client: clientID, server: serverID, pref: 255, ias: []ia{{kind: optIANA, id: 1, t1: 1, t2: 2, leases: []iaLease{{pfx("2001:db8::1/128"), 3, 4}}, status: status{5, "x"}}}},
	} {
		f.Add(m.appendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := parseDHCP(b)
		if !ok || m.refused {
			return
		}
		if len(m.ias) > maxIAs || max(len(m.dns), len(m.sntp)) > maxListed || len(m.search) > maxNames || len(m.client) > maxDUID {
			t.Errorf("kept %+v", m)
		}
		for _, x := range m.ias {
			for _, l := range x.leases {
				if !l.prefix.IsValid() {
					return // is answered by nothing that has it
				}
			}
		}
		m.solMax, m.infMax, m.refresh = 0, 0, 0
		again, ok := parseDHCP(m.appendTo(nil))
		if !ok || !bytes.Equal(again.client, m.client) || !bytes.Equal(again.server, m.server) || !reflect.DeepEqual(again.ias, m.ias) || !reflect.DeepEqual(again.dns, m.dns) || !reflect.DeepEqual(again.search, m.search) {
			t.Errorf("got\n%+v, want\n%+v", again, m)
		}
	})
}

// A sink is a link that counts what it is given.
type sink struct {
	fourOnly
	n     int
	bytes int
}

func (*sink) Addrs() []netip.Addr     { return []netip.Addr{near} }
func (*sink) PeerAddrs() []netip.Addr { return []netip.Addr{far} }
func (*sink) Prefixes() []netip.Prefix {
	return []netip.Prefix{pfx("2001:db8:1::/64"), pfx("2001:db8:a00::/56")}
}
func (*sink) MTU() int     { return 1400 }
func (*sink) Close() error { return nil }
func (s *sink) Write(bufs [][]byte, offset int) (int, error) {
	for _, b := range bufs {
		s.n++
		s.bytes += len(b) - offset
		if len(b)-offset > 1400 {
			panic("a packet that is larger than the link takes")
		}
	}
	return len(bufs), nil
}

// FuzzServer: whatever the far side of a link sends, as a packet or as what stands in one, the Server answers it by one
// packet at most, and keeps no more than there is to give.
func FuzzServer(f *testing.F) {
	f.Add(byte(0), solicitation(far, allRouters)[headroom:])
	f.Add(byte(0), datagram(far, allServers, dhcpMessage{typ: dhcpInformation, client: clientID})[headroom:])
	f.Add(byte(1), (&dhcpMessage{typ: dhcpSolicit, client: clientID, rapid: true, ias: []ia{{kind: optIAPD, id: 1}}}).appendTo(nil))
	f.Add(byte(1), (&dhcpMessage{typ: dhcpRebind, client: clientID, ias: pdAnswer}).appendTo(nil))
	f.Add(byte(2), []byte{0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, how byte, b []byte) {
		if len(b) > 1300 {
			return
		}
		s := &Server{DUID: serverID, Routes: new(tunnel.Table)}
		out := new(sink)
		l := s.Link(out).(*serverLink)
		l.timer = time.AfterFunc(time.Hour, func() {})
		defer l.end(false)
		switch how % 3 {
		case 0:
			b = append(make([]byte, headroom), b...)
		case 1:
			b = sealUDP(append(newUDP(far, allServers, clientPort, serverPort), b...))
		default:
			b = sealICMP(append(newICMP(far, allRouters, routerSolicitation), b...))
		}
		for range 3 {
			before := out.n
			s.Receive(l, [][]byte{bytes.Clone(b)}, headroom)
			if out.n > before+1 {
				t.Errorf("answered by %d packets", out.n-before)
			}
		}
		if len(l.bindings) > 1 {
			t.Errorf("bindings %+v", l.bindings)
		}
	})
}

// FuzzClient: whatever a router says, the Client keeps little of it, and asks no more often for it.
func FuzzClient(f *testing.F) {
	f.Add(byte(0), sealICMP((&advert{lifetime: 9, managed: true}).appendTo(newICMP(near, allNodes, routerAdvertisement)))[headroom:])
	f.Add(byte(1), (&dhcpMessage{typ: dhcpReply, client: clientID, server: serverID, rapid: true, ias: pdAnswer}).appendTo(nil))
	f.Add(byte(2), (&advert{lifetime: 9, other: true, prefixes: []advertPrefix{{pfx("2001:db8:1::/64"), true, 5400, 2700}}}).appendTo(nil))
	f.Fuzz(func(t *testing.T, how byte, b []byte) {
		if len(b) > 1300 {
			return
		}
		a, _ := tunneltest.Pipe(pfx("fe80::2:3:4:5/128"), pfx("fe80::1/128"))
		c := &Client{Link: &testLink{Link: a}, Delegate: true, DUID: clientID}
		m := newMachine(c, far)
		now := time.Now()
		m.dhcp.start(now, true)
		m.tick(now)
		switch how % 3 {
		case 0:
			b = append(make([]byte, headroom), b...)
		case 1:
			b = sealUDP(append(newUDP(near, far, serverPort, clientPort), b...))
		default:
			b = sealICMP(append(newICMP(near, allNodes, routerAdvertisement), b...))
		}
		said := make(chan heard, 1)
		for range 3 {
			c.take(bytes.Clone(b[headroom:]), far, said)
			select {
			case h := <-said:
				if len(h.dhcp) > 4 {
					copy(h.dhcp[1:4], m.dhcp.xid[:])
				}
				m.hear(now, h)
			default:
			}
			if next := m.tick(now); next.Before(now) {
				t.Errorf("is due since %v", now.Sub(next))
			}
		}
		x := m.config()
		if len(x.Addrs) > 3*maxListed || len(x.DNS) > 3*maxListed || len(x.Search) > maxListed+maxNames || len(x.Delegated) > maxListed || len(x.Routes) > maxListed {
			t.Errorf("kept %+v", x)
		}
		c.set(context.Background(), x)
	})
}
