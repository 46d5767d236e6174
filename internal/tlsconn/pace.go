package tlsconn

import (
	"sync/atomic"
	"time"
)

// A pacer watches what writing does to the line, and keeps short the queue that this end's own TCP makes at the line's
// narrowest place: what is in it can neither be dropped nor overtaken. See bound for how.
//
// It looks at TCP a few times in a round trip, while something is written, whether TCP is waited for or not: an inner
// connection whose window fits into what TCP takes fills the line's buffer, and nothing ever waits for TCP. So there is one
// for each connection that has written paceFrom, and none for the others. The lock of the sock guards it.
type pacer struct {
	sock  pacedSocket
	bound bound
	told  struct {
		room atomic.Int32 // of takes
		rtt  atomic.Int64 // time.Duration
	}

	epoch  time.Time           // of the times below
	last   time.Duration       // when something was written, or TCP had been waited for
	next   time.Duration       // nothing to be seen earlier
	fed    int                 // bytes written since marks[0]
	waited time.Duration       // for TCP, since marks[0]
	marks  [paceMarks]paceMark // latest first
	rtt    time.Duration
	line   uint64 // the rate, bytes per second, when TCP was waited for; 0: it has not been
	lowat  int    // 0: as it was
}

// A paceMark is what TCP said at a time. Its zero is none.
type paceMark struct {
	at    time.Duration
	acked uint64
	rtt   time.Duration
	held  int
}

// A pacedSocket is what a pacer needs of TCP.
type pacedSocket interface {
	path() (p path, ok bool)
	limit(bytes int) bool // how much it may hold, sent or not; 0: as the system likes. false: that cannot be said
	lowat(bytes int)      // how much it may hold that is not sent
	writable() bool       // it would not be waited for
}

// A path is what TCP knows of the way to the far side.
type path struct {
	acked       uint64        // bytes so far, those behind a gap as well
	rtt, minRTT time.Duration // smoothed now, and the shortest of late
	varies      time.Duration // rtt, by so much
	held        int           // bytes that have been sent and have neither arrived nor been lost
	resent      uint64        // packets so far
}

// queue is what the round trip is longer by than it need be.
func (p path) queue() time.Duration { return p.rtt - p.minRTT }

const (
	paceFrom   = 32 << 10               // bytes: most sessions are idle
	paceMarks  = 6                      // a round trip and a quarter
	paceSample = 10 * time.Millisecond  // between marks at least: a transfer that begins makes 10 ms of queue in 10 ms
	paceLump   = 8 << 10                // bytes between marks at least: less is no rate, and a thousand slow sessions stay cheap
	paceIdle   = 100 * time.Millisecond // and two round trips without writing, and there was nothing to write
)

// observe is called when n bytes have been given to TCP, or TCP has been waited for.
func (p *pacer) observe(now time.Time, n int, waited time.Duration) {
	if p.epoch.IsZero() {
		p.epoch = now.Add(-time.Hour) // so that no time is zero
	}
	at := now.Sub(p.epoch)
	if idle := at - p.last - waited; idle > max(paceIdle, 2*p.rtt) {
		p.marks, p.next, p.fed, p.waited = [paceMarks]paceMark{}, at, 0, 0
	}
	p.last = at
	p.fed += n
	p.waited += waited
	if at < p.next || p.fed < paceLump {
		return
	}
	is, ok := p.sock.path()
	if !ok {
		return
	}
	p.rtt = is.rtt
	rate, part := p.mark(at, is)
	if rate == 0 {
		return
	}
	if part > 0.5 || p.line > 0 && rate > p.line {
		p.line = rate
	}
	if p.bound.state == paceBound {
		is.rtt = min(is.rtt, p.marks[1].rtt) // what comes and goes is no queue
	}
	for _, m := range p.marks[1:4] {
		is.held = max(is.held, m.held) // while a loss is mended it may be little
	}
	if p.bound.step(p.sock, at, is, rate, part > 0.1) {
		p.line = rate
	}
	p.tell()
}

// mark adds a mark, and returns the rate over a round trip, 0: there has been none; and the part of the time since the last
// mark for which TCP has been waited for: it bounds the rate.
func (p *pacer) mark(at time.Duration, is path) (rate uint64, part float64) {
	if since := p.marks[0].at; since > 0 {
		part = float64(p.waited) / float64(at-since)
	}
	least := max(is.rtt, 2*paceSample)
	if p.bound.state == paceBound {
		least = max(least, 4*paceSample) // what is decided by it had better be exact
	}
	for _, m := range p.marks {
		if took := at - m.at; m.at > 0 && took >= least && is.acked >= m.acked {
			rate = uint64(float64(is.acked-m.acked) / took.Seconds())
			break
		}
	}
	copy(p.marks[1:], p.marks[:])
	p.marks[0] = paceMark{at, is.acked, is.rtt, is.held}
	p.next, p.fed, p.waited = at+max(paceSample, is.rtt/4), 0, 0
	return rate, part
}

// notSentLowat bounds the kernel's queue of bytes not sent yet: it is the largest part of a tunnel's delay under load,
// since what is in it can neither be dropped nor overtaken, and a short one costs no throughput. On a slow line it is
// shorter still, about 4 ms: at 5 Mbit/s 16 KiB take 26. A writer that waits is woken at half of it.
const (
	notSentLowat = 16 << 10
	notSentLeast = 4 << 10
)

// slowRate is the rate, in bytes per second, below which a batch of 128 KiB delays what comes after it by more than 10 ms.
const slowRate = 100e6 / 8

// What a TryWrite may be given: a packet at least, a batch at most.
const (
	minRoom = 2 << 10
	maxRoom = 128 << 10
)

// tell says what has been learned to those who write, and to TCP.
func (p *pacer) tell() {
	room, lowat := maxRoom, notSentLowat
	if p.line > 0 {
		for lowat > notSentLeast && uint64(lowat) > p.line/250 {
			lowat /= 2
		}
		if p.line < slowRate {
			room = max(minRoom, int(p.line/1000)) // a millisecond
		}
	}
	p.told.room.Store(int32(room))
	rtt := p.rtt
	if p.bound.lossy(p.last) {
		rtt *= 3
	}
	p.told.rtt.Store(int64(rtt))
	if lowat != p.lowat {
		p.sock.lowat(lowat)
		p.lowat = lowat
	}
}

// takes is how much a TryWrite may be given that delays nothing by much; 0: it had better wait, though TCP would take it.
func (p *pacer) takes() int {
	room := int(p.told.room.Load())
	switch {
	case room == 0: // nothing is known
		return maxRoom
	case room < maxRoom && !p.sock.writable():
		return 0
	}
	return room
}
