package packet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

func TestClampMSSLowersOnlyWhatDoesNotFit(t *testing.T) {
	const v4, v6 = "10.0.0.1", "2001:db8::1"
	mss := func(n uint16) []byte { return binary.BigEndian.AppendUint16([]byte{2, 4}, n) }
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	nop := []byte{1}
	packet := func(addr string, flags byte, options []byte) []byte {
		if addr == v4 {
			return ip4(v4, v4, ProtoTCP, 64, 0, nil, tcp(v4, v4, flags, options, []byte("data")))
		}
		return ip6(v6, v6, ProtoTCP, tcp(v6, v6, flags, options, []byte("data")))
	}
	for _, c := range []struct {
		name, addr string
		flags      byte
		options    []byte
		mtu        int
		at         int    // of the value in the options
		want       uint16 // 0: unchanged
	}{
		{"too large", v4, 2, mss(1460), 1400, 2, 1360},
		{"SYN-ACK", v4, 0x12, mss(1460), 1400, 2, 1360},
		{"IPv6", v6, 2, mss(1440), 1400, 2, 1340},
		{"fits", v4, 2, mss(1360), 1400, 2, 0},
		{"smaller is not raised", v4, 2, mss(536), 1400, 2, 0},
		{"no SYN", v4, 0x10, mss(1460), 1400, 2, 0},
		{"at an odd offset", v4, 2, cat(nop, mss(1460), nop, nop, nop), 1400, 3, 1360},
		{"behind others", v4, 2, cat([]byte{3, 3, 7, 1, 4, 2}, mss(0xffff), []byte{0, 0}), 576, 8, 536},
		{"after the end of options", v4, 2, cat([]byte{0, 1, 1, 1}, mss(1460)), 1400, 6, 0},
		{"option of length 0", v4, 2, cat([]byte{8, 0, 1, 1}, mss(1460)), 1400, 6, 0},
		{"option beyond the header", v4, 2, cat([]byte{8, 40, 1, 1}, mss(1460)), 1400, 6, 0},
		{"MSS of the wrong length", v4, 2, []byte{2, 3, 0xff, 0}, 1400, 2, 0},
		{"an MTU without room", v4, 2, mss(1460), 40, 2, 0},
		{"no MTU", v4, 2, mss(1460), 0, 2, 0},
	} {
		b := packet(c.addr, c.flags, c.options)
		was := bytes.Clone(b)
		changed := ClampMSS(b, c.mtu)
		if c.want == 0 {
			if changed || !bytes.Equal(b, was) {
				t.Errorf("%s: changed to %x", c.name, b)
			}
			continue
		}
		start := len(b) - 4 - len(c.options) - minTCP
		if got := binary.BigEndian.Uint16(b[start+minTCP+c.at:]); !changed || got != c.want {
			t.Errorf("%s: MSS %d, want %d", c.name, got, c.want)
		}
		a := netip.MustParseAddr(c.addr)
		if Checksum(b[start:], PseudoSum(a, a, ProtoTCP, len(b)-start)) != 0 {
			t.Errorf("%s: checksum is wrong now", c.name)
		}
	}
	later := ip4(v4, v4, ProtoTCP, 64, 1, nil, tcp(v4, v4, 2, mss(1460), nil))
	if ClampMSS(later, 1400) {
		t.Error("a later fragment was taken for a SYN")
	}
	ext := ip6(v6, v6, ProtoDstOpts, []byte{ProtoTCP, 0, 1, 4, 0, 0, 0, 0}, tcp(v6, v6, 2, mss(1440), nil))
	if !ClampMSS(ext, 1400) {
		t.Error("a SYN behind an extension header was not clamped")
	}
}

