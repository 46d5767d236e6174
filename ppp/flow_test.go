package ppp

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/tlsconn"
)

var flowStart = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// sequence is udp's.
func sequence(p *queued) int { return int(binary.BigEndian.Uint32(p.body()[28:])) }

// port is udp's: the flow.
func port(p *queued) int { return int(binary.BigEndian.Uint16(p.body()[20:])) }

func newTestQueue(t *testing.T) (*flowQueue, *counter) {
	t.Helper()
	c := new(counter)
	q := newFlowQueue(c)
	t.Cleanup(func() {
		q.free()
		wantBuffersBack(t)
	})
	return q, c
}

func TestFlowsTakeTurnsByBytes(t *testing.T) {
	q, _ := newTestQueue(t)
	for i := range 50 {
		q.push(flowStart, ipv4Header[:], udp(1, uint32(i), 1400))
	}
	for i := range 200 {
		q.push(flowStart, ipv4Header[:], udp(2, uint32(i), 350))
	}
	bytes, next := map[int]int{}, map[int]int{}
	for range 60 {
		p := q.pop(flowStart)
		f := port(p)
		if sequence(p) != next[f] {
			t.Fatalf("flow %d: %d comes instead of %d", f, sequence(p), next[f])
		}
		next[f]++
		bytes[f] += p.size
		if string(p.header[:]) != string(ipv4Header[:]) {
			t.Fatalf("header %x", p.header)
		}
		q.release(p)
	}
	if d := bytes[1] - bytes[2]; d > 2*flowQuantum || d < -2*flowQuantum {
		t.Errorf("one flow got %d bytes, the other %d", bytes[1], bytes[2])
	}
}

func TestNewFlowGoesFirst(t *testing.T) {
	q, _ := newTestQueue(t)
	for i := range 100 {
		q.push(flowStart, ipv4Header[:], udp(1, uint32(i), 1400))
	}
	for range 10 {
		q.release(q.pop(flowStart))
	}
	q.push(flowStart, ipv4Header[:], udp(53, 0, 60))
	for i := 0; ; i++ {
		p := q.pop(flowStart)
		f := port(p)
		q.release(p)
		if f == 53 {
			break
		}
		if i == 1 {
			t.Fatal("a small flow stands behind a bulk transfer")
		}
	}
}

// TestFlowThatComesAndGoesStarvesNobody: being new is not a way to be always first.
func TestFlowThatComesAndGoesStarvesNobody(t *testing.T) {
	q, _ := newTestQueue(t)
	for i := range 100 {
		q.push(flowStart, ipv4Header[:], udp(1, uint32(i), 1400))
	}
	bytes := map[int]int{}
	for i := range 60 {
		q.push(flowStart, ipv4Header[:], udp(2, uint32(i), 1400))
		p := q.pop(flowStart)
		bytes[port(p)] += p.size
		q.release(p)
	}
	if bytes[1] < bytes[2]/2 {
		t.Errorf("the waiting flow got %d bytes, the other %d", bytes[1], bytes[2])
	}
}

func TestMemoryLimitDropsFromTheLongestFlow(t *testing.T) {
	q, dropped := newTestQueue(t)
	q.push(flowStart, ipv4Header[:], udp(2, 0, 1400))
	const packets = 2000
	for i := range packets {
		q.push(flowStart, ipv4Header[:], udp(1, uint32(i), 1400))
		if q.memory > flowLimit {
			t.Fatalf("%d bytes of memory", q.memory)
		}
	}
	lost := int(dropped.packets.Load())
	if lost == 0 || q.packets != packets+1-lost || dropped.bytes.Load() != uint64(1400*lost) {
		t.Errorf("%d lost with %d bytes, %d wait", lost, dropped.bytes.Load(), q.packets)
	}
	seen, last := false, packets-q.packets // the oldest are lost
	for {
		p := q.pop(flowStart)
		if p == nil {
			break
		}
		if port(p) == 2 {
			seen = true
		} else if last++; sequence(p) != last {
			t.Fatalf("%d comes instead of %d", sequence(p), last)
		}
		q.release(p)
	}
	if !seen || last != packets-1 {
		t.Errorf("short flow %v, last packet %d", seen, last)
	}
}

