package ppp

import (
	"math"
	"time"
)

// CoDel, RFC 8289: a queue whose packets have waited longer than codelTarget for a whole codelInterval drops from its
// head, the more often the longer that lasts.
//
//	          late for an interval: drop one
//	waiting ───────────────────────────────────▶ dropping, one each interval/sqrt(count)
//	        ◀───────────────────────────────────
//	           a packet that is in time
//
// RFC 8289 section 4.2 and 4.3 take 100 ms for the interval, as the longest usual round trip, and a twentieth for the
// target. Here more is known: the round trip of the connection below, which is that of all above it but for what is beyond
// the tunnel. A flow that leaves a third of its window after a drop runs dry where the target is much less than that of
// its round trip; nobody else waits for it, since each flow has its queue.
const (
	codelTarget   = 5 * time.Millisecond // at least
	codelMost     = 60 * time.Millisecond
	codelInterval = 100 * time.Millisecond // at least
)

// tune suits CoDel to a round trip; 0: it is not known.
func (q *flowQueue) tune(rtt time.Duration) {
	q.target = min(max(codelTarget, rtt*2/5), codelMost)
	q.interval = max(codelInterval, 2*rtt)
}

// A codel is the state of one queue.
type codel struct {
	dropping bool
	late     time.Time // when packets will have been late for an interval; zero: they are in time
	next     time.Time // of the next drop
	count    int       // drops since dropping began
	last     int       // count when it began
}

// codel takes the head of f, after what is to be dropped; nil: f is empty. RFC 8289 section 5.5.
func (q *flowQueue) codel(f *flow, now time.Time) *queued {
	c := &f.codel
	p, late := q.head(f, now)
	switch {
	case c.dropping && !late:
		c.dropping = false
	case c.dropping:
		for c.dropping && !now.Before(c.next) {
			q.drop(p)
			c.count++
			if p, late = q.head(f, now); late {
				c.next = c.after(c.next, q.interval)
			} else {
				c.dropping = false
			}
		}
	case late:
		q.drop(p)
		p, _ = q.head(f, now)
		c.dropping = true
		// Dropping that ended a moment ago goes on at the rate it had.
		if since := c.count - c.last; since > 1 && now.Sub(c.next) < 16*q.interval {
			c.count = since
		} else {
			c.count = 1
		}
		c.last = c.count
		c.next = c.after(now, q.interval)
	}
	return p
}

// head takes the head of f and reports whether it may be dropped. RFC 8289 section 5.6.
func (q *flowQueue) head(f *flow, now time.Time) (p *queued, late bool) {
	c := &f.codel
	if f.head == nil {
		c.late = time.Time{}
		return nil, false
	}
	p = q.shift(f)
	// A packet's worth in the queue is never too much, however slow the line.
	if now.Sub(p.since) < q.target || f.bytes <= flowQuantum {
		c.late = time.Time{}
		return p, false
	}
	if c.late.IsZero() {
		c.late = now.Add(q.interval)
		return p, false
	}
	return p, !now.Before(c.late)
}

// after is when the drop after one at t is due.
func (c *codel) after(t time.Time, interval time.Duration) time.Time {
	return t.Add(time.Duration(float64(interval) / math.Sqrt(float64(c.count))))
}
