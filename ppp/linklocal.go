package ppp

import (
	"encoding/binary"

	"github.com/dialway/dialway/internal/packet"
)

// Link-local packets never leave their link, so no routing table can say where one goes. A far side that pings this end's
// link-local address is answered here; what else it says there, or to everybody (router solicitations, DHCPv6), is handed
// on for somebody who listens.

const (
	protoICMPv6     = 58
	icmp6EchoAsk    = 128
	icmp6EchoAnswer = 129
)

// isEchoRequest reports whether an IPv6 packet is an ICMPv6 echo request (RFC 4443 section 4.1) for this end.
func isEchoRequest(p []byte, own bool) bool {
	return own && p[6] == protoICMPv6 && len(p) >= 48 && p[40] == icmp6EchoAsk
}

// answerEcho answers an echo request in place. It is no use of the link: an idle one stays idle.
func (c *Conn) answerEcho(p []byte) {
	if checksum6(p) != 0 {
		c.drop()
		return
	}
	src, dst := [16]byte(p[8:24]), [16]byte(p[24:40])
	copy(p[8:24], dst[:])
	copy(p[24:40], src[:])
	p[7] = 64
	p[40] = icmp6EchoAnswer
	p[42], p[43] = 0, 0
	binary.BigEndian.PutUint16(p[42:], checksum6(p))
	c.echo[0] = p
	n, _ := c.fc.WriteFrames(ipv6Header[:], c.echo[:], 0)
	c.echo[0] = nil
	c.count(n, 1-n, n*len(p))
}

// checksum6 is the checksum of an ICMPv6 packet over its pseudo-header (RFC 8200 section 8.1); 0 for one that is right.
func checksum6(p []byte) uint16 {
	n := len(p) - 40
	return packet.Checksum(p[8:], uint64(protoICMPv6)+uint64(n)) // addresses and message stand in a row
}
