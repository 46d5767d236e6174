package tunnel_test

import (
	"bytes"
	"context"
	"errors"
	"io"
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

func TestWriteGroupsConsecutivePacketsByNextHop(t *testing.T) {
	a, b, host := newRecorder("a"), newRecorder("b"), newRecorder("host")
	rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: host}
	rt.Routes.Insert(pfx("10.8.0.0/24"), a, 0)
	rt.Routes.Insert(pfx("2001:db8::/64"), a, 0)
	rt.Routes.Insert(pfx("10.9.0.0/24"), b, 0)
	to := func(dst string) []byte {
		if dst[0] == '2' {
			return ip("2001:db8:1::1", dst, 17, 8)
		}
		return ip("192.0.2.1", dst, 17, 8)
	}
	if n := write(t, rt, to("10.8.0.1"), to("10.8.0.2"), to("2001:db8::2"), to("10.9.0.1"), to("10.8.0.1"), to("10.10.0.1")); n != 5 {
		t.Errorf("%d routed, want 5", n)
	}
	if !slices.Equal(a.n, []int{3, 1}) || !slices.Equal(b.n, []int{1}) {
		t.Errorf("batches of %v and %v", a.n, b.n)
	}
	wantGot(t, "a", a, "192.0.2.1>10.8.0.1 17, 192.0.2.1>10.8.0.2 17, 2001:db8:1::1>2001:db8::2 17, 192.0.2.1>10.8.0.1 17")
	wantGot(t, "b", b, "192.0.2.1>10.9.0.1 17")
	wantGot(t, "no route", host, "10.10.0.1>192.0.2.1 1 3/0/0")
	wantStats(t, rt, tunnel.Stats{Routed: 5, NoRoute: 1})
}

func TestPaddingIsCutOff(t *testing.T) {
	a := newRecorder("a")
	rt := &tunnel.Router{Routes: new(tunnel.Table)}
	rt.Routes.Insert(pfx("10.8.0.0/24"), a, 0)
	p := ip("192.0.2.1", "10.8.0.1", 17, 8)
	write(t, rt, append(slices.Clone(p), 1, 2, 3))
	if got := a.take(); len(got) != 1 || !bytes.Equal(got[0], p) {
		t.Errorf("got %x", got)
	}
}

func TestMalformedPacketsAreCounted(t *testing.T) {
	a := newRecorder("a")
	rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: a}
	rt.Routes.Insert(pfx("0.0.0.0/0"), a, 0)
	bad := [][]byte{{}, {0x45}, {0x60, 0}, ip("192.0.2.1", "10.8.0.1", 17, 8, func(b []byte) { b[2] = 9 }), bytes.Repeat([]byte{0xff}, 60)}
	write(t, rt, bad...)
	write(t, rt.From(a), bad...)
	if n, err := rt.Write([][]byte{{1, 2}}, headroom); n != 0 || err != nil { // shorter than its headroom
		t.Error(n, err)
	}
	wantStats(t, rt, tunnel.Stats{Malformed: 11})
	wantGot(t, "malformed", a, "")
}

func TestWhatANextHopDoesNotTakeIsDropped(t *testing.T) {
	a, b := newRecorder("a"), newRecorder("b")
	a.takes, b.takes, b.err = 2, 0, errors.New("gone")
	rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: b}
	rt.Routes.Insert(pfx("10.8.0.0/24"), a, 0)
	p := ip("10.8.0.1", "10.8.0.2", 17, 8)
	if n := write(t, rt, p, p, p, p, p); n != 2 {
		t.Errorf("%d routed, want 2", n)
	}
	wantStats(t, rt, tunnel.Stats{Routed: 2, Dropped: 3})
	// The host is gone: what serves a link learns it.
	if n, err := rt.From(a).Write(lend(ip("10.8.0.1", "192.0.2.1", 17, 8)), headroom); n != 0 || err != b.err {
		t.Errorf("From: %d, %v", n, err)
	}
	wantStats(t, rt, tunnel.Stats{Routed: 2, Dropped: 4})
	rt.Uplink = nil
	write(t, rt.From(a), ip("10.8.0.1", "192.0.2.1", 17, 8))
	wantStats(t, rt, tunnel.Stats{Routed: 2, Dropped: 5})
	if _, err := new(tunnel.Router).Write(nil, 0); err == nil {
		t.Error("a Router without Routes writes")
	}
	if _, err := new(tunnel.Router).From(a).Write(nil, 0); err == nil {
		t.Error("a Router without Routes takes what a link sends")
	}
}

