package tlsconn

import "time"

// A pacer keeps the queue short that this end's own TCP makes at the line's narrowest place. A loss-based congestion
// control fills whatever buffer it finds there, and what is in it can neither be dropped nor overtaken. So while W has a
// backlog, what TCP may hold is bounded to what the line carries in its round trip and paceMargin more:
//
//	         the rate is steady, and the round trip long          it costs throughput, or does not help
//	free ───────────────────────────────────────────▶ bound ──────────────────────────────────────────▶ crowded
//	 ▲  ▲    a bound that large bounds nothing           │                                                 │
//	 │  └────────────────────────────────────────────────┘              after a while                      │
//	 └─────────────────────────────────────────────────────────────────────────────────────────────────────┘
//
// Crowded means that others fill that buffer, and who holds back gets nothing beside them; or that the round trip is long
// for another reason than a queue (a radio, a busy processor), and a bound would only be in the way.
//
// It is W's.
type pacer struct {
	sock  pacedSocket
	state paceState
	until time.Time // crowded is over

	last   time.Time // of the observation before
	since  time.Time // the sample's begin
	acked  uint64    // by then
	rates  [3]uint64 // of the last samples, bytes per second
	bound  int       // bytes
	before uint64    // the rate without it, at least
	behind time.Time // since when it has not been good; zero: it is
}

// A pacedSocket is what a pacer needs of TCP.
type pacedSocket interface {
	path() (p path, ok bool)
	limit(bytes int) bool // how much it may hold, sent or not; 0: as the system likes. false: that cannot be said
}

// A path is what TCP knows of the way to the far side.
type path struct {
	acked       uint64        // bytes so far
	rtt, minRTT time.Duration // smoothed now, and the shortest of late
	varies      time.Duration // rtt, by so much
}

// margin is how much of queue is let be: what rtt varies by is no queue.
func (p path) margin() time.Duration { return max(paceMargin, 2*p.varies) }

type paceState uint8

const (
	paceFree paceState = iota
	paceBound
	paceCrowded
)

const (
	paceSample  = 50 * time.Millisecond // at least, and a round trip
	paceGap     = 10 * time.Millisecond // longer between two observations, and there may have been nothing to send
	paceMargin  = 10 * time.Millisecond // of queue: with less a line may run dry
	paceCrowd   = 60 * time.Millisecond // of queue: more cannot be this connection's alone
	paceBehind  = time.Second           // what this connection had in the queue has left by then
	paceRelease = 10 * time.Second      // how long crowded lasts
	paceMin     = 12 << 10              // bytes: enough packets to notice a loss by, whatever the rate
	paceMax     = 1 << 20
)

// slowRate is the rate, in bytes per second, below which a batch of 128 KiB delays what comes after it by more than 10 ms.
const slowRate = 100e6 / 8

// observe is called whenever W is about to wait. rate is that of the line; 0: nothing new is known.
func (p *pacer) observe(now time.Time) (rate uint64) {
	away := now.Sub(p.last) > paceGap
	p.last = now
	if away {
		p.since = time.Time{}
	}
	if !p.since.IsZero() && now.Sub(p.since) < paceSample {
		return 0
	}
	is, ok := p.sock.path()
	if !ok {
		return 0
	}
	took := now.Sub(p.since)
	if p.since.IsZero() {
		p.since, p.acked = now, is.acked
		return 0
	}
	if took < is.rtt {
		return 0
	}
	rate = uint64(float64(is.acked-p.acked) / took.Seconds())
	p.since, p.acked = now, is.acked
	copy(p.rates[1:], p.rates[:2])
	p.rates[0] = rate
	p.step(now, is)
	return rate
}

// step follows the diagram.
func (p *pacer) step(now time.Time, is path) {
	queue := is.rtt - is.minRTT
	switch p.state {
	case paceCrowded:
		if now.Before(p.until) {
			return
		}
		p.state = paceFree
		fallthrough
	case paceFree:
		if steady := p.worst() > p.best()/4*3; steady && queue > is.margin() {
			p.before, p.behind = p.worst(), time.Time{}
			p.set(is)
		}
	case paceBound:
		p.before = max(p.before, p.worst())
		switch {
		case queue < paceCrowd && p.best() > p.before/4*3:
			p.behind = time.Time{}
		case p.behind.IsZero():
			p.behind = now
		case now.Sub(p.behind) > paceBehind:
			p.sock.limit(0)
			p.state, p.until = paceCrowded, now.Add(paceRelease)
			return
		}
		p.set(is)
	}
}

// best and worst are of the last samples: one by itself may be off by what was acknowledged in a lump.
func (p *pacer) best() uint64  { return max(p.rates[0], p.rates[1], p.rates[2]) }
func (p *pacer) worst() uint64 { return min(p.rates[0], p.rates[1], p.rates[2]) }

// set bounds to what the line carries.
func (p *pacer) set(is path) {
	n := max(paceMin, int(float64(p.best())*(is.minRTT+is.margin()).Seconds()))
	if n > paceMax || !p.sock.limit(n) {
		n = 0
	}
	switch {
	case n > 0:
		p.state = paceBound
	case p.state == paceBound:
		p.sock.limit(0)
		p.state = paceFree
	}
	p.bound = n
}
