package packet

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Sum adds b, as 16-bit words in one's complement, to sum. Only the last of several parts may have an odd length.
func Sum(b []byte, sum uint64) uint64 {
	// RFC 1071 section 2(C): words may be added at any width as long as carries come back in. Section 2(B): and in any byte
	// order, so what is long is added as it lies, and turned around once.
	var carry uint64
	if n := len(b) &^ 63; n > 0 {
		var s uint64
		if hasWide && n >= 128 {
			s = sumWide(b[:n])
		} else {
			s = sumWords(b[:n])
		}
		sum, carry = bits.Add64(sum, uint64(bits.ReverseBytes16(fold(s))), 0)
		sum += carry // cannot overflow again: a sum that carried is at most 2^64-2
		b = b[n:]
	}
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), 0)
		sum += carry
		b = b[8:]
	}
	if len(b) > 0 {
		var last [8]byte
		copy(last[:], b)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(last[:]), 0)
		sum += carry
	}
	return sum
}

// sumWords adds words in little-endian order. What is behind a multiple of 64 bytes is left out.
func sumWords(b []byte) uint64 {
	var s, carry uint64
	for len(b) >= 64 {
		s, carry = bits.Add64(s, binary.LittleEndian.Uint64(b), 0)
		s, carry = bits.Add64(s, binary.LittleEndian.Uint64(b[8:]), carry)
		s, carry = bits.Add64(s, binary.LittleEndian.Uint64(b[16:]), carry)
		s, carry = bits.Add64(s, binary.LittleEndian.Uint64(b[24:]), carry)
		s, carry = bits.Add64(s, binary.LittleEndian.Uint64(b[32:]), carry)
		s, carry = bits.Add64(s, binary.LittleEndian.Uint64(b[40:]), carry)
		s, carry = bits.Add64(s, binary.LittleEndian.Uint64(b[48:]), carry)
		s, carry = bits.Add64(s, binary.LittleEndian.Uint64(b[56:]), carry)
		s += carry
		b = b[64:]
	}
	return s
}

// Fold makes the Internet checksum of a Sum.
func Fold(sum uint64) uint16 { return ^fold(sum) }

// fold adds the words of a sum, whatever their order.
func fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>32 + sum&0xffffffff
	s := uint32(sum>>16) + uint32(sum&0xffff)
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s)
}

// Checksum is the Internet checksum of b after what is in sum (RFC 1071).
func Checksum(b []byte, sum uint64) uint16 { return Fold(Sum(b, sum)) }

// UpdateChecksum returns sum after one 16-bit word of what it covers changed from old to new: RFC 1624, equation 3.
func UpdateChecksum(sum, old, new uint16) uint16 {
	s := uint32(^sum) + uint32(^old) + uint32(new)
	s = s>>16 + s&0xffff
	return ^uint16(s>>16 + s)
}

// PseudoSum is the Sum of the pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 section 3.1, RFC 8200 section 8.1).
func PseudoSum(src, dst netip.Addr, proto uint8, n int) uint64 {
	sum := uint64(proto) + uint64(n)
	if src.Is4() {
		s, d := src.As4(), dst.As4()
		return Sum(d[:], Sum(s[:], sum))
	}
	s, d := src.As16(), dst.As16()
	return Sum(d[:], Sum(s[:], sum))
}
