package packet

import (
	"encoding/binary"
	"math/bits"
)

// Flow returns a hash of addresses, protocol and ports, the same for every packet of one flow and one seed. The
// fragments of a datagram share one hash, without ports; what is not IP has the hash of the seed alone.
func Flow(b []byte, seed uint64) uint64 {
	const k0, k1 = 0xa0761d6478bd642f, 0xe7037ed1a0b428db // odd and dense, as multipliers must be
	h := seed ^ k0
	var u Upper
	if p, ok := ParseIPv4(b); ok {
		h = mix(h^binary.BigEndian.Uint64(p[12:]), k1)
		u, b = p.Upper(), p
	} else if p, ok := ParseIPv6(b); ok {
		h = mix(h^binary.BigEndian.Uint64(p[8:]), k1^binary.BigEndian.Uint64(p[16:]))
		h = mix(h^binary.BigEndian.Uint64(p[24:]), k1^binary.BigEndian.Uint64(p[32:]))
		u, b = p.Upper(), p
	} else {
		return mix(h, k1)
	}
	ports := uint64(0)
	if HasPorts(u.Proto) && !u.Fragment && u.Whole && len(b) >= u.Start+4 {
		ports = uint64(binary.BigEndian.Uint32(b[u.Start:]))
	}
	return mix(h^ports<<8^uint64(u.Proto), k1)
}

// mix folds the 128-bit product, in which every bit of both factors reaches the middle.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// HasPorts reports whether a protocol's header begins with a source and a destination port.
func HasPorts(proto uint8) bool {
	switch proto {
	case ProtoTCP, ProtoUDP, ProtoDCCP, ProtoSCTP, ProtoUDPLite:
		return true
	}
	return false
}