func TestFromRefusesSourcesOfOthers(t *testing.T) {
	a, b, host := newAddressed("a", "10.8.0.1"), newRecorder("b"), newKernel()
	rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: host}
	rt.Routes.Insert(pfx("10.8.0.2/32"), a, 0)
	rt.Routes.Insert(pfx("10.8.0.3/32"), b, 0)
	rt.Routes.Insert(pfx("2001:db8::/64"), a, 0)
	const dst, dst6 = "192.0.2.1", "2001:db8:9::1"
	write(t, rt.From(a),
		ip("10.8.0.2", dst, 17, 8), ip("10.8.0.3", dst, 17, 8), ip("10.8.0.2", dst, 17, 8), ip("192.0.2.7", dst, 17, 8),
		ip("10.8.0.1", dst, 17, 8), ip("0.0.0.0", dst, 17, 8), ip("255.255.255.255", dst, 17, 8), ip("127.0.0.1", dst, 17, 8),
		ip("2001:db8::5", dst6, 17, 8), ip("2001:db8:1::5", dst6, 17, 8), ip("::", dst6, 17, 8))
	wantGot(t, "sources", host, "10.8.0.2>192.0.2.1 17, 10.8.0.2>192.0.2.1 17, 2001:db8::5>2001:db8:9::1 17")
	wantGot(t, "the spoofer", a, "")
	wantStats(t, rt, tunnel.Stats{Routed: 3, BadSource: 8})
}

func TestLinkLocalAndMulticastNeverLeaveTheirLink(t *testing.T) {
	// Even a table that leads everywhere does not lead there.
	everywhere := anywhere{newAddressed("a", "10.8.0.1", "fe80::9")}
	host := newRecorder("host")
	for _, linkToLink := range []bool{false, true} {
		rt := &tunnel.Router{Routes: everywhere, Uplink: host, LinkToLink: linkToLink}
		for _, p := range [][2]string{
			{"10.8.0.2", "224.0.0.251"}, {"10.8.0.2", "169.254.1.1"}, {"10.8.0.2", "255.255.255.255"}, {"169.254.1.1", "192.0.2.1"},
			{"2001:db8::1", "ff02::2"}, {"2001:db8::1", "fe80::1"}, {"fe80::1", "2001:db8::9"}, {"fe80::1", "ff02::1:2"}, {"ff02::1", "2001:db8::9"},
		} {
			write(t, rt.From(everywhere.to), ip(p[0], p[1], 17, 8))
			wantGot(t, p[0]+">"+p[1]+" from a link", host, "")
			write(t, rt, ip(p[0], p[1], 17, 8))
			wantGot(t, p[0]+">"+p[1]+" from the host", everywhere.to, "")
		}
		if s := rt.Stats(); s.Routed != 0 || s.BadSource != 4 || s.Dropped != 14 {
			t.Errorf("Stats = %+v", s)
		}
	}
}

func TestLoopbackNeverComesFromALink(t *testing.T) {
	everywhere := anywhere{newAddressed("a", "10.8.0.1")}
	host := newRecorder("host")
	rt := &tunnel.Router{Routes: everywhere, Uplink: host}
	for _, p := range [][2]string{
		{"10.8.0.2", "127.0.0.1"}, {"127.0.0.1", "10.8.0.1"}, {"2001:db8::1", "::1"}, {"::1", "2001:db8::1"}, {"10.8.0.2", "0.0.0.0"},
	} {
		write(t, rt.From(everywhere.to), ip(p[0], p[1], 17, 8))
		write(t, rt, ip(p[0], p[1], 17, 8))
	}
	wantGot(t, "loopback", host, "")
	wantGot(t, "loopback", everywhere.to, "")
}

// anywhere is a RouteTable that refuses nothing.
type anywhere struct{ to *addressed }

func (a anywhere) Lookup(netip.Addr) tunnel.PacketWriter            { return a.to }
func (anywhere) Insert(netip.Prefix, tunnel.PacketWriter, int)      {}
func (anywhere) Delete(netip.Prefix, tunnel.PacketWriter) (ok bool) { return }

// A responder is a Receiver.
type responder struct {
	recorder
	from []tunnel.PacketWriter
}

