package tun

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/dialway/dialway/internal/packet"
)

// makePacket makes a packet with right checksums: IPv4 or IPv6, TCP or UDP.
func makePacket(v6, udp bool, seq uint32, flags byte, payload []byte) []byte {
	t := make([]byte, udpHeader, udpHeader+12+len(payload))
	if udp {
		binary.BigEndian.PutUint16(t[udpLen:], uint16(udpHeader+len(payload)))
	} else {
		t = make([]byte, minTCP+12)
		binary.BigEndian.PutUint32(t[tcpSeq:], seq)
		binary.BigEndian.PutUint32(t[tcpAck:], 77)
		t[tcpOffset], t[tcpFlags] = (minTCP+12)/4<<4, flags
		binary.BigEndian.PutUint16(t[tcpWindow:], 500)
		copy(t[minTCP:], "\x01\x01\x08\x0aTIMEecho")
	}
	binary.BigEndian.PutUint16(t, 4242)
	binary.BigEndian.PutUint16(t[2:], 80)
	t = append(t, payload...)
	proto := byte(packet.ProtoTCP)
	if udp {
		proto = packet.ProtoUDP
	}
	var p []byte
	if v6 {
		p = make([]byte, headerIPv6)
		p[0], p[6], p[7], p[8], p[24] = 0x60, proto, 64, 0x20, 0x20
		binary.BigEndian.PutUint16(p[4:], uint16(len(t)))
	} else {
		p = make([]byte, minIPv4)
		p[0], p[6], p[8], p[9], p[12], p[16] = 0x45, 0x40, 64, proto, 10, 10
		binary.BigEndian.PutUint16(p[2:], uint16(minIPv4+len(t)))
		packet.IPv4(p).SetChecksum()
	}
	start := len(p)
	p = append(p, t...)
	at := start + tcpCsum
	if udp {
		at = start + udpCsum
	}
	binary.BigEndian.PutUint16(p[at:], checksumOf(p, start, proto))
	return p
}

// checksumOf is the right transport checksum of a packet whose field is zero.
func checksumOf(p []byte, start int, proto byte) uint16 {
	addrs := p[8:40]
	if p[0]>>4 == 4 {
		addrs = p[12:20]
	}
	return packet.Checksum(p[start:], packet.Sum(addrs, uint64(proto)+uint64(len(p)-start)))
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	r.Read(b)
	return b
}

// kinds of packets, as the tests go through them.
var kinds = []struct{ v6, udp bool }{{false, false}, {true, false}, {false, true}, {true, true}}

// joined writes packets to a joiner, and returns what it would write: each large packet with its header in front.
func joined(j *joiner, packets [][]byte) (list [][]byte) {
	finish := func() {
		parts, _ := j.finish()
		list = append(list, bytes.Join(parts, nil))
	}
	for _, p := range packets {
		if !j.add(p) {
			finish()
			j.add(p)
		}
	}
	if j.n > 0 {
		finish()
	}
	return list
}

// split splits what joined returned.
func split(t *testing.T, large []byte) (list [][]byte) {
	t.Helper()
	var v vnet
	var s splitter
	v.decode(large)
	if err := s.begin(v, large[vnetLen:]); err != nil {
		t.Fatal(err)
	}
	for s.more() {
		p := make([]byte, 70000)
		n, err := s.next(p)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p[:n])
	}
	return list
}

// What is joined is what the splitter splits again into the same packets, byte for byte.
func TestJoinAndSplit(t *testing.T) {
	for _, k := range kinds {
		t.Run(fmt.Sprintf("%+v", k), func(t *testing.T) {
			var packets, want [][]byte
			seq := uint32(1<<32 - 5000) // it wraps
			for i := range 30 {
				size, flags := 1300, byte(flagACK)
				if i == 29 {
					size, flags = 700, flagACK|flagPSH
				}
				p := makePacket(k.v6, k.udp, seq, flags, random(size))
				if !k.v6 {
					binary.BigEndian.PutUint16(p[4:], uint16(i))
					packet.IPv4(p).SetChecksum()
				}
				seq += uint32(size)
				packets, want = append(packets, p), append(want, bytes.Clone(p))
			}
			j := &joiner{udp: true}
			large := joined(j, packets)
			if len(large) != 1 {
				t.Fatalf("%d packets", len(large))
			}
			got := split(t, large[0])
			if len(got) != len(want) {
				t.Fatalf("%d packets", len(got))
			}
			for i := range want {
				if !bytes.Equal(got[i], want[i]) {
					t.Errorf("packet %d:\n%x\n%x", i, got[i], want[i])
				}
			}
		})
	}
}

