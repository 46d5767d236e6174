package packet

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// ip4 makes an IPv4 packet with a right header checksum. options is a multiple of 4 long.
func ip4(src, dst string, proto, ttl byte, field uint16, options, payload []byte) []byte {
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	h := minIPv4 + len(options)
	b := []byte{0x40 | byte(h/4), 0, 0, 0, 0x12, 0x34, 0, 0, ttl, proto, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(h+len(payload)))
	binary.BigEndian.PutUint16(b[6:], field)
	b = append(append(append(append(b, s[:]...), d[:]...), options...), payload...)
	IPv4(b).SetChecksum()
	return b
}

func ip6(src, dst string, next byte, payload ...[]byte) []byte {
	s, d := netip.MustParseAddr(src).As16(), netip.MustParseAddr(dst).As16()
	b := []byte{0x60, 0, 0, 0, 0, 0, next, 64}
	b = append(append(b, s[:]...), d[:]...)
	b = append(b, bytes.Join(payload, nil)...)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-headerIPv6))
	return b
}

// tcp makes a TCP header with options and a right checksum.
func tcp(src, dst string, flags byte, options, data []byte) []byte {
	h := minTCP + len(options)
	b := []byte{0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, byte(h/4) << 4, flags, 0xff, 0xff, 0, 0, 0, 0}
	b = append(append(b, options...), data...)
	sum := PseudoSum(netip.MustParseAddr(src), netip.MustParseAddr(dst), ProtoTCP, len(b))
	binary.BigEndian.PutUint16(b[16:], Checksum(b, sum))
	return b
}

// slowChecksum is RFC 1071 word by word.
func slowChecksum(b []byte, sum uint32) uint16 {
	for i := 0; i < len(b); i += 2 {
		w := uint32(b[i]) << 8
		if i+1 < len(b) {
			w |= uint32(b[i+1])
		}
		sum += w
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func TestChecksumAgreesWithTheWordByWordOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	buf := make([]byte, 2100)
	for i := range buf {
		buf[i] = byte(rng.Uint32())
	}
	for n := range len(buf) {
		if got, want := Checksum(buf[:n], 0x1234), slowChecksum(buf[:n], 0x1234); got != want {
			t.Fatalf("%d bytes: %04x, want %04x", n, got, want)
		}
	}
	ones := bytes.Repeat([]byte{0xff}, 64) // every carry there is
	if got := Checksum(ones, 0xffffffffffffffff); got != 0 {
		t.Errorf("all ones: %04x, want 0", got)
	}
	if got := Checksum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0); got != ^uint16(0xddf2) {
		t.Errorf("RFC 1071 section 3: %04x", got)
	}
}

func TestUpdateChecksumAgreesWithComputingAnew(t *testing.T) {
	if got := UpdateChecksum(0xdd2f, 0x5555, 0x3285); got != 0x0000 {
		t.Errorf("RFC 1624 section 4: %04x, want 0000", got)
	}
	rng := rand.New(rand.NewPCG(2, 2))
	b := make([]byte, 20)
	for range 100_000 {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		if rng.IntN(4) == 0 {
			b[4], b[5] = 0xff, 0xff
		}
		sum, old, new := Checksum(b, 0), binary.BigEndian.Uint16(b[4:]), uint16(rng.Uint32())
		binary.BigEndian.PutUint16(b[4:], new)
		if got, want := UpdateChecksum(sum, old, new), Checksum(b, 0); got != want {
			t.Fatalf("%04x -> %04x: %04x, want %04x", old, new, got, want)
		}
	}
}