func (r *responder) Receive(from tunnel.PacketWriter, bufs [][]byte, offset int) (int, error) {
	r.from = append(r.from, from)
	return r.Write(bufs, offset)
}

func TestLocalTakesBroadcastAndExactAddressesAndKnowsTheSender(t *testing.T) {
	a, b, host := newAddressed("a", "10.8.0.1"), newRecorder("b"), newRecorder("host")
	dhcp, wins := &responder{recorder: recorder{name: "dhcp", takes: -1}}, newRecorder("wins")
	local := new(tunnel.Table)
	rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: host, Local: local}
	rt.Routes.Insert(pfx("10.8.0.2/32"), a, 0)
	rt.Routes.Insert(pfx("10.8.0.3/32"), b, 0)
	local.Insert(pfx("255.255.255.255/32"), dhcp, 0)
	local.Insert(pfx("10.8.0.1/32"), dhcp, 0)
	local.Insert(pfx("10.7.0.1/32"), wins, 0)
	local.Insert(pfx("10.7.0.0/16"), dhcp, 0) // no exact address: not asked
	local.Insert(pfx("0.0.0.0/0"), dhcp, 0)
	write(t, rt.From(a), ip("10.8.0.2", "255.255.255.255", 17, 8), ip("10.8.0.2", "10.8.0.1", 17, 8), ip("10.8.0.2", "10.7.0.1", 17, 8),
		ip("10.8.0.2", "10.7.0.2", 17, 8), ip("10.8.0.2", "224.0.0.1", 17, 8))
	write(t, rt.From(b), ip("10.8.0.3", "10.8.0.1", 17, 8, hops(1)), ip("10.8.0.9", "255.255.255.255", 17, 8))
	if want := []tunnel.PacketWriter{a, b}; !slices.Equal(dhcp.from, want) {
		t.Errorf("senders %v, want %v", dhcp.from, want)
	}
	wantGot(t, "responder", dhcp, "10.8.0.2>255.255.255.255 17, 10.8.0.2>10.8.0.1 17, 10.8.0.3>10.8.0.1 17")
	wantGot(t, "next hop", wins, "10.8.0.2>10.7.0.1 17")
	wantGot(t, "the rest", host, "10.8.0.2>10.7.0.2 17")
	wantStats(t, rt, tunnel.Stats{Routed: 5, BadSource: 1, Dropped: 1})

	// A table of another kind is asked about all of it, but for what may not leave the link.
	rt.Local = anywhere{newAddressed("foreign")}
	write(t, rt.From(a), ip("10.8.0.2", "10.9.9.9", 17, 8), ip("10.8.0.2", "224.0.0.9", 17, 8), ip("10.8.0.2", "169.254.0.1", 17, 8))
	wantGot(t, "foreign table", rt.Local.(anywhere).to, "10.8.0.2>10.9.9.9 17, 10.8.0.2>224.0.0.9 17")
}

func TestLinkLocalIsHeardByReceiversOnly(t *testing.T) {
	a, host := newAddressed("a", "10.8.0.1", "fe80::1"), newRecorder("host")
	six, dhcp, deaf := &responder{recorder: recorder{name: "six", takes: -1}}, &responder{recorder: recorder{name: "dhcp", takes: -1}}, newRecorder("deaf")
	rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: host, Local: new(tunnel.Table), LinkToLink: true}
	rt.Local.Insert(pfx("ff02::2/128"), six, 0)
	rt.Local.Insert(pfx("ff02::1:2/128"), dhcp, 0)
	rt.Local.Insert(pfx("ff02::fb/128"), deaf, 0) // is not told who sends
	rt.Local.Insert(pfx("2001:db8::1/128"), six, 0)
	rt.Routes.Insert(pfx("2001:db8:2::/64"), a, 0)
	write(t, rt.From(a), ip("fe80::2", "ff02::2", 58, 8), ip("fe80::2", "ff02::1:2", 17, 8), ip("fe80::2", "fe80::1", 58, 16), ip("2001:db8:2::9", "ff02::2", 58, 24),
		// Another's address on the link, wider scopes, what no Receiver waits for, and what would leave the link.
		ip("fe80::2", "fe80::3", 58, 8), ip("fe80::2", "ff05::1:3", 17, 8), ip("fe80::2", "ff02::fb", 17, 8), ip("fe80::2", "ff02::1", 17, 8),
		ip("fe80::2", "2001:db8::1", 17, 8), ip("fe80::2", "2001:db8:9::1", 17, 8), ip("::", "ff02::2", 58, 8), ip("::1", "ff02::2", 58, 8))
	wantGot(t, "routers", six, "fe80::2>ff02::2 58 0/0/0, fe80::2>fe80::1 58 0/0/0, 2001:db8:2::9>ff02::2 58 0/0/0")
	wantGot(t, "DHCPv6", dhcp, "fe80::2>ff02::1:2 17")
	wantGot(t, "no Receiver", deaf, "")
	wantGot(t, "the host", host, "")
	wantGot(t, "the link", a, "")
	for _, w := range append(six.from, dhcp.from...) {
		if w != a {
			t.Errorf("a Receiver is told %v", w)
		}
	}
	wantStats(t, rt, tunnel.Stats{Routed: 4, BadSource: 8})
}

