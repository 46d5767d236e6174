package ppp

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/internal/tlsconn"
)

// A line is a slow connection: what the near end writes is taken at a rate, from a short queue as the kernel's is with
// TCP_NOTSENT_LOWAT, and each packet's age is told when it has passed.
type line struct {
	near    *Stream
	far     *memnet.Conn
	bytes   int // a millisecond
	arrived func(port uint16, number uint32, age time.Duration)
	start   time.Time
	got     int // bytes of packets
}

func newLine(bitsPerSecond, queue int) *line {
	a, b := memPair(queue)
	return &line{near: NewStream(a, lengthFraming{}), far: b, bytes: bitsPerSecond / 8 / 1000, start: time.Now()}
}

// run takes what the rate allows, until the near end closes.
func (l *line) run() {
	var buf []byte
	for {
		b := make([]byte, l.bytes)
		n, err := l.far.TryRead(b)
		if err != nil {
			return
		}
		buf = append(buf, b[:n]...)
		for {
			f, n, _ := lengthFraming{}.NextFrame(buf)
			if n == 0 {
				break
			}
			buf = buf[n:]
			l.got += len(f)
			p := f[headerLen:]
			sent := l.start.Add(time.Duration(binary.BigEndian.Uint64(p[32:])))
			l.arrived(binary.BigEndian.Uint16(p[20:]), binary.BigEndian.Uint32(p[28:]), time.Since(sent))
		}
		time.Sleep(time.Millisecond)
	}
}

// send sends a packet with its time in it.
func (l *line) send(port uint16, number uint32, size int) {
	p := udp(port, number, size)
	binary.BigEndian.PutUint64(p[32:], uint64(time.Since(l.start)))
	l.near.WriteFrames(ipv4Header[:], [][]byte{p}, 0)
}

// A sender is a flow with a window that halves when a packet is lost and grows by one a round trip, as TCP's does.
type sender struct {
	line   *line
	port   uint16
	window float64
	next   uint32 // to be sent
	acked  uint32
	mend   uint32 // losses before it have been paid for

	mu   sync.Mutex
	acks []ack
	ages []time.Duration
}

// An ack is on its way back.
type ack struct {
	at     time.Time
	number uint32
}

const ackDelay = 10 * time.Millisecond

func (s *sender) run(until time.Time) {
	for time.Now().Before(until) {
		s.mu.Lock()
		for len(s.acks) > 0 && !s.acks[0].at.After(time.Now()) {
			s.ack(s.acks[0].number)
			s.acks = s.acks[1:]
		}
		s.mu.Unlock()
		for s.next-s.acked < uint32(s.window) {
			s.line.send(s.port, s.next, 1400)
			s.next++
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *sender) ack(number uint32) {
	if lost := number > s.acked; lost && number >= s.mend {
		s.window = max(2, s.window/2)
		s.mend = s.next
	} else if !lost {
		s.window += 1 / s.window
	}
	s.acked = number + 1
}

func (s *sender) arrived(number uint32, age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ages = append(s.ages, age)
	s.acks = append(s.acks, ack{time.Now().Add(ackDelay), number})
}

// quantile of what came in the second half.
func quantile(ages []time.Duration, q float64) time.Duration {
	a := slices.Sorted(slices.Values(ages[len(ages)/2:]))
	return a[min(len(a)-1, int(q*float64(len(a))))]
}

// TestDelayOnASlowLine: 20 Mbit/s, bulk transfers that fill whatever queue they find, and a ping. Neither waits long, and
// the line stays full.
func TestDelayOnASlowLine(t *testing.T) {
	for _, flows := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			l := newLine(20e6, 16<<10)
			until := time.Now().Add(8 * time.Second)
			senders := make([]*sender, flows)
			for i := range senders {
				senders[i] = &sender{line: l, port: uint16(i), window: 10}
			}
			var pings []time.Duration
			l.arrived = func(port uint16, number uint32, age time.Duration) {
				if port == 7 {
					pings = append(pings, age)
				} else {
					senders[port].arrived(number, age)
				}
			}
			passed := make(chan struct{})
			go func() { l.run(); close(passed) }()
			for _, s := range senders {
				go s.run(until)
			}
			for n := uint32(0); time.Now().Before(until); n++ {
				l.send(7, n, 84)
				time.Sleep(20 * time.Millisecond)
			}
			l.near.Close()
			<-passed
			synctest.Wait()
			var bulk []time.Duration
			for _, s := range senders {
				bulk = append(bulk, s.ages...)
			}
			goodput := float64(l.got) * 8 / 8 / 1e6
			dropped, _ := l.near.Dropped()
			t.Logf("%d flows: %.1f Mbit/s, bulk %v / %v, ping %v / %v, %d dropped", flows, goodput,
				quantile(bulk, .5), quantile(bulk, .99), quantile(pings, .5), quantile(pings, .99), dropped)
			if goodput < 17.5 {
				t.Errorf("%.1f of 20 Mbit/s", goodput)
			}
			// What is below the queue takes 8 ms: 16 KiB of the line's, 4 KiB of W's. CoDel's target is 5.
			if d := quantile(pings, .99); d > 12*time.Millisecond {
				t.Errorf("a ping takes %v", d)
			}
			if d := quantile(bulk, .5); d > 40*time.Millisecond {
				t.Errorf("bulk takes %v", d)
			}
			if dropped == 0 {
				t.Error("nothing was dropped: the queue was never full, or is endless")
			}
		})
	}
}

