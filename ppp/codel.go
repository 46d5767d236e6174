package ppp

import (
	"math"
	"time"
)

// CoDel, RFC 8289: a queue whose packets have waited longer than codelTarget for a whole codelInterval drops from its
// head, the more often the longer that lasts.
const (
	codelTarget   = 5 * time.Millisecond
	codelInterval = 100 * time.Millisecond
)

type codel struct {
	above    time.Time // when the delay will have been above target for an interval; zero: it is below
	next     time.Time // of the next drop
	count    int       // drops since dropping began
	last     int       // count when it began last
	dropping bool
}

// pop takes the head of f, dropping what CoDel drops; nil: f is empty.
func (c *codel) pop(q *flowQueue, f *flow, now time.Time) *queued {
	p, late := c.shift(q, f, now)
	if c.dropping {
		if !late {
			c.dropping = false
		}
		for c.dropping && !now.Before(c.next) {
			p.free()
			c.count++
			if p, late = c.shift(q, f, now); !late {
				c.dropping = false
			} else {
				c.next = c.control(c.next)
			}
		}
		return p
	}
	if late {
		p.free()
		p, _ = c.shift(q, f, now)
		c.dropping = true
		// Dropping that stopped a moment ago goes on at the rate it had (RFC 8289 section 5.4).
		if delta := c.count - c.last; delta > 1 && now.Sub(c.next) < 16*codelInterval {
			c.count = delta
		} else {
			c.count = 1
		}
		c.last = c.count
		c.next = c.control(now)
	}
	return p
}

// shift takes the head and reports whether it may be dropped.
func (c *codel) shift(q *flowQueue, f *flow, now time.Time) (p *queued, late bool) {
	if f.head == nil {
		c.above = time.Time{}
		return nil, false
	}
	p = f.shift()
	q.bytes -= len(p.body())
	// A queue of less than a packet is never too long, whatever the link's speed.
	if now.Sub(p.at) < codelTarget || f.bytes <= flowQuantum {
		c.above = time.Time{}
		return p, false
	}
	if c.above.IsZero() {
		c.above = now.Add(codelInterval)
		return p, false
	}
	return p, !now.Before(c.above)
}

// control is the time of the next drop.
func (c *codel) control(t time.Time) time.Time {
	return t.Add(time.Duration(float64(codelInterval) / math.Sqrt(float64(max(c.count, 1)))))
}