func TestLinksReachEachOtherOnlyIfAsked(t *testing.T) {
	a, b, host := newAddressed("a", "10.8.0.1", "2001:db8::1"), newAddressed("b", "10.8.0.1"), newKernel()
	routes := new(tunnel.Table)
	routes.Insert(pfx("10.8.0.2/32"), a, 0)
	routes.Insert(pfx("2001:db8:2::/64"), a, 0)
	routes.Insert(pfx("10.8.0.3/32"), b, 0)
	routes.Insert(pfx("2001:db8:3::/64"), b, 0)
	p, p6 := ip("10.8.0.2", "10.8.0.3", 17, 8), ip("2001:db8:2::5", "2001:db8:3::5", 17, 8)

	off := &tunnel.Router{Routes: routes, Uplink: host}
	write(t, off.From(a), p, p6)
	wantGot(t, "by default", host, "10.8.0.2>10.8.0.3 17, 2001:db8:2::5>2001:db8:3::5 17")
	wantGot(t, "by default", b, "")

	on := &tunnel.Router{Routes: routes, Uplink: host, LinkToLink: true}
	write(t, on.From(a), p, p6, ip("10.8.0.2", "192.0.2.1", 17, 8))
	got := b.take()
	if describe(got) != "10.8.0.2>10.8.0.3 17, 2001:db8:2::5>2001:db8:3::5 17" || got[0][8] != 63 || got[1][7] != 63 ||
		packet.Checksum(got[0][:20], 0) != 0 {
		t.Errorf("link to link: %s", describe(got))
	}
	wantGot(t, "what is no link's", host, "10.8.0.2>192.0.2.1 17")
	// Not back where it came from, and nowhere else: its sender is told.
	write(t, on.From(a), ip("10.8.0.2", "10.8.0.2", 17, 8))
	wantGot(t, "back to itself", a, "10.8.0.1>10.8.0.2 1 3/0/0")
	on.Uplink = nil
	write(t, on.From(a), ip("10.8.0.2", "192.0.2.1", 17, 8), ip("2001:db8:2::5", "2001:db8:9::1", 17, 8))
	wantGot(t, "no route", a, "10.8.0.1>10.8.0.2 1 3/0/0, 2001:db8::1>2001:db8:2::5 58 1/0/0")
	wantStats(t, on, tunnel.Stats{Routed: 3, NoRoute: 3})
}

func TestHopsAreCountedWhereNoKernelCountsThem(t *testing.T) {
	a := newAddressed("a", "10.8.0.1", "fe80::1", "2001:db8::1")
	routes := new(tunnel.Table)
	routes.Insert(pfx("10.8.0.2/32"), a, 0)
	routes.Insert(pfx("2001:db8:2::/64"), a, 0)

	k := newKernel()
	rt := &tunnel.Router{Routes: routes, Uplink: k}
	write(t, rt.From(a), ip("10.8.0.2", "192.0.2.1", 17, 8, hops(1)))
	if got := k.take(); len(got) != 1 || got[0][8] != 1 {
		t.Errorf("towards a kernel: %s", describe(got))
	}

	stack := newRecorder("stack")
	rt.Uplink = stack
	write(t, rt.From(a), ip("10.8.0.2", "192.0.2.1", 17, 8, hops(2)), ip("2001:db8:2::5", "2001:db8:9::1", 17, 8, hops(2)))
	if got := stack.take(); len(got) != 2 || got[0][8] != 1 || got[1][7] != 1 || packet.Checksum(got[0][:20], 0) != 0 {
		t.Errorf("towards a stack: %s", describe(got))
	}
	for _, n := range []byte{0, 1} {
		write(t, rt.From(a), ip("10.8.0.2", "192.0.2.1", 17, 8, hops(n)), ip("2001:db8:2::5", "2001:db8:9::1", 17, 8, hops(n)))
		wantGot(t, "no hops left", a, "10.8.0.1>10.8.0.2 1 11/0/0, 2001:db8::1>2001:db8:2::5 58 3/0/0")
	}
	wantGot(t, "no hops left", stack, "")
	write(t, rt.From(a), ip("10.8.0.2", "10.8.0.1", 17, 8, hops(1)))
	wantGot(t, "at its end, not on its way", stack, "10.8.0.2>10.8.0.1 17")
	wantStats(t, rt, tunnel.Stats{Routed: 4, Dropped: 4})
}

