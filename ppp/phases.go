package ppp

import (
	"errors"
	"time"
)

var errRenegotiated = errors.New("ppp: the far side renegotiates after the binding, which covers one authentication")

// linkUp: LCP is open, the authentication phase begins.
func (c *Conn) linkUp(now time.Time) {
	if c.phase >= phaseTerminate {
		return
	}
	c.phase, c.phaseBy = phaseAuthenticate, time.Time{}
	if c.debugs() {
		c.log.Debug("ppp: LCP open", "id", c.call.ID)
	}
	if c.cfg.Identification != "" {
		c.lcp.sendText(c.cfg.Identification)
	}
	c.authenticate(now)
}

// linkDown: LCP has left Opened. By a goodbye, everything above it is over; by a renegotiation, it begins again, if it
// may.
func (c *Conn) linkDown() {
	if c.phase >= phaseTerminate {
		return
	}
	now := time.Now()
	c.out.Store(nil)
	if s := c.lcp.state; s == stateClosing || s == stateStopping {
		c.ipcp.reset()
		c.ipv6cp.reset()
		c.byeFromPeer(now)
		return
	}
	if !mayRenegotiate(c.fc.Binds(), c.bindCalled) {
		c.end(now, &TerminatedError{Cause: UserError, Remote: true, Err: errRenegotiated})
		return
	}
	if c.restarts++; c.restarts > maxRounds {
		c.end(now, c.inPhase("LCP", errNoAgreement))
		return
	}
	c.ipcp.reset()
	c.ipv6cp.reset()
	c.auth.forget()
	c.lcp.restart()
	c.phase = phaseEstablish
	c.phaseBy = now.Add(linkTime)
	c.settleBy, c.settled = time.Time{}, false
}

// byeFromPeer notes that the far side said goodbye; its Terminate-Request is answered, and the transport is given a
// moment to end from there.
func (c *Conn) byeFromPeer(now time.Time) {
	if c.err == nil {
		c.err = c.refusal()
	}
	c.phase = phaseTerminate
	c.phaseBy = now.Add(goodbyeTime)
	c.stopWork()
}

// byeWhileOpening: a far side that gives up while LCP is negotiated says Terminate-Request, too. The automaton goes on
// asking (RFC 1661 section 4.1), for it may begin anew, but nobody should wait half a minute for what will not come.
func (c *Conn) byeWhileOpening(now time.Time) {
	if c.phase == phaseEstablish {
		c.gaveUp = true
		c.phaseBy = earliest(c.phaseBy, now.Add(goodbyeTime))
	}
}

// refusal is what a goodbye of the far side means in this phase.
func (c *Conn) refusal() error {
	if !c.isOpen() {
		theirs := "Terminate-Request"
		if c.byeText != "" {
			theirs += ": " + c.byeText
		}
		return c.failure(theirs, nil)
	}
	t := &TerminatedError{Cause: UserRequest, Remote: true, Reason: c.byeText}
	if !c.server {
		t.Cause = NASRequest
	}
	return t
}

// linkFinished: LCP is over, after a goodbye or because nobody answers.
func (c *Conn) linkFinished(why error) {
	if c.err == nil {
		switch {
		case why == nil:
			c.err = c.refusal()
		case errors.Is(why, errNoAnswer) && c.auth.asked == nil:
			c.err = &NegotiationError{Phase: "LCP", Remote: true, Ours: "Configure-Request", Theirs: "nothing", Err: why}
		case errors.Is(why, errNoAnswer):
			c.err = c.noCommonAuth(why)
		default:
			c.err = c.inPhase("LCP", why)
		}
	}
	c.out.Store(nil)
	c.phase = phaseDead
}

// inPhase makes a NegotiationError of an error that is none.
func (c *Conn) inPhase(name string, why error) error {
	var n *NegotiationError
	if errors.As(why, &n) {
		return why
	}
	return &NegotiationError{Phase: name, Remote: true, Err: why}
}

// mayReconfigure: a Configure-Request in Opened takes the layer down. For LCP that is a gate.
func (c *Conn) mayReconfigure(a *automaton) bool {
	if a.proto != protoLCP || mayRenegotiate(c.fc.Binds(), c.bindCalled) {
		return true
	}
	c.end(time.Now(), &TerminatedError{Cause: UserError, Remote: true, Err: errRenegotiated})
	return false
}