func TestFragmentsCarryTheDatagram(t *testing.T) {
	payload := make([]byte, 3001)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	// Loose source route is copied, record route is not, RFC 791 section 3.1.
	options := []byte{131, 3, 4, 7, 3, 4, 1, 0}
	for _, c := range []struct {
		name  string
		p     []byte
		mtu   int
		first uint16 // offset of p itself, in units of 8
		more  bool
	}{
		{"datagram", ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, 0, nil, payload), 1400, 0, false},
		{"with options", ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, 0, options, payload), 1399, 0, false},
		{"fragment of a fragment", ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, flagMF|100, nil, payload[:2000]), 576, 100, true},
		{"smallest MTU", ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, 0, nil, payload), 68, 0, false},
	} {
		const headroom = 16
		p := IPv4(c.p)
		buf := make([]byte, FragmentsSize(p, c.mtu, headroom))
		var data []byte
		views := AppendFragments(nil, buf, p, c.mtu, headroom)
		for i, v := range views {
			f, ok := ParseIPv4(v[headroom:])
			if !ok || len(f) > c.mtu || len(f) != len(v)-headroom || cap(v) != len(v) {
				t.Fatalf("%s: fragment %d has %d bytes (%d of room)", c.name, i, len(f), cap(v))
			}
			if Checksum(f[:f.HeaderLen()], 0) != 0 {
				t.Errorf("%s: fragment %d: header checksum", c.name, i)
			}
			if got, want := f.FragmentOffset(), int(c.first)*8+len(data); got != want {
				t.Errorf("%s: fragment %d at %d, want %d", c.name, i, got, want)
			}
			last := i == len(views)-1
			if f.MF() != (!last || c.more) {
				t.Errorf("%s: fragment %d: more = %v", c.name, i, f.MF())
			}
			if h := f.HeaderLen(); h > 20 {
				want := options
				if i > 0 {
					want = []byte{131, 3, 4, 1, 1, 1, 1, 0}
				}
				if !bytes.Equal(f[20:h], want) {
					t.Errorf("%s: fragment %d: options %x, want %x", c.name, i, f[20:h], want)
				}
			}
			data = append(data, f.Payload()...)
		}
		if !bytes.Equal(data, p.Payload()) {
			t.Errorf("%s: the fragments are not the datagram", c.name)
		}
	}
	p := IPv4(ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, 0, nil, payload))
	if FragmentsSize(p, 27, 0) != 0 || len(AppendFragments(nil, nil, p, 27, 0)) != 0 {
		t.Error("an MTU without room for 8 bytes gives fragments")
	}
	p = IPv4(ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, flagMF|0x1fff, nil, payload))
	if FragmentsSize(p, 1400, 0) != 0 || len(AppendFragments(nil, nil, p, 1400, 0)) != 0 {
		t.Error("an offset that runs over gives fragments")
	}
}

func TestErrorsQuoteTheirPacket(t *testing.T) {
	src4, src6 := netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("2001:db8::9")
	p4 := ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, flagDF, nil, make([]byte, 1400))
	p6 := ip6("2001:db8::1", "2001:db8::2", ProtoUDP, make([]byte, 1400))
	for _, c := range []struct {
		problem       Problem
		typ4, code4   byte
		rest4         uint32
		typ6, code6   byte
		rest6         uint32
		short4, whole bool
	}{
		{problem: NoRoute, typ4: 3, typ6: 1},
		{problem: TooBig, typ4: 3, code4: 4, rest4: 1300, typ6: 2, rest6: 1300},
		{problem: HopsOver, typ4: 11, typ6: 3},
	} {
		b, ok := ParseIPv4(AppendError([]byte("head"), src4, c.problem, 1300, p4)[4:])
		if !ok || len(b) != maxErrorIPv4 || b.Src() != src4 || b.Dst().String() != "10.0.0.1" || Checksum(b[:20], 0) != 0 {
			t.Fatalf("%v: %x", c.problem, b)
		}
		if m := b.Payload(); m[0] != c.typ4 || m[1] != c.code4 || binary.BigEndian.Uint32(m[4:]) != c.rest4 ||
			!bytes.Equal(m[8:], p4[:len(m)-8]) || Checksum(m, 0) != 0 {
			t.Errorf("IPv4 %v: %x", c.problem, m)
		}
		b6, ok := ParseIPv6(AppendError(nil, src6, c.problem, 1300, p6))
		if !ok || len(b6) != maxErrorIPv6 || b6.Src() != src6 || b6.Dst().String() != "2001:db8::1" {
			t.Fatalf("%v: %x", c.problem, b6)
		}
		m := b6[40:]
		if m[0] != c.typ6 || m[1] != c.code6 || binary.BigEndian.Uint32(m[4:]) != c.rest6 || !bytes.Equal(m[8:], p6[:len(m)-8]) ||
			Checksum(m, PseudoSum(b6.Src(), b6.Dst(), ProtoICMPv6, len(m))) != 0 {
			t.Errorf("IPv6 %v: %x", c.problem, m)
		}
	}
	short := ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, 0, nil, make([]byte, 8))
	if b := AppendError(nil, src4, NoRoute, 0, short); len(b) != 28+len(short) {
		t.Errorf("%d bytes for a short packet", len(b))
	}
}

