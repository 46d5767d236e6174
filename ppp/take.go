package ppp

import "time"

// take hands frames to the protocols they belong to, and runs of packets to whom Serve says. frames is R's until the next
// read, so packets that pass are moved together in place.
func (c *Conn) take(now time.Time, frames [][]byte) {
	pass, offset := frames[:0], 0
	for _, f := range frames {
		proto, n := parseFrame(f)
		if n == 0 {
			c.drop()
			continue
		}
		if proto == protoIPv4 || proto == protoIPv6 {
			size := dropped
			if c.to != nil {
				size = c.packet(now, proto, f[n:])
			} else if c.keepEarly(proto, f) {
				continue
			}
			if size <= 0 {
				if size == dropped {
					c.drop()
				}
				continue
			}
			if n != offset && len(pass) > 0 {
				c.pass(now, pass, offset)
				pass = pass[:0]
			}
			pass, offset = append(pass, f[:n+size:n+size]), n
			continue
		}
		// Control frames act where they stand among the packets.
		if len(pass) > 0 {
			c.pass(now, pass, offset)
			pass = pass[:0]
		}
		c.control(now, proto, f[n:])
		if c.phase == phaseDead {
			return
		}
	}
	if len(pass) > 0 {
		c.pass(now, pass, offset)
	}
}

// control is one frame of a control protocol, or of one that is not known.
func (c *Conn) control(now time.Time, proto uint16, pkt []byte) {
	c.trace("received", proto, pkt)
	if proto == protoLCP {
		c.lcp.receive(now, pkt)
		return
	}
	// RFC 1661 section 3.4: before LCP is open, anything else is silently discarded.
	if !c.lcp.opened() || c.phase >= phaseTerminate {
		c.drop()
		return
	}
	switch proto {
	case protoPAP, protoCHAP, protoEAP:
		c.method(now, proto, pkt)
		return
	}
	// Before authentication is through, too (section 3.5).
	if c.phase < phaseNetwork {
		c.impliedSuccess(now, proto, pkt)
	}
	if c.phase < phaseNetwork {
		if !c.holdControl(proto, pkt) {
			c.drop()
		}
		return
	}
	switch proto {
	case protoIPCP:
		c.network(now, &c.ipcp.automaton, pkt)
	case protoIPV6CP:
		c.network(now, &c.ipv6cp.automaton, pkt)
	default:
		c.drop()
		c.lcp.protocolReject(proto, pkt)
	}
}

// network is a packet of a network control protocol; one that is not spoken here, or no more, is rejected. Initial is the
// state of both: what was agreed at Open stays, so a protocol that was not there by then stays away.
func (c *Conn) network(now time.Time, a *automaton, pkt []byte) {
	switch {
	case a.state == stateInitial, a.state == stateStopped && c.phase == phaseOpen:
		c.lcp.protocolReject(a.proto, pkt)
	default:
		a.receive(now, pkt)
	}
}

// method gives an authentication packet to the direction it belongs to.
func (c *Conn) method(now time.Time, proto uint16, pkt []byte) {
	if len(pkt) < packetHeaderLen {
		c.drop()
		return
	}
	var m method
	if toVerifier(proto, pkt[0]) {
		if c.auth.verifier != nil {
			m = c.auth.verifier
		}
	} else if c.auth.prover != nil {
		m = c.auth.prover
	}
	if m == nil {
		c.drop()
		return
	}
	m.receive(now, pkt)
	c.authStep(now)
}

// toVerifier reports whether a packet is for the end that demands: PAP's Request (RFC 1334 section 2.2), CHAP's Response
// (RFC 1994 section 4) and Change-Password (RFC 2759 section 7), EAP's Response (RFC 3748 section 4).
func toVerifier(proto uint16, code byte) bool {
	switch proto {
	case protoPAP:
		return code == 1
	case protoCHAP:
		return code == 2 || code == 7
	}
	return code == 2
}

// drop counts a frame that goes nowhere.
func (c *Conn) drop() { c.rxDrops.Add(1) }

// sendPacket sends a control packet.
func (c *Conn) sendPacket(proto uint16, code, id byte, data []byte) {
	c.frame = appendPacket(appendHeader(c.frame[:0], proto), code, id, data)
	c.trace("sends", proto, c.frame[headerLen:])
	c.fc.WriteControl(c.frame) // an error ends the next read, too
}

// sendFrame sends a packet that is whole.
func (c *Conn) sendFrame(proto uint16, pkt []byte) {
	c.frame = append(appendHeader(c.frame[:0], proto), pkt...)
	c.trace("sends", proto, pkt)
	c.fc.WriteControl(c.frame)
}

// mtu is the largest packet this end wants.
func (c *Conn) mtu() int {
	mtu := c.cfg.MTU
	if mtu == 0 {
		mtu = defaultMTU
	}
	return max(minMRU, min(mtu, c.maxMRU()))
}

// defaultMTU is what Windows uses over SSTP.
const defaultMTU = 1400

// maxMRU is the largest packet that the transport carries.
func (c *Conn) maxMRU() int { return c.fc.MaxFrame() - headerLen }

// sendMTU is the largest packet to send: ours, unless the peer takes less.
func (c *Conn) sendMTU() int { return min(c.mtu(), c.lcp.peerMRU) }

// maxControl is the largest control packet to send: before LCP is open, what RFC 1661 section 6.1 lets an end assume.
func (c *Conn) maxControl() int {
	if !c.lcp.opened() {
		return min(defaultMRU, c.maxMRU())
	}
	return min(c.lcp.peerMRU, c.maxMRU())
}
