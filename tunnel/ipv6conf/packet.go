package ipv6conf

import (
	"encoding/binary"
	"net/netip"

	"github.com/dialway/dialway/internal/packet"
)

const (
	headerLen = 40
	udpLen    = 8
	headroom  = 32   // for the headers of any link here
	minMTU    = 1280 // of every link that carries IPv6: RFC 8200 section 5

	ndHops = 255 // RFC 4861 section 3.1: what has been forwarded has less

	serverPort = 547 // RFC 8415 section 7.2
	clientPort = 546
)

var (
	allNodes   = netip.AddrFrom16([16]byte{0xff, 2, 15: 1})        // RFC 4291 section 2.7.1
	allRouters = netip.AddrFrom16([16]byte{0xff, 2, 15: 2})        // likewise
	allServers = netip.AddrFrom16([16]byte{0xff, 2, 13: 1, 15: 2}) // RFC 8415 section 7.1: ff02::1:2
)

// newPacket begins a packet behind headroom. What follows its header is appended; seal ends it.
func newPacket(src, dst netip.Addr, proto, hops byte) []byte {
	b := make([]byte, headroom+headerLen, headroom+minMTU)
	p := b[headroom:]
	p[0], p[6], p[7] = 0x60, proto, hops
	copy(p[8:], src.AsSlice())
	copy(p[24:], dst.AsSlice())
	return b
}

// seal fills in the length, and the checksum at an offset of the payload.
func seal(b []byte, at int) []byte {
	p := packet.IPv6(b[headroom:])
	u := p[headerLen:]
	binary.BigEndian.PutUint16(p[4:], uint16(len(u)))
	u[at], u[at+1] = 0, 0
	sum := packet.Checksum(u, packet.PseudoSum(p.Src(), p.Dst(), p[6], len(u)))
	if sum == 0 && p[6] == packet.ProtoUDP {
		sum = 0xffff // RFC 8200 section 8.1: zero says that there is none
	}
	binary.BigEndian.PutUint16(u[at:], sum)
	return b
}

// newICMP begins an ICMPv6 message of neighbour discovery; sealICMP ends it.
func newICMP(src, dst netip.Addr, typ byte) []byte {
	return append(newPacket(src, dst, packet.ProtoICMPv6, ndHops), typ, 0, 0, 0)
}

func sealICMP(b []byte) []byte { return seal(b, 2) }

// newUDP begins a datagram; sealUDP ends it.
func newUDP(src, dst netip.Addr, from, to uint16) []byte {
	b := newPacket(src, dst, packet.ProtoUDP, 64)
	b = binary.BigEndian.AppendUint16(b, from)
	b = binary.BigEndian.AppendUint16(b, to)
	return append(b, 0, 0, 0, 0)
}

func sealUDP(b []byte) []byte {
	u := b[headroom+headerLen:]
	binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
	return seal(b, 6)
}

// A message is what a packet carries. body is a part of the packet.
type message struct {
	src, dst netip.Addr
	typ      byte   // of ICMPv6
	to       uint16 // port of UDP
	body     []byte // behind the first four bytes of ICMPv6, behind UDP's header
}

// parseND reads a message of neighbour discovery whose header is right: RFC 4861 sections 6.1 and 7.1. Extension headers
// have no place in front of it, and fragments of it are refused (RFC 6980).
func parseND(b []byte) (m message, ok bool) {
	p, ok := packet.ParseIPv6(b)
	if !ok || p[6] != packet.ProtoICMPv6 || p.HopLimit() != ndHops || len(p) < headerLen+8 {
		return m, false
	}
	u := p[headerLen:]
	if u[0] < ndFirst || u[0] > ndLast || u[1] != 0 || packet.Checksum(u, packet.PseudoSum(p.Src(), p.Dst(), packet.ProtoICMPv6, len(u))) != 0 {
		return m, false
	}
	return message{src: p.Src(), dst: p.Dst(), typ: u[0], body: u[4:]}, true
}

// parseUDP reads a whole datagram with a right checksum: RFC 8200 section 8.1 wants one.
func parseUDP(b []byte) (m message, ok bool) {
	p, ok := packet.ParseIPv6(b)
	if !ok || p[6] != packet.ProtoUDP || len(p) < headerLen+udpLen {
		return m, false
	}
	u := p[headerLen:]
	n := int(binary.BigEndian.Uint16(u[4:]))
	if n < udpLen || n > len(u) {
		return m, false
	}
	u = u[:n]
	if u[6]|u[7] == 0 || packet.Checksum(u, packet.PseudoSum(p.Src(), p.Dst(), packet.ProtoUDP, n)) != 0 {
		return m, false
	}
	return message{src: p.Src(), dst: p.Dst(), to: binary.BigEndian.Uint16(u[2:]), body: u[udpLen:]}, true
}
