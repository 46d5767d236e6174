package offload

import (
	"encoding/binary"
	"errors"

	"github.com/dialway/dialway/internal/packet"
)

// A Splitter makes packets of what the system gives as one: up to 64 KiB of a stream, or of datagrams, with one header and
// without checksums.
type Splitter struct {
	p      []byte // the large packet; its payload from at on is not split yet
	at     int
	header int // bytes of IP and transport header
	start  int // of the transport header
	csum   int // of the checksum field
	size   int // payload of a packet
	udp    bool
	id     uint16 // IPv4: of the next packet
	seq    uint32 // TCP: of the next packet
	flags  byte   // TCP: of the large packet
	first  bool
	ip     uint64 // IPv4: sum of what the headers of all packets have in common
	sum    uint64 // the same of the transport header and its pseudo-header
}

// Errors of a Splitter.
var (
	ErrHeader   = errors.New("offload: the system gave a packet with a header that does not fit it")
	ErrTooSmall = errors.New("offload: packet larger than the buffers") // somebody has raised the interface's MTU
)

// Begin takes a packet as the system gave it. One that is not to be split is whole at once.
func (s *Splitter) Begin(v Header, p []byte) error {
	s.p = nil
	start, csum := int(v.csumStart), int(v.csumStart)+int(v.csumOffset)
	if v.flags&needsCsum != 0 && csum+2 > len(p) {
		return ErrHeader
	}
	if v.gso == gsoNone {
		if v.flags&needsCsum != 0 {
			sum := packet.Checksum(p[start:], 0) // with the pseudo-header's sum in the field
			if sum == 0 && v.csumOffset == udpCsum {
				sum = 0xffff // RFC 768: zero means that there is none
			}
			binary.BigEndian.PutUint16(p[csum:], sum)
		}
		if len(p) == 0 {
			return ErrHeader
		}
		*s = Splitter{p: p, header: len(p), first: true}
		return nil
	}
	*s = Splitter{start: start, csum: csum, size: int(v.gsoSize), first: true}
	if v.flags&needsCsum == 0 || s.size == 0 || !s.network(v.gso, p) || !s.transport(v.gso, p) {
		return ErrHeader
	}
	s.p, s.at = p, s.header
	s.common()
	return nil
}

// common clears the fields in which packets differ, and adds up the others, so that it is done once.
func (s *Splitter) common() {
	p, t := s.p, s.p[s.start:s.header]
	if p[0]>>4 == 4 {
		clear(p[2:6]) // length and identification
		clear(p[10:12])
		s.ip = packet.Sum(p[:s.start], 0)
	}
	s.p[s.csum], s.p[s.csum+1] = 0, 0
	if s.udp {
		t[udpLen], t[udpLen+1] = 0, 0
	} else {
		clear(t[tcpSeq:tcpAck])
		t[tcpFlags] = 0
	}
	s.sum = packet.Sum(t, s.sum)
}

// network reads the IP header.
func (s *Splitter) network(gso byte, p []byte) bool {
	if len(p) == 0 {
		return false
	}
	switch {
	case p[0]>>4 == 4 && gso != gsoTCP6:
		if s.start < minIPv4 || s.start != int(p[0]&15)*4 || len(p) < s.start {
			return false
		}
		s.id = binary.BigEndian.Uint16(p[4:])
		s.sum = packet.Sum(p[12:20], 0)
	case p[0]>>4 == 6 && gso != gsoTCP4:
		if s.start < headerIPv6 || len(p) < s.start { // extension headers are in front of start
			return false
		}
		s.sum = packet.Sum(p[8:40], 0)
	default:
		return false
	}
	return true
}

// transport reads the header behind it.
func (s *Splitter) transport(gso byte, p []byte) bool {
	t := p[s.start:]
	if s.udp = gso == gsoUDP; s.udp {
		s.header = s.start + udpHeader
		s.sum += packet.ProtoUDP
		return len(p) > s.header && s.csum == s.start+udpCsum
	}
	if gso != gsoTCP4 && gso != gsoTCP6 || len(t) < minTCP || s.csum != s.start+tcpCsum {
		return false
	}
	n := int(t[tcpOffset]>>4) * 4
	s.header = s.start + n
	s.seq, s.flags = binary.BigEndian.Uint32(t[tcpSeq:]), t[tcpFlags]
	s.sum += packet.ProtoTCP
	return n >= minTCP && len(p) > s.header
}

// More reports whether there is a packet.
func (s *Splitter) More() bool { return s.p != nil }

// Next makes a packet in dst and returns its length. One that does not fit is the end of the large packet.
func (s *Splitter) Next(dst []byte) (int, error) {
	if s.size == 0 {
		p := s.p
		s.p = nil
		if len(p) > len(dst) {
			return 0, ErrTooSmall
		}
		return copy(dst, p), nil
	}
	k := min(s.size, len(s.p)-s.at)
	n := s.header + k
	if n > len(dst) {
		s.p = nil
		return 0, ErrTooSmall
	}
	p := dst[:n]
	copy(p, s.p[:s.header])
	copy(p[s.header:], s.p[s.at:s.at+k])
	s.at += k
	last := s.at == len(s.p)
	if last {
		s.p = nil
	}
	if p[0]>>4 == 4 {
		binary.BigEndian.PutUint16(p[2:], uint16(n))
		binary.BigEndian.PutUint16(p[4:], s.id) // RFC 6864: they differ where a packet may be fragmented
		binary.BigEndian.PutUint16(p[10:], packet.Fold(s.ip+uint64(n)+uint64(s.id)))
		s.id++
	} else {
		binary.BigEndian.PutUint16(p[4:], uint16(n-headerIPv6))
	}
	t := p[s.start:]
	sum := s.sum + uint64(len(t))
	if s.udp {
		binary.BigEndian.PutUint16(t[udpLen:], uint16(len(t)))
		sum += uint64(len(t))
	} else {
		flags := s.flags
		if !last {
			flags &^= flagFIN | flagPSH
		}
		if !s.first {
			flags &^= flagCWR // RFC 3168 section 6.1.2: said once
		}
		binary.BigEndian.PutUint32(t[tcpSeq:], s.seq)
		t[tcpFlags] = flags
		sum += uint64(s.seq) + uint64(flags)
		s.seq += uint32(k)
	}
	s.first = false
	c := packet.Fold(packet.Sum(p[s.header:], sum))
	if c == 0 && s.udp {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(p[s.csum:], c)
	return n, nil
}
