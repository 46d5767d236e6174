package offload

import (
	"bytes"
	"encoding/binary"

	"github.com/dialway/dialway/internal/packet"
)

// A Joiner makes one large packet of consecutive packets of a flow, for a system, or a stack, that takes up to 64 KiB at
// once: most of what a packet costs there, it costs once. Nothing is copied: the large packet is a list of parts, the first packet and
// the payloads of the others.
//
// Packets are joined that differ in nothing but what a segment must differ in, and whose checksums are right, since the
// system does not look any more. Consecutive ones only: senders send in runs, and so nothing is reordered.
type Joiner struct {
	UDP bool // datagrams are joined, too
	Off bool // nothing is joined

	head   [HeaderLen]byte
	parts  [][]byte // head, the first packet, payloads
	n      int      // packets
	first  segment
	last   bool // nothing fits behind what there is
	size   int  // of the large packet
	seq    uint32
	checks bool // the first packet's checksum has been verified
}

const (
	MaxPacket  = 65535 // bytes: the largest there is
	maxDgrams  = 64    // UDP_MAX_SEGMENTS of kernels before 6.9
	maxSegment = 1000  // parts of one write: the system takes 1024
)

// A segment is what a Joiner knows of a packet.
type segment struct {
	p      []byte
	start  int // of the transport header
	header int // bytes of IP and transport header
	udp    bool
}

func (s *segment) payload() []byte { return s.p[s.header:] }

// read reports whether p may be joined with others at all.
func (s *segment) read(p []byte, udp bool) bool {
	if len(p) < minIPv4+udpHeader || len(p) > MaxPacket {
		return false
	}
	var proto byte
	switch p[0] {
	case 0x45: // without options
		if int(binary.BigEndian.Uint16(p[2:])) != len(p) || binary.BigEndian.Uint16(p[6:])&0x3fff != 0 { // a fragment
			return false
		}
		proto, s.start = p[9], minIPv4
	default:
		if p[0]>>4 != 6 || len(p) < headerIPv6+udpHeader || headerIPv6+int(binary.BigEndian.Uint16(p[4:])) != len(p) {
			return false
		}
		proto, s.start = p[6], headerIPv6
	}
	s.p = p
	t := p[s.start:]
	switch proto {
	case packet.ProtoTCP:
		if len(t) < minTCP {
			return false
		}
		n := int(t[tcpOffset]>>4) * 4
		s.udp, s.header = false, s.start+n
		return n >= minTCP && n < len(t) && t[tcpFlags]&^flagPSH == flagACK
	case packet.ProtoUDP:
		s.udp, s.header = true, s.start+udpHeader
		return udp && len(t) > udpHeader && int(binary.BigEndian.Uint16(t[udpLen:])) == len(t) && (t[udpCsum] != 0 || t[udpCsum+1] != 0)
	}
	return false
}

// like reports whether b is of the flow of a, and equal in what all segments of a large packet share.
func (a *segment) like(b *segment) bool {
	if a.start != b.start || a.header != b.header || a.udp != b.udp {
		return false
	}
	p, q := a.p, b.p
	if a.start == minIPv4 {
		if [2]byte(p) != [2]byte(q) || [4]byte(p[6:]) != [4]byte(q[6:]) || [8]byte(p[12:]) != [8]byte(q[12:]) {
			return false
		}
	} else if [4]byte(p) != [4]byte(q) || [2]byte(p[6:]) != [2]byte(q[6:]) || [32]byte(p[8:]) != [32]byte(q[8:]) {
		return false
	}
	t, u := p[a.start:a.header], q[a.start:a.header]
	if [4]byte(t) != [4]byte(u) {
		return false
	}
	return a.udp || [4]byte(t[tcpAck:]) == [4]byte(u[tcpAck:]) && [2]byte(t[tcpWindow:]) == [2]byte(u[tcpWindow:]) && bytes.Equal(t[tcpUrgent:], u[tcpUrgent:])
}