func TestParseChecksLengths(t *testing.T) {
	p4 := ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, 0, nil, make([]byte, 12))
	p6 := ip6("2001:db8::1", "2001:db8::2", ProtoUDP, make([]byte, 12))
	if p, ok := ParseIPv4(append(p4, 0xAA, 0xBB)); !ok || len(p) != len(p4) || p.Src().String() != "10.0.0.1" || p.Dst().String() != "10.0.0.2" {
		t.Errorf("padding is not cut off: %v %v", p, ok)
	}
	if p, ok := ParseIPv6(append(p6, 0xAA)); !ok || len(p) != len(p6) || p.Src().String() != "2001:db8::1" || p.Dst().String() != "2001:db8::2" {
		t.Errorf("padding is not cut off: %v %v", p, ok)
	}
	for n := range p4 {
		if _, ok := ParseIPv4(p4[:n]); ok {
			t.Errorf("took %d of %d bytes of IPv4", n, len(p4))
		}
	}
	for n := range p6 {
		if _, ok := ParseIPv6(p6[:n]); ok {
			t.Errorf("took %d of %d bytes of IPv6", n, len(p6))
		}
	}
	for name, change := range map[string]func(b []byte){
		"header length 16":           func(b []byte) { b[0] = 0x44 },
		"header beyond the packet":   func(b []byte) { b[0] = 0x4f },
		"total length in the header": func(b []byte) { b[3] = 19 },
		"version 5":                  func(b []byte) { b[0] = 0x55 },
	} {
		b := bytes.Clone(p4)
		change(b)
		if _, ok := ParseIPv4(b); ok {
			t.Errorf("took %s", name)
		}
	}
}

func TestDecrementTTLKeepsTheChecksum(t *testing.T) {
	for ttl := 255; ttl > 0; ttl-- {
		p := IPv4(ip4("10.0.0.1", "10.0.0.2", ProtoUDP, byte(ttl), 0, nil, nil))
		p.DecrementTTL()
		if Checksum(p[:20], 0) != 0 || p.TTL() != byte(ttl-1) {
			t.Fatalf("TTL %d: %x", ttl, p)
		}
	}
}

func TestUpperFollowsExtensionHeaders(t *testing.T) {
	hop := func(next byte) []byte { return append([]byte{next, 1, 1, 12}, make([]byte, 12)...) }
	ah := func(next byte) []byte { return append([]byte{next, 4}, make([]byte, 22)...) }
	frag := func(next byte, off uint16, more uint16) []byte {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16([]byte{next, 0}, off|more), 7)
	}
	udp := make([]byte, 8)
	long := [][]byte{}
	for range maxExtensions + 1 {
		long = append(long, []byte{ProtoDstOpts, 0, 1, 4, 0, 0, 0, 0})
	}
	for _, c := range []struct {
		name string
		b    []byte
		want Upper
	}{
		{"none", ip6("::1", "::2", ProtoUDP, udp), Upper{Proto: ProtoUDP, Start: 40, Whole: true}},
		{"hop-by-hop and AH", ip6("::1", "::2", ProtoHopByHop, hop(ProtoAH), ah(ProtoUDP), udp), Upper{Proto: ProtoUDP, Start: 80, Whole: true}},
		{"first fragment", ip6("::1", "::2", ProtoFragment, frag(ProtoUDP, 0, 1), udp), Upper{Proto: ProtoUDP, Start: 48, Fragment: true, Whole: true}},
		{"atomic fragment", ip6("::1", "::2", ProtoFragment, frag(ProtoUDP, 0, 0), udp), Upper{Proto: ProtoUDP, Start: 48, Whole: true}},
		{"later fragment", ip6("::1", "::2", ProtoFragment, frag(ProtoDstOpts, 64, 1), udp), Upper{Proto: ProtoDstOpts, Start: 48, Fragment: true, Offset: 64, Whole: true}},
		{"no next header", ip6("::1", "::2", ProtoNoNext), Upper{Proto: ProtoNoNext, Start: 40, Whole: true}},
		{"ESP ends it", ip6("::1", "::2", ProtoESP, udp), Upper{Proto: ProtoESP, Start: 40, Whole: true}},
		{"cut option header", ip6("::1", "::2", ProtoHopByHop, hop(ProtoUDP)[:9]), Upper{Proto: ProtoHopByHop, Start: 40}},
		{"cut fragment header", ip6("::1", "::2", ProtoFragment, make([]byte, 7)), Upper{Proto: ProtoFragment, Start: 40}},
		{"cut AH", ip6("::1", "::2", ProtoAH, ah(ProtoUDP)[:20]), Upper{Proto: ProtoAH, Start: 40}},
		{"too long a chain", ip6("::1", "::2", ProtoDstOpts, long...), Upper{Proto: ProtoDstOpts, Start: 40 + 8*maxExtensions}},
	} {
		p, ok := ParseIPv6(c.b)
		if got := p.Upper(); !ok || got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	if got, want := IPv4(ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 1, flagMF|2, nil, udp)).Upper(), (Upper{ProtoUDP, 20, true, 16, true}); got != want {
		t.Errorf("IPv4 fragment: %+v, want %+v", got, want)
	}
}

