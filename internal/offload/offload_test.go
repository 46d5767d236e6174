package offload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/dialway/dialway/internal/offload/offloadtest"
	"github.com/dialway/dialway/internal/packet"
)

// checksumOf is the right transport checksum of a packet whose field is zero.
func checksumOf(p []byte, start int, proto byte) uint16 {
	addrs := p[8:40]
	if p[0]>>4 == 4 {
		addrs = p[12:20]
	}
	return packet.Checksum(p[start:], packet.Sum(addrs, uint64(proto)+uint64(len(p)-start)))
}

// joined writes packets to a Joiner, and returns what it would write: each large packet with its header in front.
func joined(j *Joiner, packets [][]byte) (list [][]byte) {
	finish := func() {
		parts, _ := j.Finish()
		list = append(list, bytes.Join(parts, nil))
	}
	for _, p := range packets {
		if !j.Add(p) {
			finish()
			j.Add(p)
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
	var v Header
	var s Splitter
	v.Decode(large)
	if err := s.Begin(v, large[HeaderLen:]); err != nil {
		t.Fatal(err)
	}
	for s.More() {
		p := make([]byte, 70000)
		n, err := s.Next(p)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p[:n])
	}
	return list
}

// What is joined is what the Splitter splits again into the same packets, byte for byte.
func TestJoinAndSplit(t *testing.T) {
	for _, k := range offloadtest.Kinds {
		t.Run(fmt.Sprintf("%+v", k), func(t *testing.T) {
			var packets, want [][]byte
			seq := uint32(1<<32 - 5000) // it wraps
			for i := range 30 {
				size, flags := 1300, byte(flagACK)
				if i == 29 {
					size, flags = 700, flagACK|flagPSH
				}
				p := offloadtest.Packet(k.IPv6, k.UDP, seq, flags, offloadtest.Random(size))
				if !k.IPv6 {
					binary.BigEndian.PutUint16(p[4:], uint16(i))
					packet.IPv4(p).SetChecksum()
				}
				seq += uint32(size)
				packets, want = append(packets, p), append(want, bytes.Clone(p))
			}
			j := &Joiner{UDP: true}
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
	for _, k := range offloadtest.Kinds {
		base := func(seq uint32, flags byte, size int) []byte {
			return offloadtest.Packet(k.IPv6, k.UDP, seq, flags, offloadtest.Random(size))
		}
		refresh := func(p []byte) []byte { // checksums of what was changed
			start, proto, at := minIPv4, byte(packet.ProtoTCP), tcpCsum
			if k.IPv6 {
				start = headerIPv6
			} else {
				packet.IPv4(p).SetChecksum()
			}
			if k.UDP {
				proto, at = packet.ProtoUDP, udpCsum
			}
			p[start+at], p[start+at+1] = 0, 0
			binary.BigEndian.PutUint16(p[start+at:], checksumOf(p, start, proto))
			return p
		}
		start := minIPv4
		if k.IPv6 {
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
		if !k.IPv6 {
			cases["time to live"] = second(func(p []byte) { p[8]-- })
			cases["fragment"] = second(func(p []byte) { p[6] = 0x20 })
			cases["DF"] = second(func(p []byte) { p[6] = 0 })
			cases["bad header checksum"] = func() []byte { p := base(1000, flagACK, 1000); p[10]++; return p }()
		} else {
			cases["hop limit"] = second(func(p []byte) { p[7]-- })
			cases["flow label"] = second(func(p []byte) { p[3]++ })
		}
		if k.UDP {
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
			got := joined(&Joiner{UDP: true}, [][]byte{a, p})
			if len(got) != 2 || !bytes.Equal(got[0][HeaderLen:], want[0]) || !bytes.Equal(got[1][HeaderLen:], want[1]) || !bytes.Equal(got[0][:HeaderLen], make([]byte, HeaderLen)) {
				t.Errorf("%+v, %s: %d packets", k, name, len(got))
			}
		}
		// The first has a bad checksum.
		a := base(0, flagACK, 1000)
		a[len(a)-1]++
		if got := joined(&Joiner{UDP: true}, [][]byte{a, base(1000, flagACK, 1000), base(2000, flagACK, 1000)}); len(got) != 2 || len(got[1]) < 2000 {
			t.Errorf("%+v, bad first: %d packets", k, len(got))
		}
		// A shorter one is the last.
		if got := joined(&Joiner{UDP: true}, [][]byte{base(0, flagACK, 1000), base(1000, flagACK, 500), base(1500, flagACK, 500)}); len(got) != 2 {
			t.Errorf("%+v, short: %d packets", k, len(got))
		}
		// PSH is no boundary: the last one has it then.
		for first := range 3 {
			var list [][]byte
			for i := range 3 {
				flags := byte(flagACK)
				if i == first {
					flags |= flagPSH
				}
				list = append(list, base(uint32(1000*i), flags, 1000))
			}
			got := joined(&Joiner{UDP: true}, list)
			if len(got) != 1 {
				t.Errorf("%+v, PSH: %d packets", k, len(got))
				continue
			}
			if k.UDP {
				continue
			}
			list = split(t, got[0])
			flags := func(p []byte) byte { return p[len(p)-1032+tcpFlags] }
			if flags(list[0]) != flagACK || flags(list[1]) != flagACK || flags(list[2]) != flagACK|flagPSH {
				t.Errorf("%+v, PSH of %d: %x, %x, %x", k, first, flags(list[0]), flags(list[1]), flags(list[2]))
			}
		}
		if got := joined(&Joiner{}, [][]byte{base(0, flagACK, 1000), base(1000, flagACK, 1000)}); (len(got) == 2) != k.UDP {
			t.Errorf("%+v, no UDP: %d packets", k, len(got))
		}
		if got := joined(&Joiner{UDP: true, Off: true}, [][]byte{base(0, flagACK, 1000), base(1000, flagACK, 1000)}); len(got) != 2 {
			t.Errorf("%+v, off: %d packets", k, len(got))
		}
	}
}

func TestJoinIsBounded(t *testing.T) {
	for _, k := range offloadtest.Kinds {
		var packets [][]byte
		for i := range 200 {
			packets = append(packets, offloadtest.Packet(k.IPv6, k.UDP, uint32(i*1000), flagACK, offloadtest.Random(1000)))
		}
		for _, p := range joined(&Joiner{UDP: true}, packets) {
			if len(p)-HeaderLen > 65535 {
				t.Errorf("%d bytes", len(p))
			}
		}
		packets = packets[:0]
		for i := range 3000 {
			packets = append(packets, offloadtest.Packet(k.IPv6, k.UDP, uint32(i), flagACK, []byte{1}))
		}
		most := maxSegment
		if k.UDP {
			most = maxDgrams
		}
		for _, p := range joined(&Joiner{UDP: true}, packets) {
			if n := len(split(t, p)); n > most {
				t.Errorf("%d packets", n)
			}
		}
	}
}

func TestSplitRefuses(t *testing.T) {
	whole := joined(&Joiner{UDP: true}, [][]byte{offloadtest.Packet(false, false, 0, flagACK, offloadtest.Random(1000)), offloadtest.Packet(false, false, 1000, flagACK, offloadtest.Random(1000))})[0]
	var v Header
	v.Decode(whole)
	p := whole[HeaderLen:]
	for name, f := range map[string]func(v *Header, p *[]byte){
		"no size":          func(v *Header, p *[]byte) { v.gsoSize = 0 },
		"no checksum":      func(v *Header, p *[]byte) { v.flags = 0 },
		"cut":              func(v *Header, p *[]byte) { *p = (*p)[:30] },
		"only headers":     func(v *Header, p *[]byte) { *p = (*p)[:52] },
		"empty":            func(v *Header, p *[]byte) { *p = nil },
		"other version":    func(v *Header, p *[]byte) { v.gso = gsoTCP6 },
		"unknown":          func(v *Header, p *[]byte) { v.gso = 9 },
		"checksum outside": func(v *Header, p *[]byte) { v.csumOffset = 60000 },
		"checksum moved":   func(v *Header, p *[]byte) { v.csumOffset = 4 },
		"start":            func(v *Header, p *[]byte) { v.csumStart = 24 },
		"start in front":   func(v *Header, p *[]byte) { v.csumStart = 4 },
		"no TCP header":    func(v *Header, p *[]byte) { (*p)[20+tcpOffset] = 0x40 },
	} {
		x, q := v, bytes.Clone(p)
		f(&x, &q)
		var s Splitter
		if err := s.Begin(x, q); err != ErrHeader || s.More() {
			t.Error(name, err)
		}
	}
	var s Splitter
	if err := s.Begin(Header{}, nil); err != ErrHeader {
		t.Error(err)
	}
	// A packet that is larger than the buffers.
	for _, x := range []Header{v, {}} {
		if err := s.Begin(x, bytes.Clone(p)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Next(make([]byte, 500)); !errors.Is(err, ErrTooSmall) || s.More() {
			t.Error(err)
		}
	}
}

// A checksum that the system leaves to us.
func TestSplitMakesChecksum(t *testing.T) {
	for _, k := range offloadtest.Kinds {
		want := offloadtest.Packet(k.IPv6, k.UDP, 5, flagACK, offloadtest.Random(333))
		p := bytes.Clone(want)
		v := Header{flags: needsCsum, csumStart: minIPv4, csumOffset: tcpCsum}
		proto, addrs := uint64(packet.ProtoTCP), p[12:20]
		if k.IPv6 {
			v.csumStart, addrs = headerIPv6, p[8:40]
		}
		if k.UDP {
			v.csumOffset, proto = udpCsum, packet.ProtoUDP
		}
		n := len(p) - int(v.csumStart)
		binary.BigEndian.PutUint16(p[v.csumStart+v.csumOffset:], ^packet.Fold(packet.Sum(addrs, proto+uint64(n))))
		head := make([]byte, HeaderLen)
		v.Encode(head)
		if got := split(t, append(head, p...)); len(got) != 1 || !bytes.Equal(got[0], want) {
			t.Errorf("%+v", k)
		}
	}
}

func TestOffloadAllocatesNothing(t *testing.T) {
	var packets [][]byte
	for i := range 40 {
		packets = append(packets, offloadtest.Packet(false, false, uint32(i*1000), flagACK, offloadtest.Random(1000)))
	}
	work := make([][]byte, len(packets))
	for i := range work {
		work[i] = bytes.Clone(packets[i])
	}
	large := joined(new(Joiner), packets)[0]
	var v Header
	v.Decode(large)
	var s Splitter
	j := new(Joiner)
	dst := make([]byte, 2000)
	p := make([]byte, len(large)-HeaderLen)
	if n := testing.AllocsPerRun(100, func() {
		copy(p, large[HeaderLen:])
		s.Begin(v, p)
		for i := 0; s.More(); i++ {
			n, _ := s.Next(dst)
			copy(work[i], dst[:n])
			if !j.Add(work[i]) {
				t.Error("not joined", i)
			}
		}
		j.Finish()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzJoinAndSplit(f *testing.F) {
	for _, k := range offloadtest.Kinds {
		f.Add(append(offloadtest.Packet(k.IPv6, k.UDP, 0, flagACK, offloadtest.Random(64)), offloadtest.Packet(k.IPv6, k.UDP, 64, flagACK|flagPSH, offloadtest.Random(20))...), uint16(100))
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
		for _, large := range joined(&Joiner{UDP: true}, list) {
			got = append(got, split(t, large)...)
		}
		if len(got) != len(want) {
			t.Fatalf("%d packets of %d", len(got), len(want))
		}
		for i := range want {
			for _, p := range [][]byte{got[i], want[i]} {
				if len(p) >= minIPv4 && p[0] == 0x45 { // identification, and the checksum with it, are counted anew
					clear(p[4:6])
					clear(p[10:12])
				}
			}
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("packet %d:\n%x\n%x", i, got[i], want[i])
			}
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add(joined(new(Joiner), [][]byte{offloadtest.Packet(false, false, 0, flagACK, offloadtest.Random(64)), offloadtest.Packet(false, false, 64, flagACK, offloadtest.Random(20))})[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < HeaderLen {
			return
		}
		var v Header
		v.Decode(b)
		var s Splitter
		if s.Begin(v, bytes.Clone(b[HeaderLen:])) != nil {
			return
		}
		dst, n := make([]byte, 1500), 0
		for s.More() {
			s.Next(dst)
			if n++; n > len(b) {
				t.Fatal("endless")
			}
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	large, _ := bulk()
	var v Header
	v.Decode(large)
	p, dst := bytes.Clone(large[HeaderLen:]), make([]byte, 2000)
	var s Splitter
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		s.Begin(v, p)
		for s.More() {
			s.Next(dst)
		}
	}
}

func BenchmarkJoin(b *testing.B) {
	large, packets := bulk()
	j := new(Joiner)
	b.SetBytes(int64(len(large)))
	b.ReportAllocs()
	first := bytes.Clone(packets[0])
	for b.Loop() {
		copy(packets[0], first)
		for _, p := range packets {
			j.Add(p)
		}
		j.Finish()
	}
}

// bulk is what a read of a stream brings, and its packets.
func bulk() (large []byte, packets [][]byte) {
	packets = offloadtest.Stream()
	copies := make([][]byte, len(packets))
	for i, p := range packets {
		copies[i] = bytes.Clone(p)
	}
	return joined(new(Joiner), copies)[0], packets
}