func TestTwoRoutersWithDefaultRoutesAtEachOtherDoNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := tunneltest.Pipe(pfx("10.1.0.1/32"), pfx("10.2.0.1/32"))
		var wg sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		router := func(l tunnel.Link) *tunnel.Router {
			rt := &tunnel.Router{Routes: new(tunnel.Table), LinkToLink: true}
			rt.Uplink = rt // whatever comes is routed again: the worst Uplink there can be
			rt.Routes.Insert(pfx("0.0.0.0/0"), l, 0)
			wg.Go(func() { l.Serve(ctx, rt.From(l).Write) })
			return rt
		}
		r1, r2 := router(one), router(two)
		write(t, one, ip("10.9.0.1", "192.0.2.1", 17, 8))
		time.Sleep(time.Minute)
		synctest.Wait()
		stop()
		wg.Wait()
		if n := r1.Stats().Routed + r2.Stats().Routed; n > 300 {
			t.Errorf("one packet was routed %d times", n)
		}
	})
}

func TestWhatDoesNotFitIsAnsweredOrFragmented(t *testing.T) {
	a, host := newAddressed("a", "10.8.0.1", "2001:db8::1"), newKernel()
	a.mtu, host.mtu = 1400, 1300
	rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: host}
	rt.Routes.Insert(pfx("10.8.0.2/32"), a, 0)
	rt.Routes.Insert(pfx("2001:db8:2::/64"), a, 0)

	out, out6 := "192.0.2.1", "2001:db8:9::1"
	write(t, rt, ip(out, "10.8.0.2", 17, 1380, df), ip(out, "10.8.0.2", 17, 1381, df), ip(out6, "2001:db8:2::5", 17, 1360), ip(out6, "2001:db8:2::5", 17, 1361))
	wantGot(t, "fits the link", a, "192.0.2.1>10.8.0.2 17, 2001:db8:9::1>2001:db8:2::5 17")
	wantGot(t, "told to the host", host, "10.8.0.2>192.0.2.1 1 3/4/1400, 2001:db8:2::5>2001:db8:9::1 58 2/0/1400")
	wantStats(t, rt, tunnel.Stats{Routed: 2, TooBig: 2})

	from := rt.From(a)
	write(t, from, ip("10.8.0.2", out, 17, 1280, df), ip("10.8.0.2", out, 17, 1281, df), ip("2001:db8:2::5", out6, 17, 1261))
	wantGot(t, "fits the host", host, "10.8.0.2>192.0.2.1 17")
	wantGot(t, "told to the far side", a, "10.8.0.1>10.8.0.2 1 3/4/1300, 2001:db8::1>2001:db8:2::5 58 2/0/1300")
	wantStats(t, rt, tunnel.Stats{Routed: 3, TooBig: 4})

	payload := func(b []byte) {
		for i := range b[20:] {
			b[20+i] = byte(i)
		}
	}
	small := ip(out, "10.8.0.2", 17, 8)
	big := ip(out, "10.8.0.2", 17, 3000, payload)
	if n := write(t, rt, small, big, small); n != 3 {
		t.Errorf("%d routed, want 3", n)
	}
	got := a.take()
	if len(got) != 5 || !bytes.Equal(got[0], small) || !bytes.Equal(got[4], small) {
		t.Fatalf("without DF: %s", describe(got))
	}
	var data []byte
	for _, f := range got[1:4] {
		p, ok := packet.ParseIPv4(f)
		if !ok || len(p) > 1400 || p.FragmentOffset() != len(data) {
			t.Fatalf("fragment %x", f)
		}
		data = append(data, p.Payload()...)
	}
	if !bytes.Equal(data, big[20:]) {
		t.Error("the fragments are not the datagram")
	}
	wantStats(t, rt, tunnel.Stats{Routed: 6, TooBig: 4})

	a.takes = 1 // a link that takes some fragments only: the datagram is lost
	write(t, rt, big)
	wantStats(t, rt, tunnel.Stats{Routed: 6, TooBig: 4, Dropped: 1})
}

