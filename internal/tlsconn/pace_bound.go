package tlsconn

import "time"

// A bound is what TCP may hold, sent or not. A loss-based congestion control fills whatever buffer it finds at the line's
// narrowest place. So what it may hold is bounded until the round trip is longer by some 10 ms than without a queue, and no
// more:
//
//	        there is a queue                      it stays, however little is held, and the rate falls instead
//	free ─────────────────────▶ bound ───────────────────────────────────────────────────────────────▶ crowded
//	 ▲ ▲                         │ ▲ │                                                                    │
//	 │ └─────────────────────────┘ └─┘ cut: there is a queue                                              │
//	 │   so much that it is none       grown: there is none, and the bound is what bounds                 │
//	 │                                 tried: now and then, whether more makes the rate higher            │
//	 └────────────────────────────────────────────────────────────────────────────────────────────────────┘
//	                      after 12 seconds; each time it was in vain, twice as long
//
// By Little's law, what is held is the rate times the round trip. Who is alone on the line and holds half as much has the
// same rate and half the round trip. If it is the rate that falls, the queue is of others, and who holds back gets nothing
// beside them; or the round trip is long for another reason (a radio, a busy processor, another route), and a bound would
// only be in the way. Where it is long by little, that little is lent for a while, beside the bound; where by much, there
// is none.
//
// Nothing here knows how many bytes on the line a bound makes: the kernel counts memory, of which a byte takes between one
// and two. So a bound is judged by what it does, when that has come back.
type bound struct {
	state paceState
	bytes int // 0: as many as the system likes

	turn    time.Duration // what the last change has done is not to be seen earlier
	change  paceChange    // the last
	rate    uint64        // then; while there is no bound, of the round trip before the last
	before  uint64        // of the one before that
	rtt     time.Duration // at the last change
	left    float64       // the part that the last cut has left
	full    int           // what was held before the first of several cuts
	long    bool          // the queue was long then: it was not only jitter
	strikes int           // how often in turn the rate has fallen with the bound
	growth  int           // how often in turn it has grown
	resent  uint64        // packets so far
	lossAt  time.Duration // when the last was seen
	room    int           // bytes beside the bound, for what has arrived behind a gap
	since   time.Duration // bound
	calm    time.Duration // when the queue was short last, or was seen to go
	lent    time.Duration // of queue
	until   time.Duration // lent, or crowded
	release time.Duration // how long crowded lasted; 0: there has been nobody else of late
}

type paceState uint8

const (
	paceFree paceState = iota
	paceBound
	paceCrowded
)

type paceChange uint8

const (
	paceNone paceChange = iota
	paceCut
	paceGrown
	paceTried
)

const (
	paceMargin = 10 * time.Millisecond // of queue is wanted: with less a line may run dry
	paceMost   = 60 * time.Millisecond // of queue, however slow the line
	paceLong   = 60 * time.Millisecond // of queue: jitter is less
	paceMin    = 8 << 10               // bytes: enough packets to notice a loss by, whatever the rate
	paceMax    = 4 << 20               // bytes: 300 Mbit/s for 100 ms; beyond, memory is the worse cost

	// A cut leaves what makes the queue as long as is wanted, and no less than a part: what was held is known within a factor
	// of two, and a queue may be of others.
	paceFirst = 0.25   // by the first cut: a line may have become slower
	paceNext  = 0.5    // by further ones
	paceWary  = 0.7    // by each, where it has been crowded: a little shows whether it still is
	paceFell  = 7. / 8 // of the rate, or of the round trip, has fallen
	paceTry   = 1. / 8 // is tried more, and kept if the rate rises by half of that

	paceLossy   = 2 * time.Second  // after a loss, and another may come
	paceStrikes = 3                // cuts that lower the rate: while a line becomes slower some do, though it is its own queue
	paceAlone   = time.Second      // and eight round trips: what this connection had in the queue has left by then
	paceTries   = time.Second / 2  // and eight round trips, from one try to the next
	paceRelease = 12 * time.Second // crowded, at first: beside others an inner connection takes long to come back
	paceLent    = 3 * time.Second  // lent
	paceStay    = 48 * time.Second // at last: beside others a bound costs a second, and without one there is a queue
	paceCalm    = 5 * time.Second  // bound for so long, and nobody else is here
)

