package packet

import (
	"bytes"
	"net/netip"
	"testing"
)

func seeds(f *testing.F) {
	mss := []byte{1, 2, 4, 0xff, 0xff, 1, 1, 0}
	f.Add(ip4("10.0.0.1", "10.0.0.2", ProtoTCP, 64, 0, nil, tcp("10.0.0.1", "10.0.0.2", flagSYN, mss, nil)))
	f.Add(ip4("10.0.0.1", "10.0.0.2", ProtoUDP, 64, flagMF|9, []byte{7, 3, 4, 0}, make([]byte, 90)))
	f.Add(ip6("2001:db8::1", "2001:db8::2", ProtoTCP, tcp("2001:db8::1", "2001:db8::2", flagSYN, mss, nil)))
	f.Add(ip6("2001:db8::1", "2001:db8::2", ProtoHopByHop, []byte{ProtoFragment, 0, 1, 4, 0, 0, 0, 0}, []byte{ProtoICMPv6, 0, 0, 1, 0, 0, 0, 1, 128, 0, 0, 0}))
	f.Add(ip4("10.0.0.1", "10.0.0.2", ProtoICMP, 64, 0, nil, []byte{3, 0, 0, 0}))
	f.Add([]byte{0x45})
	f.Add([]byte(nil))
}

func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		was := bytes.Clone(b)
		var i Info
		ok := i.Parse(b)
		Flow(b, 1)
		answer := Answerable(b)
		if !bytes.Equal(b, was) {
			t.Fatal("reading changed the packet")
		}
		if !ok {
			if answer {
				t.Fatal("would answer what is no packet")
			}
			return
		}
		if i.Whole && i.Start > len(b) {
			t.Fatalf("the upper layer is at %d of %d", i.Start, len(b))
		}
		src := netip.MustParseAddr("10.0.0.9")
		if i.Src.Is6() {
			src = netip.MustParseAddr("2001:db8::9")
		}
		e := AppendError(nil, src, TooBig, 1400, b)
		var about Info
		if !about.Parse(e) || len(e) > MaxError || about.Dst != i.Src || Answerable(e) {
			t.Fatalf("an error that may be answered or does not parse: %x", e)
		}
	})
}

// FuzzClampMSS checks that whatever changes is two bytes of the value and two of the checksum, and that a TCP checksum
// that was right stays right.
func FuzzClampMSS(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var i Info
		valid := i.Parse(b) && i.Whole && i.Offset == 0 && i.Proto == ProtoTCP
		right := func() bool {
			n := len(b)
			if p, ok := ParseIPv4(b); ok {
				n = len(p)
			} else if p, ok := ParseIPv6(b); ok {
				n = len(p)
			}
			return i.Start < n && Checksum(b[i.Start:n], PseudoSum(i.Src, i.Dst, ProtoTCP, n-i.Start)) == 0
		}
		was, good := bytes.Clone(b), valid && right()
		changed := ClampMSS(b, 1400)
		if changed == bytes.Equal(b, was) {
			t.Fatalf("says %v", changed)
		}
		if changed && !valid {
			t.Fatal("changed what is no TCP header")
		}
		if good && !right() {
			t.Fatal("the checksum is wrong now")
		}
		if ClampMSS(b, 1400) {
			t.Fatal("the second time changes something too")
		}
	})
}

func FuzzFragments(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := ParseIPv4(b)
		if !ok {
			return
		}
		const mtu, headroom = 68, 8
		buf := make([]byte, FragmentsSize(p, mtu, headroom))
		var data []byte
		for _, v := range AppendFragments(nil, buf, p, mtu, headroom) {
			q, ok := ParseIPv4(v[headroom:])
			if !ok || len(q) > mtu {
				t.Fatalf("fragment %x", v)
			}
			data = append(data, q.Payload()...)
		}
		if len(buf) > 0 && !bytes.Equal(data, p.Payload()) {
			t.Fatal("the fragments are not the datagram")
		}
	})
}