func TestSYNsAreClampedBothWays(t *testing.T) {
	a, b, host := newRecorder("a"), newRecorder("b"), newKernel()
	a.mtu, b.mtu, host.mtu = 1400, 1200, 1500
	rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: host, LinkToLink: true}
	rt.Routes.Insert(pfx("10.8.0.2/32"), a, 0)
	rt.Routes.Insert(pfx("10.8.0.3/32"), b, 0)
	rt.Routes.Insert(pfx("2001:db8::/64"), a, 0)
	for _, c := range []struct {
		name     string
		w        tunnel.PacketWriter
		src, dst string
		at       interface{ take() [][]byte }
		mss      uint16
		want     uint16
	}{
		{"to the link", rt, "192.0.2.1", "10.8.0.2", a, 1460, 1360},
		{"to the link, IPv6", rt, "2001:db8:9::1", "2001:db8::5", a, 1440, 1340},
		{"from the link, for what comes back", rt.From(a), "10.8.0.2", "192.0.2.1", host, 1460, 1360},
		{"from link to link, the smaller", rt.From(a), "10.8.0.2", "10.8.0.3", b, 1360, 1160},
		{"and back", rt.From(b), "10.8.0.3", "10.8.0.2", a, 1360, 1160},
		{"small already", rt, "192.0.2.1", "10.8.0.2", a, 536, 536},
	} {
		write(t, c.w, ip(c.src, c.dst, 6, 24, syn(c.mss)))
		if got := c.at.take(); len(got) != 1 || mssOf(t, got[0]) != c.want {
			t.Errorf("%s: got %x, want MSS %d", c.name, got, c.want)
		}
	}
	// A link whose MTU the device's is below.
	dev := &tunneltest.Device{}
	small := newRecorder("small")
	rt = &tunnel.Router{Routes: new(tunnel.Table)}
	rt.Routes.Insert(pfx("10.8.0.2/32"), small, 0)
	dev.Inject(ip("192.0.2.1", "10.8.0.2", 6, 24, syn(1460)))
	dev.Close()
	rt.Serve(t.Context(), dev)
	if got := small.take(); len(got) != 1 || int(mssOf(t, got[0])) != dev.MTU()-40 {
		t.Errorf("from a device: %x", got)
	}
}

func TestErrorsAreLimitedAndNeverAnswerErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newAddressed("a", "10.8.0.1", "fe80::9"), newAddressed("b", "10.8.0.1")
		rt := &tunnel.Router{Routes: new(tunnel.Table), LinkToLink: true}
		rt.Routes.Insert(pfx("10.8.0.2/32"), a, 0)
		rt.Routes.Insert(pfx("2001:db8::/64"), a, 0)
		rt.Routes.Insert(pfx("10.8.0.3/32"), b, 0)
		from := rt.From(a)
		icmp := func(typ byte) func(b []byte) { return func(b []byte) { b[20] = typ } }
		write(t, from, ip("10.8.0.2", "192.0.2.1", 1, 8, icmp(3)), ip("10.8.0.2", "192.0.2.1", 1, 8, icmp(11)),
			ip("10.8.0.2", "192.0.2.1", 17, 8, func(b []byte) { b[7] = 1 }), ip("10.8.0.2", "241.0.0.1", 17, 8))
		wantGot(t, "about errors, later fragments, no host", a, "")
		write(t, from, ip("10.8.0.2", "192.0.2.1", 1, 8, icmp(8)))
		wantGot(t, "about an echo", a, "10.8.0.1>10.8.0.2 1 3/0/0")
		write(t, from, ip("2001:db8::5", "2001:db8:9::1", 17, 8))
		wantGot(t, "from the only address of the kind", a, "fe80::9>2001:db8::5 58 1/0/0")

		time.Sleep(time.Minute)
		p := ip("10.8.0.2", "192.0.2.1", 17, 8)
		for range 1000 {
			write(t, from, p)
		}
		if n := len(a.take()); n != 50 {
			t.Errorf("%d errors at once, want 50", n)
		}
		write(t, rt.From(b), ip("10.8.0.3", "192.0.2.1", 17, 8))
		wantGot(t, "another far side", b, "10.8.0.1>10.8.0.3 1 3/0/0")
		for range 1000 {
			time.Sleep(time.Millisecond)
			write(t, from, p)
		}
		if n := len(a.take()); n != 100 {
			t.Errorf("%d errors in a second, want 100", n)
		}
		if s := rt.Stats(); s.NoRoute != 2007 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

func TestServeRoutesUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dev tunneltest.Device
		a := newRecorder("a")
		rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: &dev}
		rt.Routes.Insert(pfx("10.8.0.0/24"), a, 0)
		why := errors.New("enough")
		ctx, stop := context.WithCancelCause(t.Context())
		done := make(chan error)
		go func() { done <- rt.Serve(ctx, &dev) }()
		for i := range 20 {
			dev.Inject(ip("192.0.2.1", "10.8.0.2", 17, i))
		}
		dev.Inject(ip("192.0.2.1", "10.9.0.2", 17, 8))
		synctest.Wait()
		got := a.take()
		for i, p := range got {
			if len(p) != 20+i {
				t.Fatalf("packet %d has %d bytes", i, len(p))
			}
		}
		if len(got) != 20 || describe([][]byte{<-dev.Sent()}) != "10.9.0.2>192.0.2.1 1 3/0/0" {
			t.Errorf("%d packets", len(got))
		}
		stop(why)
		if err := <-done; err != why {
			t.Errorf("Serve: %v", err)
		}
		if _, ok := <-dev.Sent(); ok {
			t.Error("the device is not closed")
		}
		if err := rt.Serve(t.Context(), &dev); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve on a closed device: %v", err)
		}
		var idle tunneltest.Device
		if err := new(tunnel.Router).Serve(t.Context(), &idle); err == nil || !strings.Contains(err.Error(), "Routes") {
			t.Errorf("Serve without Routes: %v", err)
		}
		if _, ok := <-idle.Sent(); ok {
			t.Error("the device is not closed")
		}
	})
}

// growing is a device whose MTU is raised under way.
type growing struct {
	sizes []int
	mtu   int
}

func (g *growing) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	if len(g.sizes) == 0 {
		return 0, io.EOF
	}
	sizes[0] = copy(bufs[0][offset:], ip("192.0.2.1", "10.8.0.2", 17, g.sizes[0]-20))
	g.sizes = g.sizes[1:]
	g.mtu *= 2
	return 1, nil
}
func (g *growing) Write(bufs [][]byte, offset int) (int, error) { return len(bufs), nil }
func (g *growing) BatchSize() int                               { return 1 }
func (g *growing) MTU() int                                     { return g.mtu }
func (g *growing) Close() error                                 { return nil }

func TestServeReadsWithTheMTUOfTheMoment(t *testing.T) {
	a := newRecorder("a")
	rt := &tunnel.Router{Routes: new(tunnel.Table)}
	rt.Routes.Insert(pfx("10.8.0.0/24"), a, 0)
	if err := rt.Serve(t.Context(), &growing{sizes: []int{1400, 2800, 5600}, mtu: 1400}); !errors.Is(err, io.EOF) {
		t.Errorf("Serve: %v", err)
	}
	if got := a.take(); len(got) != 3 || len(got[2]) != 5600 {
		t.Errorf("%d packets", len(got))
	}
	wantStats(t, rt, tunnel.Stats{Routed: 3})
}

