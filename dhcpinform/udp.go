package dhcpinform

import (
	"encoding/binary"
	"net/netip"

	"github.com/dialway/dialway/internal/packet"
)

const (
	serverPort = 67
	clientPort = 68

	ipHeader  = 20
	udpHeader = 8
	headers   = ipHeader + udpHeader
	headroom  = 32 // for the headers of any link here
)

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// A datagram is UDP over IPv4. The payload is a part of the packet.
type datagram struct {
	src, dst         netip.Addr
	srcPort, dstPort uint16
	payload          []byte
	udp              []byte
}

// parseUDP reads a packet that is a whole UDP datagram over IPv4, with a right checksum if it has one (RFC 768): options
// taken from a broken packet would stay for as long as the session does.
func parseUDP(b []byte) (d datagram, ok bool) {
	p, ok := packet.ParseIPv4(b)
	if !ok || p[9] != packet.ProtoUDP || p.MF() || p.FragmentOffset() != 0 {
		return d, false
	}
	u := p.Payload()
	if len(u) < udpHeader {
		return d, false
	}
	n := int(binary.BigEndian.Uint16(u[4:]))
	if n < udpHeader || n > len(u) {
		return d, false
	}
	u = u[:n]
	d = datagram{p.Src(), p.Dst(), binary.BigEndian.Uint16(u), binary.BigEndian.Uint16(u[2:]), u[udpHeader:], u}
	if binary.BigEndian.Uint16(u[6:]) != 0 && packet.Checksum(u, packet.PseudoSum(d.src, d.dst, packet.ProtoUDP, n)) != 0 {
		return d, false
	}
	return d, true
}

// seal computes the checksum after the ports or the payload have changed.
func (d datagram) seal() {
	d.udp[6], d.udp[7] = 0, 0
	sum := packet.Checksum(d.udp, packet.PseudoSum(d.src, d.dst, packet.ProtoUDP, len(d.udp)))
	if sum == 0 {
		sum = 0xffff // RFC 768: zero says that there is none
	}
	binary.BigEndian.PutUint16(d.udp[6:], sum)
}

// sealPacket fills in the headers of a datagram whose payload stands in b from offset+headers on.
func sealPacket(b []byte, offset int, src, dst netip.AddrPort) []byte {
	p := packet.IPv4(b[offset:])
	clear(p[:headers])
	p[0], p[8], p[9] = 0x45, 64, packet.ProtoUDP
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	p[6] = 0x40 // DF, so that no identification is needed: RFC 6864 section 4.1
	copy(p[12:], src.Addr().AsSlice())
	copy(p[16:], dst.Addr().AsSlice())
	p.SetChecksum()
	u := p[ipHeader:]
	binary.BigEndian.PutUint16(u, src.Port())
	binary.BigEndian.PutUint16(u[2:], dst.Port())
	binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
	datagram{src: src.Addr(), dst: dst.Addr(), udp: u}.seal()
	return b
}
