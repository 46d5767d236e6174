package packet

import (
	"encoding/binary"
	"net/netip"
)

// A Problem is what an ICMP error is about.
type Problem uint8

const (
	NoRoute  Problem = iota // destination unreachable, network
	TooBig                  // fragmentation needed, packet too big
	HopsOver                // time to live exceeded in transit
)

const (
	maxErrorIPv4 = 576  // RFC 1812 section 4.3.2.3
	maxErrorIPv6 = 1280 // RFC 4443 section 2.4(c)
	errorHops    = 64
)

// MaxError is the length of the longest packet that AppendError makes.
const MaxError = maxErrorIPv6

// ErrorHeaders is how much longer than what it quotes the packet is that AppendError makes, at most.
const ErrorHeaders = headerIPv6 + 8

// AppendError appends to b the ICMP error from src to the sender of p, an IP packet of src's family. mtu is told with
// TooBig. Whether an error may be sent is Answerable's to say.
func AppendError(b []byte, src netip.Addr, problem Problem, mtu int, p []byte) []byte {
	if src.Is4() {
		return appendError4(b, src, problem, mtu, p)
	}
	return appendError6(b, src, problem, mtu, p)
}

// appendError4 follows RFC 792, RFC 1191 section 4 and RFC 1812 section 4.3.2.
func appendError4(b []byte, src netip.Addr, problem Problem, mtu int, p []byte) []byte {
	typ, code, rest := byte(3), byte(0), uint32(0)
	switch problem {
	case TooBig:
		code, rest = 4, uint32(min(mtu, 0xffff))
	case HopsOver:
		typ = 11
	}
	quoted := min(len(p), maxErrorIPv4-minIPv4-8)
	n := minIPv4 + 8 + quoted
	from, to := src.As4(), [4]byte(p[12:16])
	start := len(b)
	tos := byte(0xc0) | p[1]&0x1c // RFC 1812 section 4.3.2.5: precedence 6, the type of service of the packet
	b = append(b, 0x45, tos, byte(n>>8), byte(n), 0, 0, 0, 0, errorHops, ProtoICMP, 0, 0)
	b = append(b, from[:]...)
	b = append(b, to[:]...)
	IPv4(b[start:]).SetChecksum()
	b = append(b, typ, code, 0, 0)
	b = binary.BigEndian.AppendUint32(b, rest)
	b = append(b, p[:quoted]...)
	m := b[start+minIPv4:]
	binary.BigEndian.PutUint16(m[2:], Checksum(m, 0))
	return b
}

// appendError6 follows RFC 4443 section 3.
func appendError6(b []byte, src netip.Addr, problem Problem, mtu int, p []byte) []byte {
	typ, rest := byte(1), uint32(0)
	switch problem {
	case TooBig:
		typ, rest = 2, uint32(mtu)
	case HopsOver:
		typ = 3
	}
	quoted := min(len(p), maxErrorIPv6-headerIPv6-8)
	n := 8 + quoted
	from, to := src.As16(), [16]byte(p[8:24])
	b = append(b, 0x60, 0, 0, 0, byte(n>>8), byte(n), ProtoICMPv6, errorHops)
	b = append(b, from[:]...)
	b = append(b, to[:]...)
	start := len(b)
	b = append(b, typ, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, rest)
	b = append(b, p[:quoted]...)
	m := b[start:]
	binary.BigEndian.PutUint16(m[2:], Checksum(m, PseudoSum(src, netip.AddrFrom16(to), ProtoICMPv6, n)))
	return b
}

// Answerable reports whether an ICMP error may be sent about the IP packet b: RFC 1812 section 4.3.2.7, RFC 4443 section
// 2.4(e). Never about an ICMP error, a later fragment, anything to or from more than one host, or a source that nobody has.
func Answerable(b []byte) bool {
	var i Info
	if !i.Parse(b) || !i.Whole || i.Offset != 0 || !single(i.Src) || !single(i.Dst) {
		return false
	}
	switch {
	case i.Proto == ProtoICMP && i.Src.Is4():
		// Only what is known to be no error: the list of RFC 1812 is of the five errors, and a type of later date may be one.
		return i.ICMP && (i.Type == 0 || i.Type == 8 || i.Type >= 13 && i.Type <= 18)
	case i.Proto == ProtoICMPv6:
		return i.ICMP && i.Type >= 128 && i.Type != 137 // 137 is Redirect
	}
	return true
}

// single reports whether a is the address of one host on some network.
func single(a netip.Addr) bool {
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
		return false
	}
	if a.Is4() {
		b := a.As4()
		return b[0] != 0 && b[0] < 240 // "this network", and class E with the limited broadcast (RFC 1812 section 5.3.7)
	}
	return true
}