func TestServeLinkTakesItsRoutesOutHoweverItEnds(t *testing.T) {
	for name, end := range map[string]func(l, far tunnel.Link, stop func()){
		"context":  func(l, far tunnel.Link, stop func()) { stop() },
		"close":    func(l, far tunnel.Link, stop func()) { l.Close() },
		"far side": func(l, far tunnel.Link, stop func()) { far.Close() },
		"panic":    func(l, far tunnel.Link, stop func()) { far.Write(lend(ip("10.8.0.2", "192.0.2.66", 17, 8)), headroom) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				host := panics{newKernel()}
				rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: host}
				l, far := tunneltest.Pipe(pfx("10.8.0.1/32"), pfx("10.8.0.2/32"))
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				done := make(chan any)
				go func() {
					defer func() {
						if r := recover(); r != nil {
							done <- r
						}
					}()
					done <- rt.ServeLink(ctx, l)
				}()
				synctest.Wait()
				if rt.Routes.Lookup(adr("10.8.0.2")) != l {
					t.Fatal("the link is not routed")
				}
				far.Write(lend(ip("10.8.0.2", "192.0.2.1", 17, 8), ip("10.8.0.3", "192.0.2.1", 17, 8)), headroom)
				write(t, rt, ip("192.0.2.1", "10.8.0.2", 17, 8))
				synctest.Wait()
				wantGot(t, "from the link", host, "10.8.0.2>192.0.2.1 17")
				wantStats(t, rt, tunnel.Stats{Routed: 2, BadSource: 1})
				end(l, far, stop)
				if err := <-done; err == nil {
					t.Error("ServeLink returns nil")
				}
				if rt.Routes.Lookup(adr("10.8.0.2")) != nil {
					t.Error("the route is still there")
				}
			})
		})
	}
	l, _ := tunneltest.Pipe(pfx("10.8.0.1/32"), pfx("10.8.0.2/32"))
	if err := new(tunnel.Router).ServeLink(t.Context(), l); err == nil {
		t.Error("a Router without Routes serves")
	}
	if _, err := l.Write(nil, 0); err == nil {
		t.Error("the link that could not be served is still open")
	}
}

// panics is an Uplink that breaks on one address.
type panics struct{ *kernel }

func (p panics) Write(bufs [][]byte, offset int) (int, error) {
	if b := bufs[0][offset:]; b[19] == 66 {
		panic("broken")
	}
	return p.kernel.Write(bufs, offset)
}

func TestRejectAnswersWhereThePacketCameFrom(t *testing.T) {
	up, link, bare := newKernel(), newAddressed("link", "10.8.0.1", "fe80::9"), newRecorder("bare")
	rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: up}
	rt.Routes.Insert(pfx("0.0.0.0/0"), link, 0) // does not draw what the host is told
	rt.Reject(nil, lend(
		ip("192.0.2.1", "172.16.2.7", 17, 8),
		ip("192.0.2.1", "172.16.2.7", 1, 8, func(b []byte) { b[20] = 3 }),
		[]byte{0x45},
	), headroom)
	rt.Reject(link, lend(ip("10.8.0.2", "172.16.2.7", 17, 8)), headroom)
	rt.Reject(bare, lend(ip("10.9.0.2", "172.16.2.7", 17, 8)), headroom) // a link without addresses cannot answer from any
	wantGot(t, "host", up, "172.16.2.7>192.0.2.1 1 3/0/0")
	wantGot(t, "link", link, "10.8.0.1>10.8.0.2 1 3/0/0")
	wantGot(t, "bare", bare, "")
	wantStats(t, rt, tunnel.Stats{NoRoute: 4, Malformed: 1})
}

type told struct {
	recorder
	from []tunnel.PacketWriter
}

func (r *told) Receive(from tunnel.PacketWriter, bufs [][]byte, offset int) (int, error) {
	r.from = append(r.from, from)
	return r.Write(bufs, offset)
}

func TestAReceiverAmongTheLinksKnowsTheSender(t *testing.T) {
	a, b, c := newAddressed("a", "10.8.0.1"), newAddressed("b", "10.8.0.1"), &told{recorder: recorder{name: "c", takes: -1}}
	rt := &tunnel.Router{Routes: new(tunnel.Table), LinkToLink: true}
	rt.Routes.Insert(pfx("10.8.0.2/32"), a, 0)
	rt.Routes.Insert(pfx("10.8.0.3/32"), b, 0)
	rt.Routes.Insert(pfx("172.16.2.0/24"), c, 0)
	write(t, rt.From(a), ip("10.8.0.2", "172.16.2.7", 17, 8))
	write(t, rt.From(b), ip("10.8.0.3", "172.16.2.7", 17, 8))
	write(t, rt, ip("192.0.2.1", "172.16.2.7", 17, 8))
	if len(c.from) != 2 || c.from[0] != tunnel.PacketWriter(a) || c.from[1] != tunnel.PacketWriter(b) || len(c.take()) != 3 {
		t.Errorf("%v", c.from)
	}
}