// margin is how much of queue is wanted at a rate. What the round trip varies by is no queue, but it varies by what is done
// here, too. A few packets are always on their way.
func (p path) margin(rate uint64) time.Duration {
	few := time.Duration(paceMin / float64(rate+1) * float64(time.Second))
	return max(min(max(paceMargin, 2*p.varies), 2*paceMargin), min(few, paceMost))
}

// step follows the diagram; is and rate are of the last round trip, limited says that TCP has been waited for now and then.
// It reports whether the line has been found to be full.
func (b *bound) step(sock pacedSocket, at time.Duration, is path, rate uint64, limited bool) (full bool) {
	if b.state == paceCrowded && at >= b.until {
		b.state = paceFree
	}
	b.makeRoom(sock, at, is, rate)
	switch b.state {
	case paceFree:
		margin := is.margin(rate)
		// The bursts in which a transfer begins are no queue; cubic itself takes no notice of them. Nor is there one while the
		// rate still rises, unless it is long.
		if at-b.turn >= is.rtt {
			b.turn, b.rate, b.before = at, rate, b.rate
		}
		rises := float64(rate) > float64(b.before)*1.25
		least := max(margin*5/4, min(is.minRTT/4, 3*paceMargin))
		if b.lossy(at) {
			least = paceLong
		}
		if is.queue() <= least || is.held <= paceMin || rises && is.queue() < 3*paceMargin {
			return false
		}
		b.since, b.calm, b.lent, b.growth, b.change = at, at, 0, 0, paceNone
		b.begin(is, rate, is.held)
		b.cut(sock, at, is, rate, max(float64(rate)*(is.minRTT+margin).Seconds(), float64(is.held)*b.least()))
		return true
	case paceBound:
		if at >= b.turn {
			b.judge(sock, at, is, rate, limited)
		}
	}
	return false
}

// makeRoom makes room for what has arrived and waits at the far end for a packet that was lost: it is no longer on the line,
// but the kernel keeps it until it is acknowledged in order, and that takes a round trip more.
func (b *bound) makeRoom(sock pacedSocket, at time.Duration, is path, rate uint64) {
	if is.resent != b.resent {
		b.resent, b.lossAt = is.resent, at
	}
	room := 0
	if b.lossy(at) {
		room = int(float64(rate) * is.rtt.Seconds())
	}
	if b.room == 0 && room == 0 || room > 0 && room > b.room/4*3 && room < b.room/4*5 {
		return
	}
	b.room = room
	if b.state == paceBound {
		b.set(sock, float64(b.bytes))
	}
}

// lossy reports whether a packet has been lost of late.
func (b *bound) lossy(at time.Duration) bool { return b.lossAt > 0 && at-b.lossAt < paceLossy }

// judge looks at what the last change has done, and makes the next.
func (b *bound) judge(sock pacedSocket, at time.Duration, is path, rate uint64, limited bool) {
	queue, margin := is.queue(), is.margin(max(rate, b.rate))
	most := 2 * margin
	if b.lossy(at) {
		most = max(most, paceLong) // mending makes the round trip and the rate jump; a loss makes TCP's own window small
	}
	if at < b.until {
		most = max(most, b.lent*3/2)
	} else if at-b.since > paceCalm {
		b.release = 0
	}
	if queue <= most {
		b.calm = at
	}
	change := b.change
	b.change = paceNone
	switch change {
	case paceCut:
		if b.failed(sock, at, is, rate, most) {
			return
		}
	case paceTried:
		if more := try(b.growth); float64(rate) < float64(b.rate)*(1+more/2) && queue > margin/2 {
			b.set(sock, float64(b.bytes)/(1+more))
			b.growth = 0
		} else {
			b.growth++
		}
	}
	wanted := float64(is.minRTT+margin) / float64(is.rtt)
	switch {
	case queue > most:
		b.growth = 0
		if at-b.calm > max(paceAlone, 8*is.rtt) {
			b.giveUp(sock, at, is)
			return
		}
		held := min(float64(b.bytes), 1.5*float64(is.held))
		if change != paceCut {
			b.begin(is, rate, int(held))
		}
		least := b.least()
		if change == paceCut {
			least = max(least, paceNext)
		}
		b.cut(sock, at, is, rate, held*max(wanted, least))
	case !limited || 2*is.held < b.bytes:
		b.growth = 0 // it is not what bounds
	case queue < margin*3/4:
		more := max(wanted, 1+try(b.growth))
		b.growth++
		b.changed(paceGrown, at+is.rtt, is, rate)
		b.set(sock, float64(b.bytes)*more)
	case change == paceTried && b.growth > 0 || queue < margin*5/4 && at-b.turn > max(8*is.rtt, paceTries):
		b.changed(paceTried, at+2*is.rtt+2*paceSample, is, rate)
		b.set(sock, float64(b.bytes)*(1+try(b.growth)))
	case change != paceTried:
		b.growth = 0
	}
}