func TestNoErrorIsAnsweredWhereNoneMayBe(t *testing.T) {
	icmp4 := func(typ byte) []byte {
		return ip4("10.0.0.1", "10.0.0.2", ProtoICMP, 64, 0, nil, []byte{typ, 0, 0, 0, 0, 0, 0, 0})
	}
	icmp6 := func(typ byte) []byte {
		return ip6("2001:db8::1", "2001:db8::2", ProtoICMPv6, []byte{typ, 0, 0, 0, 0, 0, 0, 0})
	}
	udp4 := func(src, dst string, field uint16) []byte {
		return ip4(src, dst, ProtoUDP, 64, field, nil, make([]byte, 8))
	}
	udp6 := func(src, dst string) []byte { return ip6(src, dst, ProtoUDP, make([]byte, 8)) }
	for _, c := range []struct {
		name string
		b    []byte
		want bool
	}{
		{"UDP", udp4("10.0.0.1", "10.0.0.2", 0), true},
		{"first fragment", udp4("10.0.0.1", "10.0.0.2", flagMF), true},
		{"later fragment", udp4("10.0.0.1", "10.0.0.2", 1), false},
		{"echo request", icmp4(8), true},
		{"echo reply", icmp4(0), true},
		{"unreachable", icmp4(3), false},
		{"source quench", icmp4(4), false},
		{"redirect", icmp4(5), false},
		{"time exceeded", icmp4(11), false},
		{"parameter problem", icmp4(12), false},
		{"an ICMP type of later date", icmp4(40), false},
		{"cut ICMP", ip4("10.0.0.1", "10.0.0.2", ProtoICMP, 64, 0, nil, []byte{8}), false},
		{"to multicast", udp4("10.0.0.1", "224.0.0.251", 0), false},
		{"to broadcast", udp4("10.0.0.1", "255.255.255.255", 0), false},
		{"from multicast", udp4("224.0.0.1", "10.0.0.2", 0), false},
		{"from broadcast", udp4("255.255.255.255", "10.0.0.2", 0), false},
		{"from nobody", udp4("0.0.0.0", "10.0.0.2", 0), false},
		{"from this network", udp4("0.1.2.3", "10.0.0.2", 0), false},
		{"from loopback", udp4("127.0.0.1", "10.0.0.2", 0), false},
		{"from class E", udp4("241.0.0.1", "10.0.0.2", 0), false},
		{"UDP over IPv6", udp6("2001:db8::1", "2001:db8::2"), true},
		{"from link-local, on its link", udp6("fe80::1", "2001:db8::2"), true},
		{"to multicast, IPv6", udp6("2001:db8::1", "ff02::1"), false},
		{"from nobody, IPv6", udp6("::", "2001:db8::2"), false},
		{"from loopback, IPv6", udp6("::1", "2001:db8::2"), false},
		{"echo request, IPv6", icmp6(128), true},
		{"packet too big, IPv6", icmp6(2), false},
		{"an ICMPv6 error of later date", icmp6(100), false},
		{"redirect, IPv6", icmp6(137), false},
		{"extension headers that are cut", ip6("2001:db8::1", "2001:db8::2", ProtoHopByHop, []byte{17, 9, 0, 0, 0, 0, 0, 0}), false},
		{"no packet", []byte{0x45}, false},
	} {
		if got := Answerable(c.b); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestInfoMarksWhatCannotBeJudged(t *testing.T) {
	syn := tcp("10.0.0.1", "10.0.0.2", flagSYN, nil, nil)
	for _, c := range []struct {
		name           string
		b              []byte
		unclear, ports bool
	}{
		{"TCP", ip4("10.0.0.1", "10.0.0.2", ProtoTCP, 64, 0, nil, syn), false, true},
		{"first fragment", ip4("10.0.0.1", "10.0.0.2", ProtoTCP, 64, flagMF, nil, syn), false, true},
		{"tiny first fragment", ip4("10.0.0.1", "10.0.0.2", ProtoTCP, 64, flagMF, nil, syn[:16]), true, false},
		{"fragment over the header", ip4("10.0.0.1", "10.0.0.2", ProtoTCP, 64, 1, nil, syn), true, false},
		{"later fragment", ip4("10.0.0.1", "10.0.0.2", ProtoTCP, 64, 90, nil, syn), false, false},
		{"UDP without ports", ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, 0, nil, syn[:3]), true, false},
		{"GRE", ip4("10.0.0.1", "10.0.0.2", ProtoGRE, 64, 0, nil, nil), false, false},
		{"cut ICMP", ip4("10.0.0.1", "10.0.0.2", ProtoICMP, 64, 0, nil, syn[:3]), true, false},
		{"first fragment without the upper header", ip6("::1", "::2", ProtoFragment, []byte{60, 0, 0, 1, 0, 0, 0, 1}), true, false},
	} {
		var i Info
		if !i.Parse(c.b) || i.Unclear != c.unclear || i.Ports != c.ports {
			t.Errorf("%s: %+v", c.name, i)
		}
	}
}
