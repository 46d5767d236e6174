package tlsconn

import "time"

// A pacer keeps the queue short that this end's own TCP makes at the line's narrowest place. A loss-based congestion
// control fills whatever buffer it finds there, and what is in it can neither be dropped nor overtaken. So while W has a
// backlog, what TCP may hold is bounded to what the line carries in its round trip and paceMargin more:
//
//	         the round trip has grown by paceMargin          by paceCrowd, all the same
//	free ───────────────────────────────────────▶ bound ────────────────────────────────▶ crowded
//	 ▲  ▲    a bound that large bounds nothing       │                                       │
//	 │  └────────────────────────────────────────────┘              after a while            │
//	 └───────────────────────────────────────────────────────────────────────────────────────┘
//
// Crowded means that others fill that buffer; who holds back gets nothing beside them.
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
	behind time.Time // since when the bound has not helped; zero: it does
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
}

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
	paceBehind  = time.Second           // of that: what this connection had in it has left by then
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
		if queue > paceMargin {
			p.behind = time.Time{}
			p.set(is)
		}
	case paceBound:
		switch {
		case queue < paceCrowd:
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

// set bounds to the best of the last samples.
func (p *pacer) set(is path) {
	rate := max(p.rates[0], p.rates[1], p.rates[2])
	n := max(paceMin, int(float64(rate)*(is.minRTT+paceMargin).Seconds()))
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
