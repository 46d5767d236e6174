package ppp

import (
	"errors"
	"iter"
	"net/netip"
	"time"
)

// What the network phase waits for.
const (
	settleTime  = 2 * time.Second // for the other protocol, when IPCP is open: a peer that does not speak it may say nothing at all
	settleTime4 = 9 * time.Second // for IPCP, when the other one is: nobody wants to go without it
)

// minMTU6 is the smallest MTU that IPv6 runs over (RFC 8200 section 5).
const minMTU6 = 1280

// An agreed is what an open link has agreed. It is not modified.
type agreed struct {
	Info
	servers servers
	six     []netip.Prefix // the far side's, from the pool
}

// bind hands the keys to the transport and opens the network phase.
func (c *Conn) bind(now time.Time) {
	if c.debugs() {
		c.log.Debug("ppp: authenticated", "id", c.call.ID, "by", c.auth.protocol, "user", c.auth.user)
	}
	send, recv := c.auth.takeKeys()
	c.bindCalled = true
	if fc, ok := c.fc.(interface{ Authenticated(AuthProtocol) }); ok {
		fc.Authenticated(c.auth.protocol)
	}
	if err := c.fc.Bind(send, recv); err != nil {
		c.end(now, err)
		return
	}
	c.phase = phaseNetwork
	c.phaseBy = now.Add(networkTime)
	if c.server {
		c.needAddress(true)
	}
	c.ipcp.granted(c.grant.Load())
	for a := range c.networks() {
		a.open(now)
		a.up(now)
	}
	c.takeHeld(now)
}

// networks are the automata of the network protocols that are spoken on this link.
func (c *Conn) networks() iter.Seq[*automaton] {
	return func(yield func(*automaton) bool) {
		if !c.cfg.NoIPv4 && !yield(&c.ipcp.automaton) {
			return
		}
		if c.speaks6() {
			yield(&c.ipv6cp.automaton)
		}
	}
}

// speaks6 reports whether IPv6 may run on this link.
func (c *Conn) speaks6() bool { return !c.cfg.NoIPv6 && c.sendMTU() >= minMTU6 }

// networkUp: a network protocol has opened.
func (c *Conn) networkUp(now time.Time) {
	if c.phase == phaseOpen {
		if !mayAgreeAgain(true, c.sameAddresses()) {
			c.end(now, &TerminatedError{Cause: UserError, Remote: true, Reason: "the far side wants other addresses"})
			return
		}
		c.publish()
		return
	}
	if c.settleBy.IsZero() && !c.settled {
		c.settleBy = now.Add(settleTime)
		if !c.ipcp.opened() && !c.cfg.NoIPv4 {
			c.settleBy = now.Add(settleTime4)
		}
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
		c.networkErr = c.inPhase(protoName(a.proto), why)
	}
	if c.phase != phaseNetwork && c.phase != phaseOpen {
		return
	}
	now := time.Now()
	for a := range c.networks() {
		if a.alive() {
			c.checkOpen(now)
			return
		}
	}
	switch {
	case c.phase == phaseOpen:
		c.end(now, &TerminatedError{Cause: UserRequest, Remote: true, Reason: "no network protocol is left", Err: c.networkErr})
	case c.networkErr != nil:
		c.end(now, c.networkErr)
	default:
		c.end(now, &NegotiationError{Phase: protoName(a.proto), Remote: true, Theirs: "the far side refuses every network protocol"})
	}
}

// protocolGone: the peer rejects a protocol.
func (c *Conn) protocolGone(now time.Time, proto uint16) {
	switch proto {
	case protoIPCP, protoIPv4:
		c.ipcp.fail(now, nil)
	case protoIPV6CP, protoIPv6:
		c.ipv6cp.fail(now, nil)
	case protoPAP, protoCHAP, protoEAP:
		if c.phase == phaseAuthenticate {
			c.end(now, &NegotiationError{Phase: protoName(proto), Remote: true, Theirs: "Protocol-Reject of what it agreed to"})
		}
	}
}

// checkOpen opens the link when a network protocol is open, the transport is bound, and the other protocol has either
// opened too, or is over, or had its time.
func (c *Conn) checkOpen(now time.Time) {
	if c.phase != phaseNetwork || !c.fc.Bound() || !c.ipcp.opened() && !c.ipv6cp.opened() || c.addr.asking {
		return
	}
	for a := range c.networks() {
		if !a.opened() && a.alive() && !c.settled {
			return
		}
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
	c.phaseBy, c.settleBy = time.Time{}, time.Time{}
	switch again := c.isOpen(); {
	case !mayAgreeAgain(again, again && c.sameAddresses()):
		c.end(now, &TerminatedError{Cause: UserError, Remote: true, Reason: "the far side wants other addresses"})
		return
	case !again:
		if err := c.agree(now); err != nil {
			c.end(now, err)
			return
		}
	}
	c.phase = phaseOpen
	c.lastUse = now
	c.lastTx.Store(now.UnixNano())
	c.applyGrant(now)
	c.scheduleEcho(now)
	c.scratch, c.frame = nil, nil // an idle link keeps nothing of its making
	if !c.hasCredentials() {
		c.auth.book = challengeBook{} // who proves nothing answers no challenge
	}
	i := c.info.Load()
	if c.networkErr != nil { // of one protocol, while the other opened
		c.log.Warn("ppp: a network protocol is missing", "id", c.call.ID, "user", i.User, "why", c.networkErr)
	}
	if c.debugs() {
		c.log.Debug("ppp: link open", "id", c.call.ID, "user", i.User, "local", i.Local, "peer", i.Peer, "mtu", i.MTU)
	}
}

// agree fills Info in and lists the session.
func (c *Conn) agree(now time.Time) error {
	i := &agreed{six: c.addr.six}
	i.Info = Info{
		Call: &c.call, User: c.auth.user, Claimed: c.auth.claimed, Auth: c.auth.protocol, EAPType: c.auth.eapType, Client: c.client,
		MTU: c.sendMTU(), Opened: now,
	}
	if c.ipcp.opened() {
		i.Local, i.Peer = c.ipcp.addr(), c.ipcp.peer
		i.servers = c.ipcp.servers
	}
	if c.ipv6cp.opened() {
		i.Local6, i.Peer6 = linkLocal(c.ipv6cp.id), linkLocal(c.ipv6cp.peerID)
	}
	c.info.Store(i)
	if s := c.cfg.Sessions; s != nil {
		if err := s.add(c); err != nil {
			c.info.Store(nil)
			return err
		}
	}
	return nil
}

// sameAddresses reports whether what is open now has agreed to what Info says: routes, filters and accounting of a link
// stand on its addresses, so a network protocol may be negotiated again, but only to the same end.
func (c *Conn) sameAddresses() bool {
	i := c.info.Load()
	if c.ipcp.opened() && (c.ipcp.addr() != i.Local || c.ipcp.peer != i.Peer) {
		return false
	}
	return !c.ipv6cp.opened() || linkLocal(c.ipv6cp.id) == i.Local6 && linkLocal(c.ipv6cp.peerID) == i.Peer6
}

// isOpen reports whether the link has been open.
func (c *Conn) isOpen() bool { return c.info.Load() != nil }

// errNoAddress refuses IPCP to a far side that asks for an address.
var errNoAddress = errors.New("no address for the far side: neither Grant.Addr nor Config.Pool has one")