// TestRateDelays: packets leave at the rate, in order, and none is lost that CoDel would not drop; control frames do not
// wait for it; without a rate they leave at once.
func TestRateDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(1 << 20)
		near, far := NewStream(a, lengthFraming{}), NewStream(b, lengthFraming{})
		near.SetRate(Rate{Bits: 8 * 14000, Burst: 14000}) // ten packets a second
		var burst atomic.Int64                            // when it began
		began := time.Now()
		const packets = 40
		go func() {
			for i := range packets {
				near.WriteFrames(ipv4Header[:], [][]byte{udp(1, uint32(i), 1400)}, 0)
				time.Sleep(100 * time.Millisecond)
			}
			// A burst at once: 10 pass by the bucket, the rest at 10 a second.
			time.Sleep(10 * time.Second)
			burst.Store(int64(time.Since(began)))
			for i := range 14 {
				near.WriteFrames(ipv4Header[:], [][]byte{udp(1, uint32(packets+i), 1400)}, 0)
			}
			time.Sleep(time.Millisecond)
			near.WriteControl(control(20))
		}()
		want := 0
		var last, controlled time.Duration
		for want < packets+14 {
			frames, err := far.ReadFrames()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range frames {
				if f[2] == 0xc0 {
					controlled = time.Since(began) - time.Duration(burst.Load())
					continue
				}
				if n := int(binary.BigEndian.Uint32(f[headerLen+28:])); n != want {
					t.Fatalf("%d comes instead of %d", n, want)
				}
				want++
				last = time.Since(began) - time.Duration(burst.Load())
			}
		}
		if last < 290*time.Millisecond || last > 410*time.Millisecond {
			t.Errorf("the burst took %v", last)
		}
		if controlled > 2*time.Millisecond {
			t.Errorf("a control frame waited %v for the rate", controlled)
		}
		near.SetRate(Rate{})
		start := time.Now()
		for i := range 100 {
			near.WriteFrames(ipv4Header[:], [][]byte{udp(1, uint32(i), 1400)}, 0)
		}
		for n := 0; n < 100; {
			frames, err := far.ReadFrames()
			if err != nil {
				t.Fatal(err)
			}
			n += len(frames)
		}
		if d := time.Since(start); d > 0 {
			t.Errorf("without a rate: %v", d)
		}
		near.Close()
		far.Close()
		far.ReadFrames()
		wantBuffersBack(t)
	})
}

// A slowConn says that its line is slow.
type slowConn struct{ *tlsconn.Plain }

func (slowConn) Takes() int { return 2 << 10 }

// TestSlowLineGetsLittleAtOnce: what is encrypted can be neither dropped nor overtaken, so on a slow line a large batch
// waits as packets, though the connection would take it.
func TestSlowLineGetsLittleAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(1 << 20)
		s := NewStream(slowConn{tlsconn.NewPlain(a)}, lengthFraming{})
		batch := make([][]byte, 46)
		for i := range batch {
			batch[i] = udp(1, uint32(i), 1400)
		}
		s.mu.Lock()
		n, err := s.sendFrames(ipv4Header[:], batch, 0)
		s.mu.Unlock()
		if n != 2 || err != nil {
			t.Errorf("%d packets at once, %v", n, err)
		}
		if n, err = s.WriteFrames(ipv4Header[:], batch[n:], 0); n != 44 || err != nil {
			t.Errorf("%d taken, %v", n, err)
		}
		far := NewStream(b, lengthFraming{})
		for want := uint32(0); want < 46; {
			frames, err := far.ReadFrames()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range frames {
				if n := binary.BigEndian.Uint32(f[headerLen+28:]); n != want {
					t.Fatalf("%d comes instead of %d", n, want)
				}
				want++
			}
		}
		s.Close()
		far.Close()
		far.ReadFrames()
		wantBuffersBack(t)
	})
}