// What differs in anything that segments share is not joined, and passes as it is.
func TestJoinKeepsApart(t *testing.T) {
	for _, k := range kinds {
		base := func(seq uint32, flags byte, size int) []byte {
			return makePacket(k.v6, k.udp, seq, flags, random(size))
		}
		refresh := func(p []byte) []byte { // checksums of what was changed
			start, proto, at := minIPv4, byte(packet.ProtoTCP), tcpCsum
			if k.v6 {
				start = headerIPv6
			} else {
				packet.IPv4(p).SetChecksum()
			}
			if k.udp {
				proto, at = packet.ProtoUDP, udpCsum
			}
			p[start+at], p[start+at+1] = 0, 0
			binary.BigEndian.PutUint16(p[start+at:], checksumOf(p, start, proto))
			return p
		}
		start := minIPv4
		if k.v6 {
			start = headerIPv6
		}
		second := func(change func(p []byte)) []byte {
			p := base(1000, flagACK, 1000)
			change(p)
			return refresh(p)
		}
		cases := map[string][]byte{
			"source port":   second(func(p []byte) { p[start]++ }),
			"address":       second(func(p []byte) { p[start-1]++ }),
			"bad checksum":  func() []byte { p := base(1000, flagACK, 1000); p[len(p)-1]++; return p }(),
			"larger":        base(1000, flagACK, 1001),
			"traffic class": second(func(p []byte) { p[1] ^= 0x20 }),
			"cut":           base(1000, flagACK, 1000)[:start+200],
			"no packet":     {1, 2, 3},
		}
		if !k.v6 {
			cases["time to live"] = second(func(p []byte) { p[8]-- })
			cases["fragment"] = second(func(p []byte) { p[6] = 0x20 })
			cases["DF"] = second(func(p []byte) { p[6] = 0 })
			cases["bad header checksum"] = func() []byte { p := base(1000, flagACK, 1000); p[10]++; return p }()
		} else {
			cases["hop limit"] = second(func(p []byte) { p[7]-- })
			cases["flow label"] = second(func(p []byte) { p[3]++ })
		}
		if k.udp {
			cases["no checksum"] = func() []byte {
				p := base(1000, flagACK, 1000)
				p[start+udpCsum], p[start+udpCsum+1] = 0, 0
				return p
			}()
		} else {
			cases["a hole"] = base(1001, flagACK, 1000)
			cases["the same again"] = base(0, flagACK, 1000)
			cases["FIN"] = base(1000, flagACK|flagFIN, 1000)
			cases["nothing but an ACK"] = base(1000, flagACK, 0)
			cases["acknowledgement"] = second(func(p []byte) { p[start+tcpAck+3]++ })
			cases["window"] = second(func(p []byte) { p[start+tcpWindow+1]++ })
			cases["option"] = second(func(p []byte) { p[start+minTCP+5]++ })
		}
		for name, p := range cases {
			a := base(0, flagACK, 1000)
			want := [][]byte{bytes.Clone(a), bytes.Clone(p)}
			got := joined(&joiner{udp: true}, [][]byte{a, p})
			if len(got) != 2 || !bytes.Equal(got[0][vnetLen:], want[0]) || !bytes.Equal(got[1][vnetLen:], want[1]) || !bytes.Equal(got[0][:vnetLen], make([]byte, vnetLen)) {
				t.Errorf("%+v, %s: %d packets", k, name, len(got))
			}
		}
		// The first has a bad checksum.
		a := base(0, flagACK, 1000)
		a[len(a)-1]++
		if got := joined(&joiner{udp: true}, [][]byte{a, base(1000, flagACK, 1000), base(2000, flagACK, 1000)}); len(got) != 2 || len(got[1]) < 2000 {
			t.Errorf("%+v, bad first: %d packets", k, len(got))
		}
		// A shorter one, or one with PSH, is the last.
		if got := joined(&joiner{udp: true}, [][]byte{base(0, flagACK, 1000), base(1000, flagACK, 500), base(1500, flagACK, 500)}); len(got) != 2 {
			t.Errorf("%+v, short: %d packets", k, len(got))
		}
		if got := joined(&joiner{udp: true}, [][]byte{base(0, flagACK|flagPSH, 1000), base(1000, flagACK, 1000)}); (len(got) == 1) != k.udp {
			t.Errorf("%+v, PSH: %d packets", k, len(got))
		}
		if got := joined(&joiner{}, [][]byte{base(0, flagACK, 1000), base(1000, flagACK, 1000)}); (len(got) == 2) != k.udp {
			t.Errorf("%+v, no UDP: %d packets", k, len(got))
		}
		if got := joined(&joiner{udp: true, off: true}, [][]byte{base(0, flagACK, 1000), base(1000, flagACK, 1000)}); len(got) != 2 {
			t.Errorf("%+v, off: %d packets", k, len(got))
		}
	}
}