// whole reports whether the packet's checksums are right. There is nothing between addresses and transport header.
func (s *segment) whole() bool {
	proto, addrs := uint64(packet.ProtoTCP), 8
	if s.udp {
		proto = packet.ProtoUDP
	}
	if s.start == minIPv4 {
		if packet.Fold(packet.Sum(s.p[:minIPv4], 0)) != 0 {
			return false
		}
		addrs = 12
	}
	return packet.Checksum(s.p[addrs:], proto+uint64(len(s.p)-s.start)) == 0
}

// Len is how many packets there are.
func (j *Joiner) Len() int { return j.n }

// Add puts a packet behind what there is; false: it does not fit, and what there is must be written first. An empty Joiner
// takes any.
func (j *Joiner) Add(p []byte) bool {
	if j.n == 0 {
		j.parts = append(j.parts[:0], j.head[:], p)
		j.n, j.size, j.checks = 1, len(p), false
		j.last = j.Off || !j.first.read(p, j.UDP)
		if t := j.first.start; !j.last && !j.first.udp {
			j.seq = binary.BigEndian.Uint32(p[t+tcpSeq:]) + uint32(len(j.first.payload()))
		}
		return true
	}
	if j.last || len(j.parts) >= maxSegment {
		return false
	}
	var s segment
	if !s.read(p, j.UDP) || !j.follows(&s) || !s.whole() {
		return false
	}
	if !j.checks {
		if j.checks = j.first.whole(); !j.checks {
			j.last = true
			return false
		}
	}
	b := s.payload()
	j.parts = append(j.parts, b)
	j.n++
	j.size += len(b)
	j.last = len(b) < len(j.first.payload())
	if s.udp {
		j.last = j.last || j.n == maxDgrams
		return true
	}
	j.seq += uint32(len(b))
	// PSH is no boundary (RFC 9293 section 3.9.1.2), and nothing that was pushed is kept back here. The system gives it to the
	// last segment, if it must segment again.
	j.first.p[s.start+tcpFlags] |= p[s.start+tcpFlags] & flagPSH
	return true
}

// follows reports whether a segment stands behind what there is.
func (j *Joiner) follows(s *segment) bool {
	size := len(s.payload())
	if size > len(j.first.payload()) || j.size+size > MaxPacket || !j.first.like(s) {
		return false
	}
	return s.udp || binary.BigEndian.Uint32(s.p[s.start+tcpSeq:]) == j.seq
}

// Finish makes the headers right, in the first packet's own bytes, and returns the large packet, with a Header in front,
// in parts, and of how many packets it is. They are valid until the next Add; the Joiner is empty.
func (j *Joiner) Finish() (parts [][]byte, packets int) {
	var v Header
	if j.n > 1 {
		s := &j.first
		p := s.p
		v = Header{flags: needsCsum, gso: gsoTCP4, hdrLen: uint16(s.header), gsoSize: uint16(len(s.payload())), csumStart: uint16(s.start), csumOffset: tcpCsum}
		proto, addrs := uint64(packet.ProtoTCP), p[12:20]
		if s.start == minIPv4 {
			binary.BigEndian.PutUint16(p[2:], uint16(j.size))
			packet.IPv4(p).SetChecksum()
		} else {
			v.gso, addrs = gsoTCP6, p[8:40]
			binary.BigEndian.PutUint16(p[4:], uint16(j.size-headerIPv6))
		}
		n := j.size - s.start
		if s.udp {
			v.gso, v.csumOffset, proto = gsoUDP, udpCsum, packet.ProtoUDP
			binary.BigEndian.PutUint16(p[s.start+udpLen:], uint16(n))
		}
		// The pseudo-header's sum, not complemented: the system goes on from there.
		sum := packet.Fold(packet.Sum(addrs, proto+uint64(n)))
		binary.BigEndian.PutUint16(p[s.start+int(v.csumOffset):], ^sum)
	}
	v.Encode(j.head[:])
	parts, packets = j.parts, j.n
	j.n = 0
	return parts, packets
}
