package demanddial

import "time"

// hangUpCall ends a call from this end. It counts no more at once; its goodbye takes its time beside.
func (e *engine) hangUpCall(c *call, why error) {
	if !e.remove(c) {
		return
	}
	c.why = why
	c.link.Close()
	c.cancel(why)
}

// hangUp ends everything: calls, attempts, and what waits for them.
func (e *engine) hangUp(why error) {
	e.abortDial(why)
	for len(e.calls) > 0 {
		e.hangUpCall(e.calls[len(e.calls)-1], why)
	}
	e.hand, e.overridden = false, 0
	e.takeDemand()
	e.answer(why)
}

// hangUpDue ends calls whose time is over.
func (e *engine) hangUpDue(now time.Time) {
	for _, c := range append([]*call(nil), e.calls...) {
		if !c.closeAt.IsZero() && !now.Before(c.closeAt) {
			e.hangUpCall(c, errLoser)
		}
	}
	if !e.loseAt.IsZero() && !now.Before(e.loseAt) {
		e.loseAt = time.Time{}
		e.abortDial(errLoser)
	}
	e.lookOneWay(now)
	if t := e.idleAt(); !t.IsZero() && !now.Before(t) {
		c := e.current
		e.log.Info("idle", "for", e.idleTime(c))
		e.hangUpCall(c, errIdle)
		e.after(c, errIdle, now)
	}
}

// cutDialled ends what was dialled within the hours, when they end.
func (e *engine) cutDialled(now time.Time) {
	for _, c := range append([]*call(nil), e.calls...) {
		if c.dialled {
			e.log.Info("hours are over", "to", c.to)
			e.hangUpCall(c, errHours)
			e.after(c, errHours, now)
		}
	}
}

// idleTime returns the idle time-out of a call; 0: none.
func (i *Interface) idleTime(c *call) time.Duration {
	switch {
	case !c.dialled:
		return max(i.AnsweredIdle, 0)
	case i.Persistent:
		return 0
	}
	return max(orDefault(i.IdleTimeout, defaultIdle), 0)
}

// idleAt returns when the call in use has been idle for too long, if no packet comes; zero: never. Packets do not move a
// timer, they come too often: when it is due the time of the last one is looked at.
func (e *engine) idleAt() time.Time {
	if e.current == nil {
		return time.Time{}
	}
	d := e.idleTime(e.current)
	if d == 0 {
		return time.Time{}
	}
	return time.Unix(0, e.use.Load()).Add(d)
}

// soon is how long a call must live to count as one that worked.
const soon = time.Minute

// after decides what follows the end of a call.
func (e *engine) after(c *call, err error, now time.Time) {
	if c.why == nil {
		e.note(err, c.to)
		e.log.Info("disconnected", "dialled", c.dialled, "to", c.to, "err", err)
	}
	if len(e.calls) > 0 {
		e.settle(now)
		return
	}
	if e.busy() || e.Dial == nil {
		return
	}
	worked := !c.since.IsZero() && now.Sub(c.since) >= soon
	switch {
	case c.why == nil && !e.crossed.IsZero() && now.Sub(e.crossed) < bothGone:
		e.retryAt = now.Add(between(leastPause, mostPause)) // both calls are gone: see contest.go
	case c.why != nil || !e.Persistent && !(e.RedialLost && c.dialled && lost(err)):
		return // the next packet, or a Persistent interface's next look around
	case worked:
		e.short = 0
		e.retryAt = now.Add(between(leastPause, mostPause)) // all clients of a server that restarts lose it at once
	default:
		e.short++
		e.retryAt = now.Add(jitter(e.backoff(e.short)))
	}
}
