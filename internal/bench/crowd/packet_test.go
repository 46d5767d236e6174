package crowd

import (
	"net/netip"
	"testing"
)

var here, there = netip.MustParseAddr("10.8.0.9"), netip.MustParseAddr("10.8.0.1")

func TestPacketsComeAsTheyWent(t *testing.T) {
	for _, m := range []message{
		{op: opData}, {op: opData, last: true, hashed: true, number: 77}, {op: opAsk, count: 44, size: 1400, number: 1 << 31}, {op: opAck, number: 9},
	} {
		for _, size := range []int{minPacket, 64, 512, 1400, 4000} {
			p := make([]byte, size)
			put(p, here, there, m)
			if got, src, ok := get(p); !ok || got != m || src != here {
				t.Errorf("%+v of %d bytes: %+v from %v, %v", m, size, got, src, ok)
			}
			if checksum(p[:20]) != 0 {
				t.Errorf("%d bytes: header checksum", size)
			}
		}
	}
}

func TestHashNoticesEveryChange(t *testing.T) {
	p := make([]byte, 300)
	put(p, here, there, message{op: opData, hashed: true, number: 5})
	for i := headers + messageLen; i < len(p); i++ {
		p[i] ^= 1
		if _, _, ok := get(p); ok {
			t.Errorf("byte %d", i)
		}
		p[i] ^= 1
	}
}

func FuzzGet(f *testing.F) {
	for _, m := range []message{{op: opData, hashed: true}, {op: opAsk, count: 2, size: 64}} {
		p := make([]byte, 100)
		put(p, here, there, m)
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) { get(p) })
}
