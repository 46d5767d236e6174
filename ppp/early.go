package ppp

import (
	"bytes"
	"time"
)

// maxEarly bounds what is kept for Serve.
const maxEarly = 32 << 10

// earlyFrames are packets that came before somebody served the link: a far side may send as soon as its own network
// protocol is open, while this end waits for the other one or for its Handler. Lost, they would cost a ping or a second
// of TCP's patience.
type earlyFrames struct {
	frames [][]byte
	bytes  int
}

// keepEarly keeps a copy of a data frame for Serve, if its protocol is open and the transport bound; what else a packet
// must be is examined when it is handed on.
func (c *Conn) keepEarly(proto uint16, f []byte) bool {
	ncp := &c.ipcp.automaton
	if proto == protoIPv6 {
		ncp = &c.ipv6cp.automaton
	}
	if c.phase != phaseNetwork && c.phase != phaseOpen || !mayPassData(ncp.opened(), c.fc.Bound()) {
		return false
	}
	if c.early == nil {
		c.early = new(earlyFrames)
	}
	if c.early.bytes+len(f) > maxEarly {
		return false
	}
	c.early.frames = append(c.early.frames, bytes.Clone(f))
	c.early.bytes += len(f)
	return true
}

// takeEarly hands on what was kept.
func (c *Conn) takeEarly(now time.Time) {
	early := c.early
	c.early = nil
	if early != nil && c.phase == phaseOpen {
		c.take(now, early.frames)
	}
}

// maxHeld bounds a request that is held before the far side is let in: one with all options of a protocol is far shorter.
const maxHeld = 1 << 10

// holdControl keeps a copy of a network protocol's Configure-Request until the network phase, if it comes from a far side
// that is through with authentication, while what runs beside R has not said yet that this end is, too: a client has had
// EAP's Success, but Config.EAP is not content yet; a server asks its Authenticator about the call alone. Dropped, it would
// cost the far side's restart timer of 3 s. Of each protocol the last one counts, as only its identifier is still waited for.
func (c *Conn) holdControl(proto uint16, pkt []byte) bool {
	s := &c.auth
	p, ok := s.prover.(*eapProver)
	if proved := s.proved || ok && p.success; !proved || !s.granted && s.verifier != nil {
		return false
	}
	if len(pkt) < packetHeaderLen || len(pkt) > maxHeld || pkt[0] != codeConfigureRequest {
		return false
	}
	switch proto {
	case protoIPCP:
		c.ipcp.held = bytes.Clone(pkt)
	case protoIPV6CP:
		c.ipv6cp.held = bytes.Clone(pkt)
	default:
		return false
	}
	return true
}

// impliedSuccess takes a network protocol's Configure-Request for the EAP Success that must have been in front of it: that
// is not acknowledged, and may be lost (RFC 3748 section 4.2). It counts for as much: nothing where the method is not
// through.
func (c *Conn) impliedSuccess(now time.Time, proto uint16, pkt []byte) {
	p, ok := c.auth.prover.(*eapProver)
	if !ok || c.phase != phaseAuthenticate || proto != protoIPCP && proto != protoIPV6CP || len(pkt) < packetHeaderLen || pkt[0] != codeConfigureRequest {
		return
	}
	if !p.success && mayTakeResult(p.response != nil, true) {
		p.ended(true)
		c.authStep(now)
	}
}

// takeHeld receives what was kept: authentication is through, and the network protocols are open.
func (c *Conn) takeHeld(now time.Time) {
	for _, a := range [...]*automaton{&c.ipcp.automaton, &c.ipv6cp.automaton} {
		if pkt := a.held; pkt != nil && c.phase >= phaseNetwork && c.phase <= phaseOpen {
			a.held = nil
			c.network(now, a, pkt)
		}
	}
}
