package ppp

import (
	"errors"
	"slices"
	"time"
)

var errRenegotiated = errors.New("ppp: the far side renegotiates after the binding, which covers one authentication")

// linkUp: LCP is open, the authentication phase begins.
func (c *Conn) linkUp(now time.Time) {
	if c.phase >= phaseTerminate {
		return
	}
	c.phase = phaseAuthenticate
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
	c.ipcp.reset()
	c.ipv6cp.reset()
	c.auth.forget()
	c.lcp.restart()
	c.phase = phaseEstablish
}

// byeFromPeer notes that the far side said goodbye; its Terminate-Request is answered, and the transport is given a
// moment to end from there.
func (c *Conn) byeFromPeer(now time.Time) {
	if c.err == nil {
		c.err = c.refusal()
	}
	c.phase = phaseTerminate
	c.goodbyeBy = now.Add(goodbyeTime)
	c.openBy, c.settleBy, c.endAt, c.echoAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	c.stop()
}

// refusal is what a goodbye of the far side means in this phase.
func (c *Conn) refusal() error {
	switch {
	case c.info.Load() != nil:
		t := &TerminatedError{Cause: UserRequest, Remote: true}
		if !c.server {
			t.Cause = NASRequest
		}
		return t
	case c.phase <= phaseEstablish && len(c.auth.asked) > 0:
		return c.noCommonAuth()
	}
	if v := c.auth.verifier; v != nil && v.refused() != nil {
		return v.refused() // it could have tried again
	}
	return &NegotiationError{Phase: c.phaseName(), Remote: true, Theirs: "Terminate-Request"}
}

// linkFinished: LCP is over, after a goodbye or because nobody answers.
func (c *Conn) linkFinished(why error) {
	if c.err == nil {
		switch {
		case why == nil:
			c.err = c.refusal()
		case errors.Is(why, errNoAnswer):
			c.err = &NegotiationError{Phase: "LCP", Remote: true, Ours: "Configure-Request", Theirs: "nothing", Err: why}
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

// bind hands the keys to the transport and opens the network phase.
func (c *Conn) bind(now time.Time) {
	send, recv := c.auth.sendKey, c.auth.recvKey
	c.bindCalled = true
	if err := c.fc.Bind(send, recv); err != nil {
		c.end(now, err)
		return
	}
	c.phase = phaseNetwork
	c.openBy = now.Add(networkTime)
	if c.server {
		c.needAddress(true)
	}
	if !c.cfg.NoIPv4 {
		c.ipcp.open(now)
		c.ipcp.automaton.up(now)
	}
	if !c.cfg.NoIPv6 {
		c.ipv6cp.open(now)
		c.ipv6cp.automaton.up(now)
	}
}

// networkUp: a network protocol has opened.
func (c *Conn) networkUp(now time.Time) {
	if c.settleBy.IsZero() {
		// The other protocol gets a moment: a peer that does not speak it may say nothing at all.
		c.settleBy = now.Add(2 * time.Second)
		if !c.ipcp.opened() && !c.cfg.NoIPv4 {
			c.settleBy = now.Add(3 * restartTime)
		}
	}
	if c.phase == phaseOpen {
		c.publish()
		return
	}
	c.checkOpen(now)
}

// networkDown: a network protocol has left Opened.
func (c *Conn) networkDown() {
	if c.phase == phaseOpen {
		c.publish()
	}
}

// networkFinished: a network protocol is over; without any, so is the link.
func (c *Conn) networkFinished(a *automaton, why error) {
	if why != nil {
		c.auth.networkErr = why
		if c.auth.networkErr == errNoAnswer {
			c.auth.networkErr = &NegotiationError{Phase: protoName(a.proto), Remote: true, Err: why}
		}
	}
	if c.phase != phaseNetwork && c.phase != phaseOpen {
		return
	}
	if c.alive(&c.ipcp.automaton) || c.alive(&c.ipv6cp.automaton) {
		return
	}
	now := time.Now()
	switch {
	case c.phase == phaseOpen:
		c.end(now, &TerminatedError{Cause: UserRequest, Remote: true, Reason: "no network protocol is left"})
	case c.addr.err != nil:
		c.end(now, &NegotiationError{Phase: "IPCP", Err: c.addr.err, Hint: "give the user an address, or the pool more"})
	case c.auth.networkErr != nil:
		c.end(now, c.inPhase(protoName(a.proto), c.auth.networkErr))
	default:
		c.end(now, &NegotiationError{Phase: protoName(a.proto), Remote: true, Theirs: "the far side refuses every network protocol"})
	}
}

// alive reports whether a network protocol is open or may still open.
func (c *Conn) alive(a *automaton) bool {
	return a.state >= stateReqSent || a.state == stateStopped && a.held != nil
}

// protocolGone: the peer rejects a protocol.
func (c *Conn) protocolGone(now time.Time, proto uint16) {
	switch proto {
	case protoIPCP, protoIPv4:
		c.ipcp.fail(now, nil)
	case protoIPV6CP, protoIPv6:
		c.ipv6cp.fail(now, nil)
	case protoPAP, protoCHAP, protoEAP:
		c.end(now, &NegotiationError{Phase: protoName(proto), Remote: true, Theirs: "Protocol-Reject of what it agreed to"})
	}
}

// checkOpen opens the link when a network protocol is open, the transport is bound, and the other protocol has either
// opened too, or is over, or had its time.
func (c *Conn) checkOpen(now time.Time) {
	if c.phase != phaseNetwork || !c.fc.Bound() || !c.ipcp.opened() && !c.ipv6cp.opened() {
		return
	}
	waits := slices.ContainsFunc([]*automaton{&c.ipcp.automaton, &c.ipv6cp.automaton}, func(a *automaton) bool {
		return !a.opened() && c.alive(a)
	})
	if waits && !due(c.settleBy, now) {
		return
	}
	// What has not opened by now stays closed: what was agreed does not change after Open.
	for _, a := range [...]*automaton{&c.ipcp.automaton, &c.ipv6cp.automaton} {
		if !a.opened() {
			a.reset()
		}
	}
	c.opened(now)
}

// opened publishes what was agreed.
func (c *Conn) opened(now time.Time) {
	c.openBy, c.settleBy = time.Time{}, time.Time{}
	info := &Info{Call: &c.call, User: c.auth.user, Auth: c.auth.protocol, EAPType: c.auth.eapType, Client: c.client, MTU: c.sendMTU(), Opened: now}
	if c.ipcp.opened() {
		info.Local, info.Peer = c.ipcp.addr(), c.ipcp.peer
	}
	if c.ipv6cp.opened() {
		info.Local6, info.Peer6 = linkLocal(c.ipv6cp.id), linkLocal(c.ipv6cp.peerID)
	}
	c.info.Store(info)
	if s := c.cfg.Sessions; s != nil {
		if err := s.add(c); err != nil {
			c.info.Store(nil)
			c.end(now, err)
			return
		}
	}
	c.phase = phaseOpen
	c.lastUse = now
	c.lastTx.Store(now.UnixNano())
	c.applyGrant(now)
	c.scheduleEcho(now)
	c.log.Debug("ppp: link open", "id", c.call.ID, "user", info.User, "local", info.Local, "peer", info.Peer, "mtu", info.MTU)
}

// isOpen reports whether the link has been open.
func (c *Conn) isOpen() bool { return c.info.Load() != nil }
