package sstp

import "time"

// Timers are read deadlines. The stream's is the earliest of what ppp wants and what the call's state wants; it is
// armed late rather than exactly: while it is early, ReadFrames wakes for nothing once, and looks again. So packets
// that come cost no timer. Control packets are few, and an idle session has nothing else: they arm it anew, and it is not
// woken for nothing between two Echo Requests.

// due returns when the state's timer runs out: negotiation before the call is open, then Hello, then T1 or T2.
func (c *conn) due() time.Time {
	switch {
	case c.state != open:
		return c.timer
	case c.asked.IsZero():
		return c.heard.Add(c.hello)
	default:
		return c.asked.Add(c.hello)
	}
}

// arm sets the stream's deadline for a read that begins now. It reports false when the call is closed.
func (c *conn) arm(now time.Time) bool {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	if c.closed {
		return false
	}
	want := c.due()
	if !c.wanted.IsZero() && c.wanted.Before(want) {
		want = c.wanted
	}
	if c.armed.After(now) && !want.Before(c.armed) && !c.moved {
		return true
	}
	c.moved = false
	c.armed = want
	c.stream.SetReadDeadline(want)
	return true
}

// readExpired says whether the deadline that ppp set has passed.
func (c *conn) readExpired(now time.Time) bool {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	return !c.wanted.IsZero() && !c.wanted.After(now)
}

// expire runs the state's timer, if it has run out.
func (c *conn) expire(now time.Time) {
	if c.due().After(now) {
		return
	}
	switch c.state {
	case connecting, authenticating, held:
		c.abort(now, statusInfo{attrib: attrStatusInfo, status: StatusNegotiationTimeout}, nil)
	case open:
		if !c.asked.IsZero() {
			c.lost(errSilent) // without a Call Abort, section 3.1.6.3
			return
		}
		c.asked = now
		c.send(appendPlain(c.out[:0], msgEchoRequest))
	default:
		c.setState(down) // T1 or T2
	}
}