func TestJoinIsBounded(t *testing.T) {
	for _, k := range kinds {
		var packets [][]byte
		for i := range 200 {
			packets = append(packets, makePacket(k.v6, k.udp, uint32(i*1000), flagACK, random(1000)))
		}
		for _, p := range joined(&joiner{udp: true}, packets) {
			if len(p)-vnetLen > 65535 {
				t.Errorf("%d bytes", len(p))
			}
		}
		packets = packets[:0]
		for i := range 3000 {
			packets = append(packets, makePacket(k.v6, k.udp, uint32(i), flagACK, []byte{1}))
		}
		most := maxSegment
		if k.udp {
			most = maxDgrams
		}
		for _, p := range joined(&joiner{udp: true}, packets) {
			if n := len(split(t, p)); n > most {
				t.Errorf("%d packets", n)
			}
		}
	}
}

func TestSplitRefuses(t *testing.T) {
	whole := joined(&joiner{udp: true}, [][]byte{makePacket(false, false, 0, flagACK, random(1000)), makePacket(false, false, 1000, flagACK, random(1000))})[0]
	var v vnet
	v.decode(whole)
	p := whole[vnetLen:]
	for name, f := range map[string]func(v *vnet, p *[]byte){
		"no size":          func(v *vnet, p *[]byte) { v.gsoSize = 0 },
		"no checksum":      func(v *vnet, p *[]byte) { v.flags = 0 },
		"cut":              func(v *vnet, p *[]byte) { *p = (*p)[:30] },
		"only headers":     func(v *vnet, p *[]byte) { *p = (*p)[:52] },
		"empty":            func(v *vnet, p *[]byte) { *p = nil },
		"other version":    func(v *vnet, p *[]byte) { v.gso = gsoTCP6 },
		"unknown":          func(v *vnet, p *[]byte) { v.gso = 9 },
		"checksum outside": func(v *vnet, p *[]byte) { v.csumOffset = 60000 },
		"checksum moved":   func(v *vnet, p *[]byte) { v.csumOffset = 4 },
		"start":            func(v *vnet, p *[]byte) { v.csumStart = 24 },
		"start in front":   func(v *vnet, p *[]byte) { v.csumStart = 4 },
		"no TCP header":    func(v *vnet, p *[]byte) { (*p)[20+tcpOffset] = 0x40 },
	} {
		x, q := v, bytes.Clone(p)
		f(&x, &q)
		var s splitter
		if err := s.begin(x, q); err != errHeader || s.more() {
			t.Error(name, err)
		}
	}
	var s splitter
	if err := s.begin(vnet{}, nil); err != errHeader {
		t.Error(err)
	}
	// A packet that is larger than the buffers.
	for _, x := range []vnet{v, {}} {
		if err := s.begin(x, bytes.Clone(p)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.next(make([]byte, 500)); !errors.Is(err, errTooSmall) || s.more() {
			t.Error(err)
		}
	}
}

// A checksum that the system leaves to us.
func TestSplitMakesChecksum(t *testing.T) {
	for _, k := range kinds {
		want := makePacket(k.v6, k.udp, 5, flagACK, random(333))
		p := bytes.Clone(want)
		v := vnet{flags: needsCsum, csumStart: minIPv4, csumOffset: tcpCsum}
		proto, addrs := uint64(packet.ProtoTCP), p[12:20]
		if k.v6 {
			v.csumStart, addrs = headerIPv6, p[8:40]
		}
		if k.udp {
			v.csumOffset, proto = udpCsum, packet.ProtoUDP
		}
		n := len(p) - int(v.csumStart)
		binary.BigEndian.PutUint16(p[v.csumStart+v.csumOffset:], ^packet.Fold(packet.Sum(addrs, proto+uint64(n))))
		head := make([]byte, vnetLen)
		v.encode(head)
		if got := split(t, append(head, p...)); len(got) != 1 || !bytes.Equal(got[0], want) {
			t.Errorf("%+v", k)
		}
	}
}

func TestOffloadAllocatesNothing(t *testing.T) {
	var packets [][]byte
	for i := range 40 {
		packets = append(packets, makePacket(false, false, uint32(i*1000), flagACK, random(1000)))
	}
	work := make([][]byte, len(packets))
	for i := range work {
		work[i] = bytes.Clone(packets[i])
	}
	large := joined(new(joiner), packets)[0]
	var v vnet
	v.decode(large)
	var s splitter
	j := new(joiner)
	dst := make([]byte, 2000)
	p := make([]byte, len(large)-vnetLen)
	if n := testing.AllocsPerRun(100, func() {
		copy(p, large[vnetLen:])
		s.begin(v, p)
		for i := 0; s.more(); i++ {
			n, _ := s.next(dst)
			copy(work[i], dst[:n])
			if !j.add(work[i]) {
				t.Error("not joined", i)
			}
		}
		j.finish()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzJoinAndSplit(f *testing.F) {
	for _, k := range kinds {
		f.Add(append(makePacket(k.v6, k.udp, 0, flagACK, random(64)), makePacket(k.v6, k.udp, 64, flagACK|flagPSH, random(20))...), uint16(100))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		at := min(int(cut), len(b))
		var list [][]byte
		for _, p := range [][]byte{b[:at], b[at:], b} {
			if len(p) > 0 && len(p) < 30000 {
				list = append(list, bytes.Clone(p))
			}
		}
		var want [][]byte
		for _, p := range list {
			want = append(want, bytes.Clone(p))
		}
		var got [][]byte
		for _, large := range joined(&joiner{udp: true}, list) {
			got = append(got, split(t, large)...)
		}
		if len(got) != len(want) {
			t.Fatalf("%d packets of %d", len(got), len(want))
		}
		for i := range want {
			if len(got[i]) != len(want[i]) || !bytes.Equal(got[i][len(got[i])-1:], want[i][len(want[i])-1:]) {
				t.Errorf("packet %d", i)
			}
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add(joined(new(joiner), [][]byte{makePacket(false, false, 0, flagACK, random(64)), makePacket(false, false, 64, flagACK, random(20))})[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < vnetLen {
			return
		}
		var v vnet
		v.decode(b)
		var s splitter
		if s.begin(v, bytes.Clone(b[vnetLen:])) != nil {
			return
		}
		dst, n := make([]byte, 1500), 0
		for s.more() {
			s.next(dst)
			if n++; n > len(b) {
				t.Fatal("endless")
			}
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	large, _ := bulk()
	var v vnet
	v.decode(large)
	p, dst := bytes.Clone(large[vnetLen:]), make([]byte, 2000)
	var s splitter
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		s.begin(v, p)
		for s.more() {
			s.next(dst)
		}
	}
}

func BenchmarkJoin(b *testing.B) {
	large, packets := bulk()
	j := new(joiner)
	b.SetBytes(int64(len(large)))
	b.ReportAllocs()
	first := bytes.Clone(packets[0])
	for b.Loop() {
		copy(packets[0], first)
		for _, p := range packets {
			j.add(p)
		}
		j.finish()
	}
}

// bulk is what a read of a stream brings, and its packets.
func bulk() (large []byte, packets [][]byte) {
	for i := range 47 {
		p := makePacket(false, false, uint32(i*1348), flagACK, random(1348))
		binary.BigEndian.PutUint16(p[4:], uint16(i))
		packet.IPv4(p).SetChecksum()
		packets = append(packets, p)
	}
	copies := make([][]byte, len(packets))
	for i, p := range packets {
		copies[i] = bytes.Clone(p)
	}
	return joined(new(joiner), copies)[0], packets
}
