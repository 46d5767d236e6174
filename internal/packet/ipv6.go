package packet

import (
	"encoding/binary"
	"net/netip"
)

// An IPv6 is a whole IPv6 packet: its lengths have been checked and what follows the packet is cut off.
type IPv6 []byte

const headerIPv6 = 40

// ParseIPv6 returns b as an IPv6 packet, RFC 8200 section 3. Jumbograms (RFC 2675) are refused: no link here carries one.
func ParseIPv6(b []byte) (IPv6, bool) {
	if len(b) < headerIPv6 || b[0]>>4 != 6 {
		return nil, false
	}
	n := headerIPv6 + int(binary.BigEndian.Uint16(b[4:]))
	if n > len(b) {
		return nil, false
	}
	return IPv6(b[:n]), true
}

// Src returns the source address.
func (p IPv6) Src() netip.Addr { return netip.AddrFrom16([16]byte(p[8:24])) }

// Dst returns the destination address.
func (p IPv6) Dst() netip.Addr { return netip.AddrFrom16([16]byte(p[24:40])) }

// HopLimit returns the hop limit.
func (p IPv6) HopLimit() uint8 { return p[7] }

// DecrementHopLimit takes one from a hop limit that is not zero.
func (p IPv6) DecrementHopLimit() { p[7]-- }

// Protocols, as numbered by IANA.
const (
	ProtoHopByHop  = 0
	ProtoICMP      = 1
	ProtoTCP       = 6
	ProtoUDP       = 17
	ProtoDCCP      = 33
	ProtoRouting   = 43
	ProtoFragment  = 44
	ProtoGRE       = 47
	ProtoESP       = 50
	ProtoAH        = 51
	ProtoICMPv6    = 58
	ProtoNoNext    = 59
	ProtoDstOpts   = 60
	ProtoSCTP      = 132
	ProtoMobility  = 135
	ProtoUDPLite   = 136
	ProtoHIP       = 139
	ProtoShim6     = 140
	maxExtensions  = 8 // a longer chain carries nothing that a router must understand; hosts may refuse it too (RFC 8504 section 5.3)
	fragmentHeader = 8
)

// An Upper says where in a packet the upper-layer header stands.
type Upper struct {
	Proto    uint8
	Start    int  // of its header in the packet
	Fragment bool // one of several fragments
	Offset   int  // of this fragment in its datagram, in bytes; if not 0, Start is no header
	Whole    bool // the chain was followed to its end
}

// Upper follows the extension headers, RFC 8200 section 4. In a later fragment Proto is the first header of the
// fragmentable part. Whole is false for a chain that is cut or too long: nothing is then known about the upper layer.
func (p IPv6) Upper() Upper {
	u := Upper{Proto: p[6], Start: headerIPv6}
	for range maxExtensions {
		n := 0
		switch u.Proto {
		case ProtoHopByHop, ProtoRouting, ProtoDstOpts, ProtoMobility, ProtoHIP, ProtoShim6:
			if len(p) < u.Start+8 {
				return u
			}
			n = 8 + int(p[u.Start+1])*8
		case ProtoAH: // RFC 4302 section 2.2 counts in words of four bytes
			if len(p) < u.Start+8 {
				return u
			}
			n = 8 + int(p[u.Start+1])*4
		case ProtoFragment:
			if len(p) < u.Start+fragmentHeader {
				return u
			}
			n = fragmentHeader
			f := binary.BigEndian.Uint16(p[u.Start+2:])
			// RFC 6946: an atomic fragment (offset 0, none to follow) is a whole packet.
			u.Fragment = u.Fragment || f&0xfff9 != 0
			u.Offset = int(f &^ 7)
		default:
			u.Whole = true
			return u
		}
		if len(p) < u.Start+n {
			return u
		}
		u.Proto = p[u.Start]
		u.Start += n
		if u.Offset != 0 {
			u.Whole = true
			return u
		}
	}
	return u
}

// Upper says where the upper-layer header stands, in the terms of IPv6.Upper.
func (p IPv4) Upper() Upper {
	off := p.FragmentOffset()
	return Upper{Proto: p.Proto(), Start: p.HeaderLen(), Fragment: off != 0 || p.MF(), Offset: off, Whole: true}
}
