package packet

import (
	"encoding/binary"
	"net/netip"
)

// An IPv4 is a whole IPv4 packet: its lengths have been checked and what follows the packet is cut off.
type IPv4 []byte

const (
	minIPv4 = 20
	flagDF  = 0x4000
	flagMF  = 0x2000
)

// ParseIPv4 returns b as an IPv4 packet, RFC 791 section 3.1. The header checksum is left to who terminates the packet.
func ParseIPv4(b []byte) (IPv4, bool) {
	if len(b) < minIPv4 || b[0]>>4 != 4 {
		return nil, false
	}
	h := int(b[0]&0x0f) * 4
	n := int(binary.BigEndian.Uint16(b[2:]))
	if h < minIPv4 || n < h || n > len(b) {
		return nil, false
	}
	return IPv4(b[:n]), true
}

// HeaderLen returns the length of the header with its options.
func (p IPv4) HeaderLen() int { return int(p[0]&0x0f) * 4 }

// Src returns the source address.
func (p IPv4) Src() netip.Addr { return netip.AddrFrom4([4]byte(p[12:16])) }

// Dst returns the destination address.
func (p IPv4) Dst() netip.Addr { return netip.AddrFrom4([4]byte(p[16:20])) }

// Proto returns the protocol of the payload.
func (p IPv4) Proto() uint8 { return p[9] }

// TTL returns the time to live.
func (p IPv4) TTL() uint8 { return p[8] }

// DF reports whether the packet must not be fragmented.
func (p IPv4) DF() bool { return p[6]&(flagDF>>8) != 0 }

// MF reports whether more fragments follow.
func (p IPv4) MF() bool { return p[6]&(flagMF>>8) != 0 }

// FragmentOffset returns where in its datagram the payload stands, in bytes.
func (p IPv4) FragmentOffset() int { return int(binary.BigEndian.Uint16(p[6:])&0x1fff) * 8 }

// Payload returns what follows the header.
func (p IPv4) Payload() []byte { return p[p.HeaderLen():] }

// DecrementTTL takes one from a TTL that is not zero, and keeps the checksum in step (RFC 1624).
func (p IPv4) DecrementTTL() {
	old := binary.BigEndian.Uint16(p[8:])
	p[8]--
	sum := binary.BigEndian.Uint16(p[10:])
	binary.BigEndian.PutUint16(p[10:], UpdateChecksum(sum, old, binary.BigEndian.Uint16(p[8:])))
}

// SetChecksum computes the header checksum.
func (p IPv4) SetChecksum() {
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], Checksum(p[:p.HeaderLen()], 0))
}
