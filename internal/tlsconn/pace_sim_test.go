package tlsconn

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// A simLine is a line with a drop-tail buffer before it, simulated packet by packet.
type simLine struct {
	rate   float64       // bytes per second
	base   time.Duration // round trip without queue
	buffer time.Duration // how long a packet may wait
	loss   float64
	jitter time.Duration // a round trip takes up to so much longer, for a while
	rand   *rand.Rand

	until, extra, last time.Duration // of the jitter

	free    time.Duration // when the line has sent all it has
	carried int           // bytes
}

// carry sends a packet and returns when its acknowledgement, or the news that it is lost, is here.
func (l *simLine) carry(now time.Duration, size int) (back time.Duration, lost bool) {
	l.free = max(l.free, now)
	if l.free-now > l.buffer || l.loss > 0 && l.rand.Float64() < l.loss {
		return l.free + l.base, true
	}
	l.free += time.Duration(float64(size) / l.rate * float64(time.Second))
	l.carried += size
	back = l.free + l.base
	if l.jitter > 0 {
		if now > l.until {
			l.until, l.extra = now+time.Duration(l.rand.Int64N(int64(30*time.Millisecond))), time.Duration(l.rand.Int64N(int64(l.jitter)))
		}
		back = max(back+l.extra, l.last)
		l.last = back
	}
	return back, false
}

const (
	simMSS   = 1448
	simWrite = 4 << 10
	simTick  = 100 * time.Microsecond
)

// A simPacket is on its way.
type simPacket struct {
	sent, back time.Duration
	lost       bool
	number     int
	delivered  uint64 // when it was sent
}

// A simTCP is the sending end of a TCP connection, as Linux has it: its congestion control, its buffer and the rules by
// which it takes more. What it has no need of, it has not: a receiver's window, time-outs, acknowledgements that wait.
type simTCP struct {
	line   *simLine
	bbr    *simBBR // nil: cubic
	greedy bool    // always has more to send, and no bound
	fill   float64 // of the kernel's buffers, bytes of memory for a byte

	now           time.Duration
	window, after float64 // packets: congestion window, and the threshold of slow start
	most          float64 // cubic's: the window at the last loss
	lossAt        time.Duration
	mended        time.Duration // losses of packets sent before have been paid for
	way           []simPacket
	number        int          // of the next packet
	first         int          // that has not arrived
	beyond        map[int]bool // those that have, after it
	again         []int        // those that have been lost
	resent        uint64
	unsent        int
	acked         uint64
	rtt, minRTT   time.Duration
	varies        time.Duration
	sndbuf        int // as SO_SNDBUF is set; 0: large
	notSent       int // TCP_NOTSENT_LOWAT
	deny          bool
	bounds        int // how often bounded
}

func newSimTCP(l *simLine) *simTCP {
	return &simTCP{line: l, window: 10, after: math.Inf(1), fill: 1.25, minRTT: l.base, rtt: l.base, beyond: map[int]bool{}, notSent: notSentLowat, lossAt: -1}
}

func (t *simTCP) path() (path, bool) {
	return path{acked: t.acked, rtt: t.rtt, minRTT: t.minRTT, varies: t.varies, held: len(t.way) * simMSS, resent: t.resent}, true
}

func (t *simTCP) limit(n int) bool {
	if t.deny && n > 0 {
		return false
	}
	t.sndbuf = n
	t.bounds++
	return true
}

func (t *simTCP) lowat(n int) { t.notSent = n }

// writable is Linux's rule: a third of the buffer is free, and less than half of what may be unsent is.
func (t *simTCP) writable() bool {
	memory := t.fill * float64((t.number-t.first)*simMSS+t.unsent)
	return (t.sndbuf == 0 || memory <= 2./3*2*float64(t.sndbuf)) && t.unsent < t.notSent/2
}

// step takes what has come back by now, and sends what may be sent.
func (t *simTCP) step(now time.Duration) {
	t.now = now
	for len(t.way) > 0 && t.way[0].back <= now {
		p := t.way[0]
		t.way = t.way[1:]
		if p.lost {
			t.lose(p)
		} else {
			t.ack(p)
		}
	}
	for (t.unsent > 0 || t.greedy || len(t.again) > 0) && len(t.way) < int(t.window) && (t.bbr == nil || t.bbr.next <= now) {
		p := simPacket{sent: now, delivered: t.acked}
		p.back, p.lost = t.line.carry(now, simMSS+66)
		if len(t.again) > 0 {
			p.number, t.again = t.again[0], t.again[1:]
			t.resent++
		} else {
			p.number = t.number
			t.number++
			t.unsent = max(0, t.unsent-simMSS)
		}
		t.way = append(t.way, p)
		if t.bbr != nil {
			t.bbr.sent(now)
		}
	}
}

func (t *simTCP) ack(p simPacket) {
	rtt := p.back - p.sent
	for t.beyond[p.number] = true; t.beyond[t.first]; t.first++ {
		delete(t.beyond, t.first)
	}
	t.acked += simMSS
	t.minRTT = min(t.minRTT, rtt)
	diff := rtt - t.rtt
	t.rtt += diff / 8
	t.varies += (max(diff, -diff) - t.varies) / 4
	if t.bbr != nil {
		t.window = t.bbr.acked(t.now, rtt, float64(t.acked-p.delivered)/(t.now-p.sent).Seconds())
		return
	}
	if !t.greedy && len(t.way)+4 < int(t.window) {
		return // it is not what bounds
	}
	if t.window < t.after {
		t.window++
		return
	}
	s := (t.now - t.lossAt).Seconds()
	want := 0.4*math.Pow(s-math.Cbrt(t.most*0.3/0.4), 3) + t.most
	t.window += max(want-t.window, 0.5) / t.window
}