// try is how much more is tried after some tries that were good: a line that has become fast is found soon.
func try(good int) float64 { return float64(int(1)<<min(good, 2)) * paceTry }

// failed counts cuts that have lowered the rate, and reports whether they were the last for now.
func (b *bound) failed(sock pacedSocket, at time.Duration, is path, rate uint64, most time.Duration) bool {
	if float64(rate) >= float64(b.rate)*min((1+b.left)/2, paceFell) {
		b.strikes = 0
		if float64(is.rtt) < float64(b.rtt)*paceFell {
			b.calm = at // it was this connection's, and is on its way out
		}
		return false
	}
	b.strikes++
	switch {
	case b.long && b.strikes < paceStrikes && b.release == 0:
		return false
	case !b.long && is.queue() >= paceLong: // it has become so: a line that is slower now, or somebody else
		b.long, b.strikes = true, 0
		return false
	case b.long && is.queue() <= most: // whosever it was
		return false
	}
	b.giveUp(sock, at, is)
	return true
}

// begin comes before the first of several cuts. What is held may be more than the line has had time for.
func (b *bound) begin(is path, rate uint64, held int) {
	b.full = min(held, int(float64(rate)*is.rtt.Seconds()))
	b.strikes, b.long = 0, is.queue() >= paceLong
}

// least is how much of what is held the first cut leaves.
func (b *bound) least() float64 {
	if b.release > 0 {
		return paceWary
	}
	return paceFirst
}

func (b *bound) cut(sock pacedSocket, at time.Duration, is path, rate uint64, bytes float64) {
	// What is on its way now comes back first, and then the smoothed round trip has to follow.
	back := time.Duration(float64(is.held) / float64(rate+1) * float64(time.Second))
	turn := min(max(back, is.rtt), 3*is.rtt) + max(is.rtt/4, 4*paceSample)
	b.left = min(bytes/float64(is.held), 1)
	b.changed(paceCut, at+turn, is, rate)
	b.set(sock, bytes)
}

func (b *bound) changed(how paceChange, turn time.Duration, is path, rate uint64) {
	b.change, b.turn, b.rate, b.rtt = how, turn, rate, is.rtt
}

// giveUp lets a queue be, for a while, that does not become shorter with the bound.
func (b *bound) giveUp(sock pacedSocket, at time.Duration, is path) {
	b.strikes = 0
	if is.queue() < paceLong {
		b.lent, b.until, b.calm, b.turn = is.queue(), at+paceLent, at, at+is.rtt
		b.set(sock, float64(b.full))
		return
	}
	b.release = min(max(paceRelease, 2*b.release), paceStay)
	b.until = at + b.release
	sock.limit(0)
	b.state, b.bytes = paceCrowded, 0
}

// set sets the bound, or takes it away where it would be none.
func (b *bound) set(sock pacedSocket, bytes float64) {
	n := max(paceMin, int(bytes))
	if n > paceMax || !sock.limit(n+b.room) {
		n = 0
	}
	switch {
	case n > 0:
		b.state = paceBound
	case b.state == paceBound:
		sock.limit(0)
		b.state = paceFree
	}
	b.bytes = n
}
