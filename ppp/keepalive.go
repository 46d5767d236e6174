package ppp

import "time"

// Keepalive: after Config.Echo of silence an Echo-Request (RFC 1661 section 5.8), then one each echoRetry; without any
// frame at all after maxEchoes of them the link is lost. Any frame counts as a sign of life.
const (
	defaultEcho = time.Minute
	echoRetry   = 10 * time.Second
	maxEchoes   = 4
)

// SetSilence sets how long the far side may send nothing until the link is lost: echoes ask it in time whether it is
// there. It takes the place of Config.Echo, for callers whose needs are known only after authentication; 0 gives way to
// that again. It may be called at any time.
func (c *Conn) SetSilence(d time.Duration) {
	c.silence.Store(int64(d))
	c.regran.Store(true)
	c.poke()
}

// A keeper is a FrameConn that may notice by itself that the far side is gone: two who ask cost twice as much.
type keeper interface{ KeepsAlive() bool }

func (c *Conn) echoTime() time.Duration {
	if d := time.Duration(c.silence.Load()); d > 0 {
		return max(d/(maxEchoes+1), d-maxEchoes*echoRetry) // the first question, and maxEchoes pauses
	}
	if c.cfg.Echo == 0 {
		if k, ok := c.fc.(keeper); ok && k.KeepsAlive() {
			return 0
		}
		return defaultEcho
	}
	return c.cfg.Echo
}

// heard notes a sign of life. The timer is not moved here, once per batch would be dear: it looks at lastRx when due.
func (c *Conn) heard(now time.Time) {
	c.lastRx, c.echoes = now, 0
}

// A forsaker is a FrameConn whose Close waits for the far side, unless it is told that it is gone.
type forsaker interface{ Forsake() }

// forsake ends the link of a far side that has answered nothing for too long: it is told, since it may hear, but nobody
// waits for what it says to that.
func (c *Conn) forsake(now time.Time) {
	c.end(now, &TerminatedError{Cause: LostCarrier, Remote: true, Reason: "no answer to LCP echoes"})
	if f, ok := c.fc.(forsaker); ok {
		f.Forsake()
	}
	c.phase = phaseDead
}

func (c *Conn) scheduleEcho(now time.Time) {
	if t := c.echoTime(); t > 0 {
		c.echoAt = c.lastRx.Add(t)
		if c.echoes > 0 {
			c.echoAt = now.Add(min(t, echoRetry))
		}
	}
}

func (c *Conn) tickOpen(now time.Time) {
	if due(c.echoAt, now) {
		if c.echoes == 0 && now.Sub(c.lastRx) < c.echoTime() {
			c.scheduleEcho(now)
		} else if c.echoes >= maxEchoes {
			c.forsake(now)
			return
		} else {
			c.lcp.sendEcho()
			c.echoes++
			c.scheduleEcho(now)
		}
	}
	if due(c.endAt, now) {
		c.end(now, &TerminatedError{Cause: SessionTimeout, Reason: "Grant.SessionTimeout is over"})
		return
	}
	if due(c.idleBy, now) {
		c.scheduleIdle()
	}
	if due(c.idleBy, now) {
		c.end(now, &TerminatedError{Cause: IdleTimeout, Reason: "no packet within Grant.IdleTimeout"})
	}
}

// scheduleIdle sets when to look whether the link is idle: packets do not move that time, they come too often.
func (c *Conn) scheduleIdle() {
	g := c.grant.Load()
	if g == nil || g.IdleTimeout <= 0 {
		c.idleBy = time.Time{}
		return
	}
	last := c.lastUse
	if tx := time.Unix(0, c.lastTx.Load()); tx.After(last) {
		last = tx
	}
	c.idleBy = last.Add(g.IdleTimeout)
}

// identified keeps the texts a far side sends of itself (RFC 1570 section 2.1); Windows sends its version, its host's name
// and a correlation identifier that is no text.
func (c *Conn) identified(text string) {
	const most = 3 * maxText
	if text == "" || len(c.client)+len(text) > most || !printable(text) {
		return
	}
	if c.client != "" {
		c.client += " "
	}
	c.client += text
}

// printable reports whether cleanText left a text as it was, more or less.
func printable(text string) bool {
	dots := 0
	for i := range len(text) {
		if text[i] == '.' {
			dots++
		}
	}
	return dots*4 <= len(text)
}

// remaining: the far side says when it will end the session (RFC 1570 section 2.2).
func (c *Conn) remaining(now time.Time, seconds uint32, text string) {
	if seconds == 0xffffffff {
		return
	}
	c.log.Info("ppp: the far side will end the session", "id", c.call.ID, "in", time.Duration(seconds)*time.Second, "message", text)
}

// applyGrant puts the Grant's limits in force.
func (c *Conn) applyGrant(now time.Time) {
	c.endAt = time.Time{}
	if g := c.grant.Load(); g != nil {
		if g.SessionTimeout > 0 {
			c.endAt = c.Info().Opened.Add(g.SessionTimeout)
		}
		if c.idleBy.IsZero() {
			c.lastUse = now // what was sent was not noted
		}
		if c.inRate == nil && g.RateIn.Bits > 0 {
			c.inRate = new(bucket)
		}
		if c.inRate != nil {
			c.inRate.set(g.RateIn)
		}
	}
	c.scheduleIdle()
	c.publish()
}