func TestFlowTellsFlowsApart(t *testing.T) {
	port := func(p byte) []byte { return []byte{1, p, 0, 53, 0, 8, 0, 0} }
	base := ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, 0, nil, port(1))
	if Flow(base, 1) != Flow(ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 9, 0, nil, append(port(1), 1, 2, 3)), 1) {
		t.Error("packets of one flow have two hashes")
	}
	first := ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, flagMF, nil, port(1))
	later := ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, 1, nil, port(9))
	if Flow(first, 1) != Flow(later, 1) {
		t.Error("fragments of one datagram have two hashes")
	}
	seen := map[uint64]string{}
	for name, b := range map[string][]byte{
		"base":           base,
		"other port":     ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, 0, nil, port(2)),
		"other proto":    ip4("10.0.0.1", "10.0.0.2", ProtoTCP, 64, 0, nil, port(1)),
		"other way":      ip4("10.0.0.2", "10.0.0.1", ProtoUDP, 64, 0, nil, port(1)),
		"fragment":       first,
		"v6":             ip6("::1", "::2", ProtoUDP, port(1)),
		"v6 other port":  ip6("::1", "::2", ProtoUDP, port(2)),
		"v6 other way":   ip6("::2", "::1", ProtoUDP, port(1)),
		"v6 other proto": ip6("::1", "::2", ProtoTCP, port(1)),
		"no packet":      {1, 2, 3},
	} {
		h := Flow(b, 1)
		if was, ok := seen[h]; ok {
			t.Errorf("%s and %s have one hash", name, was)
		}
		seen[h] = name
	}
	if Flow(base, 1) == Flow(base, 2) {
		t.Error("the seed does nothing")
	}
	var buckets [64]int // flows that differ in a port spread over few queues
	for i := range 6400 {
		p := port(byte(i))
		p[0] = byte(i >> 8)
		buckets[Flow(ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, 0, nil, p), 7)%64]++
	}
	for i, n := range buckets {
		if n < 50 || n > 160 {
			t.Errorf("queue %d has %d of 6400 flows", i, n)
		}
	}
}

func TestNothingAllocates(t *testing.T) {
	p4 := ip4("10.0.0.1", "10.0.0.2", ProtoTCP, 64, 0, nil, tcp("10.0.0.1", "10.0.0.2", flagSYN, []byte{2, 4, 0x05, 0xb4}, nil))
	p6 := ip6("2001:db8::1", "2001:db8::2", ProtoTCP, tcp("2001:db8::1", "2001:db8::2", flagSYN, []byte{2, 4, 0x05, 0xb4}, nil))
	big := ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, 0, nil, make([]byte, 3000))
	buf := make([]byte, 8192)
	views := make([][]byte, 0, 16)
	src := netip.MustParseAddr("10.0.0.9")
	if n := testing.AllocsPerRun(100, func() {
		var i Info
		for _, p := range [...][]byte{p4, p6} {
			Flow(p, 1)
			i.Parse(p)
			ClampMSS(p, 1000)
			Answerable(p)
		}
		AppendFragments(views, buf, IPv4(big), 1400, 16)
		AppendError(buf[:0], src, TooBig, 1400, big)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkChecksum(b *testing.B) {
	buf := make([]byte, 1400)
	b.SetBytes(1400)
	for b.Loop() {
		Checksum(buf, 0)
	}
}

func BenchmarkFlow(b *testing.B) {
	p := ip4("10.0.0.1", "10.0.0.2", ProtoTCP, 64, 0, nil, make([]byte, 20))
	b.ReportAllocs()
	for b.Loop() {
		Flow(p, 1)
	}
}

func BenchmarkClampMSS(b *testing.B) {
	p := ip4("10.0.0.1", "10.0.0.2", ProtoTCP, 64, 0, nil, tcp("10.0.0.1", "10.0.0.2", 0x10, nil, make([]byte, 1340)))
	b.ReportAllocs()
	for b.Loop() {
		ClampMSS(p, 1400)
	}
}
