package ppp

import (
	"encoding/binary"
	"net/netip"
)

// Link-local packets never leave their link, so no routing table can say where one goes: what a far side sends to this
// end's link-local address is answered here. That is the echo request; nothing else listens there.

const (
	protoICMPv6     = 58
	icmp6EchoAsk    = 128
	icmp6EchoAnswer = 129
)

// linkLocalPacket answers an ICMPv6 echo request (RFC 4443 section 4.1) in place, and drops the rest.
func (c *Conn) linkLocalPacket(p []byte, src, dst netip.Addr) {
	i := c.info.Load()
	if src != i.Peer6 || dst != i.Local6 || p[6] != protoICMPv6 || len(p) < 48 || p[40] != icmp6EchoAsk {
		return
	}
	if checksum6(p) != 0 || !c.mayAnswerEcho() {
		return
	}
	copy(p[8:24], dst.AsSlice())
	copy(p[24:40], src.AsSlice())
	p[7] = 64
	p[40] = icmp6EchoAnswer
	p[42], p[43] = 0, 0
	binary.BigEndian.PutUint16(p[42:], checksum6(p))
	c.echo[0] = p
	c.Write(c.echo[:], 0)
	c.echo[0] = nil
}

// checksum6 is the checksum of an ICMPv6 packet over its pseudo-header (RFC 8200 section 8.1); 0 for one that is right.
func checksum6(p []byte) uint16 {
	sum := uint64(protoICMPv6) + uint64(len(p)-40)
	for b := p[8:]; len(b) > 0; b = b[2:] {
		if len(b) == 1 {
			sum += uint64(b[0]) << 8
			break
		}
		sum += uint64(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