func TestPacketsOfAllSizesWait(t *testing.T) {
	q, dropped := newTestQueue(t)
	sizes := []int{28, 255, 256, 257, 2048, 2049, 4096, 4097, 65535}
	for i, n := range sizes {
		q.push(flowStart, ipv4Header[:], udp(uint16(i), 0, max(n, 32))[:n])
	}
	q.push(flowStart, ipv4Header[:], make([]byte, 65537)) // no frame is so large
	if dropped.packets.Load() != 1 {
		t.Errorf("%d dropped", dropped.packets.Load())
	}
	got := map[int]bool{}
	for range sizes {
		p := q.pop(flowStart)
		got[len(p.body())] = true
		q.release(p)
	}
	if len(got) != len(sizes) || q.pop(flowStart) != nil {
		t.Errorf("sizes %v", got)
	}
}

// TestCoDelDropsAsTheRFCSays follows RFC 8289: nothing for an interval, then drops that come closer.
func TestCoDelDropsAsTheRFCSays(t *testing.T) {
	q, dropped := newTestQueue(t)
	for i := range 500 {
		q.push(flowStart, ipv4Header[:], udp(1, uint32(i), 1400))
	}
	var drops []time.Duration
	for at := codelTarget; len(drops) < 5; at += time.Millisecond {
		before := dropped.packets.Load()
		q.release(q.pop(flowStart.Add(at)))
		if n := dropped.packets.Load() - before; n > 1 {
			t.Fatalf("%d at once", n)
		} else if n == 1 {
			drops = append(drops, at)
		}
	}
	// codelInterval after the first late packet, then after 100/sqrt(1), 100/sqrt(2), ... ms, in ticks of a millisecond.
	want := []time.Duration{105, 205, 276, 334, 384}
	for i, d := range drops {
		if d -= want[i] * time.Millisecond; d < 0 || d > time.Millisecond {
			t.Errorf("drop %d at %v, want %v", i, drops[i], want[i]*time.Millisecond)
		}
	}
}

// TestCoDelKnowsTheRoundTrip: what one flow needs to be busy after a drop is let wait, and it is not dropped from again
// before it can have noticed.
func TestCoDelKnowsTheRoundTrip(t *testing.T) {
	for rtt, want := range map[time.Duration]struct{ target, interval time.Duration }{
		0:                      {codelTarget, codelInterval},
		time.Millisecond:       {codelTarget, codelInterval},
		50 * time.Millisecond:  {20 * time.Millisecond, codelInterval},
		200 * time.Millisecond: {codelMost, 400 * time.Millisecond},
	} {
		a, _ := memPair(1 << 10)
		s := NewStream(farConn{tlsconn.NewPlain(a), rtt}, lengthFraming{})
		q, _ := newTestQueue(t)
		s.flows = q
		s.next(flowStart, nil, minDrain)
		if q.target != want.target || q.interval != want.interval {
			t.Errorf("%v: %v, %v", rtt, q.target, q.interval)
		}
	}
}

// A farConn says how far it goes.
type farConn struct {
	*tlsconn.Plain
	rtt time.Duration
}

func (c farConn) RTT() time.Duration { return c.rtt }

func TestCoDelLeavesShortAndQuickQueuesAlone(t *testing.T) {
	for name, c := range map[string]struct{ wait, waiting int }{
		"quick": {4, 100},    // milliseconds, packets
		"short": {1000, 1},   // one packet's worth, on a line however slow
		"empty": {100000, 0}, // nothing behind
	} {
		t.Run(name, func(t *testing.T) {
			q, dropped := newTestQueue(t)
			now := flowStart
			for i := range c.waiting {
				q.push(now, ipv4Header[:], udp(1, uint32(i), 1400))
			}
			for i := range 1000 {
				q.push(now, ipv4Header[:], udp(1, uint32(i), 1400))
				now = now.Add(time.Duration(c.wait) * time.Millisecond / time.Duration(max(1, c.waiting)))
				if p := q.pop(now); p != nil {
					q.release(p)
				}
			}
			if n := dropped.packets.Load(); n > 0 {
				t.Errorf("%d dropped", n)
			}
		})
	}
}

func TestFlowQueueDoesNotAllocate(t *testing.T) {
	q, _ := newTestQueue(t)
	p := udp(1, 0, 1400)
	step := func() {
		for range 100 {
			q.push(flowStart, ipv4Header[:], p)
		}
		for range 100 {
			q.release(q.pop(flowStart))
		}
	}
	step()
	if n := testing.AllocsPerRun(50, step); n > 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFlowQueue(b *testing.B) {
	q := newFlowQueue(new(counter))
	defer q.free()
	packets := make([][]byte, 64)
	for i := range packets {
		packets[i] = udp(uint16(i), 0, 1400)
	}
	now := time.Now()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		q.push(now, ipv4Header[:], packets[i%64])
		if i >= 64 {
			q.release(q.pop(now))
		}
	}
}
