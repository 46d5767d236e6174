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
func (c *Conn) takeEarly(now time.Time, to func(bufs [][]byte, offset int) (int, error)) {
	early := c.early
	c.early = nil
	if early != nil && c.phase == phaseOpen {
		c.take(now, early.frames, to)
	}
}

// A heldControl is a packet of a network control protocol that came behind the server's EAP Success, while Config.EAP,
// which runs beside R, has not said yet that it is content. Dropped, it would cost the server's restart timer of 3 s.
type heldControl struct {
	proto uint16
	pkt   []byte
}

const (
	maxHeld      = 8 // each protocol has sent one Configure-Request, seldom more
	maxHeldBytes = 2 << 10
)

// holdControl keeps a copy of such a packet until the network phase.
func (c *Conn) holdControl(proto uint16, pkt []byte) bool {
	p, ok := c.auth.prover.(*eapProver)
	if !ok || !p.success || proto != protoIPCP && proto != protoIPV6CP || len(p.held) >= maxHeld {
		return false
	}
	n := len(pkt)
	for _, h := range p.held {
		n += len(h.pkt)
	}
	if n > maxHeldBytes {
		return false
	}
	p.held = append(p.held, heldControl{proto, bytes.Clone(pkt)})
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
	p, ok := c.auth.prover.(*eapProver)
	if !ok {
		return
	}
	held := p.held
	p.held = nil
	for _, h := range held {
		if c.phase < phaseNetwork || c.phase > phaseOpen {
			return
		}
		a := &c.ipcp.automaton
		if h.proto == protoIPV6CP {
			a = &c.ipv6cp.automaton
		}
		c.network(now, a, h.pkt)
	}
}