func (t *simTCP) lose(p simPacket) {
	t.again = append(t.again, p.number)
	if t.bbr != nil || p.sent < t.mended {
		return
	}
	t.mended, t.lossAt, t.most = t.now, t.now, t.window
	t.window = max(2, t.window*0.7)
	t.after = t.window
}

// A simBBR is what BBR does in the main: it paces by the fastest rate of late, and holds twice what that carries in the
// shortest round trip; every ten seconds it holds next to nothing for a while.
type simBBR struct {
	rates  [10]float64 // bytes per second, of the last round trips
	minRTT time.Duration
	minAt  time.Duration
	probe  time.Duration // until when it holds next to nothing
	round  time.Duration
	phase  int
	full   int // round trips in which it has not become faster
	best   float64
	next   time.Duration
}

func (b *simBBR) rate() float64 { return slices.Max(b.rates[:]) }

func (b *simBBR) gain() float64 {
	switch {
	case b.full < 3:
		return 2.89
	case b.full == 3:
		return 0.35
	}
	return [8]float64{1.25, 0.75, 1, 1, 1, 1, 1, 1}[b.phase%8]
}

func (b *simBBR) sent(now time.Duration) {
	if r := b.gain() * b.rate(); r > 0 {
		b.next = max(b.next, now-time.Millisecond) + time.Duration(simMSS/r*float64(time.Second))
	}
}

func (b *simBBR) acked(now, rtt time.Duration, rate float64) (window float64) {
	if b.minRTT == 0 || rtt < b.minRTT {
		b.minRTT, b.minAt = rtt, now
	}
	if now-b.minAt > 10*time.Second {
		b.minRTT, b.minAt, b.probe = rtt, now, now+200*time.Millisecond
	}
	b.rates[0] = max(b.rates[0], rate)
	if now > b.round {
		b.round = now + rtt
		switch {
		case b.full < 3 && b.rate() > b.best*1.25:
			b.best, b.full = b.rate(), 0
		case b.full < 4:
			b.full++
		default:
			b.phase++
		}
		copy(b.rates[1:], b.rates[:9])
		b.rates[0] = rate
	}
	if now < b.probe {
		return 4
	}
	return max(4, 2*b.rate()*b.minRTT.Seconds()/simMSS+3)
}

// A sim is a session that always has packets waiting, a ping among them, and perhaps others on its line.
type sim struct {
	line   *simLine
	tcp    *simTCP
	pacer  *pacer
	others []*simTCP
	now    time.Duration
	off    bool // it has nothing to send
	inner  int  // bytes that an inner connection has on its way at most: TCP is not waited for where it takes more; 0: any

	blocked time.Duration // since when it waits for TCP
	pinged  time.Duration // when the ping came that waits
	pings   []time.Duration
}

func newSim(rate float64, base, buffer time.Duration) *sim {
	s := &sim{line: &simLine{rate: rate, base: base, buffer: buffer, rand: rand.New(rand.NewPCG(1, 2))}, pinged: -1}
	s.tcp = newSimTCP(s.line)
	s.pacer = &pacer{sock: s.tcp}
	return s
}

func (s *sim) withBBR() *sim {
	s.tcp.bbr = new(simBBR)
	return s
}

func (s *sim) other() *simTCP {
	t := newSimTCP(s.line)
	t.greedy = true
	s.others = append(s.others, t)
	return t
}

var simStart = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// run lets time pass, and returns the rate of what this session and everybody had carried, of what the line could, and
// what a ping took beyond the line's round trip.
func (s *sim) run(d time.Duration) (part, all float64, p50, p99 time.Duration) {
	from, acked, carried := s.now, s.tcp.acked, s.line.carried
	s.pings = s.pings[:0]
	for end := s.now + d; s.now < end; s.now += simTick {
		for _, t := range s.others {
			t.step(s.now)
		}
		s.tcp.step(s.now)
		if s.pinged < 0 && s.now%(10*time.Millisecond) == 0 {
			s.pinged = s.now
		}
		fits := s.inner == 0 || len(s.tcp.way)*simMSS+s.tcp.unsent < s.inner
		for ; !s.off && fits && s.tcp.writable(); fits = s.inner == 0 || len(s.tcp.way)*simMSS+s.tcp.unsent < s.inner {
			waited := time.Duration(0)
			if s.blocked > 0 {
				waited = s.now - s.blocked
				s.blocked = 0
			}
			at := simStart.Add(s.now)
			s.pacer.observe(at, 0, waited)
			s.pacer.observe(at, simWrite, 0)
			s.tcp.unsent += simWrite
			s.tcp.step(s.now)
			if s.pinged >= 0 {
				// It leaves when what is not sent has been, at this rate, and what is in the line's buffer.
				queue := max(0, s.line.free-s.now) + time.Duration(float64(s.tcp.unsent)/s.line.rate*float64(time.Second))
				s.pings = append(s.pings, s.now-s.pinged+queue)
				s.pinged = -1
			}
		}
		switch {
		case s.off || !fits:
			s.blocked = 0
		case s.blocked == 0:
			s.blocked = s.now
		}
	}
	line := s.line.rate * (s.now - from).Seconds()
	slices.Sort(s.pings)
	if n := len(s.pings); n > 0 {
		p50, p99 = s.pings[n/2], s.pings[n*99/100]
	}
	return float64(s.tcp.acked-acked) * (simMSS + 66) / simMSS / line, float64(s.line.carried-carried) / line, p50, p99
}

// room is what the pacer says, whether TCP takes it now or not.
func room(s *sim) int {
	if n := int(s.pacer.told.room.Load()); n > 0 {
		return n
	}
	return maxRoom
}
