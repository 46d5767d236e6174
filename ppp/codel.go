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
const (
	codelTarget   = 5 * time.Millisecond
	codelInterval = 100 * time.Millisecond
)

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
				c.next = c.after(c.next)
			} else {
				c.dropping = false
			}
		}
	case late:
		q.drop(p)
		p, _ = q.head(f, now)
		c.dropping = true
		// Dropping that ended a moment ago goes on at the rate it had.
		if since := c.count - c.last; since > 1 && now.Sub(c.next) < 16*codelInterval {
			c.count = since
		} else {
			c.count = 1
		}
		c.last = c.count
		c.next = c.after(now)
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
	if now.Sub(p.since) < codelTarget || f.bytes <= flowQuantum {
		c.late = time.Time{}
		return p, false
	}
	if c.late.IsZero() {
		c.late = now.Add(codelInterval)
		return p, false
	}
	return p, !now.Before(c.late)
}

// after is when the drop after one at t is due.
func (c *codel) after(t time.Time) time.Time {
	return t.Add(time.Duration(float64(codelInterval) / math.Sqrt(float64(c.count))))
}
