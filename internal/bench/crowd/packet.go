package crowd

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
)

// A message is what a packet says.
type message struct {
	op     op
	last   bool   // of a batch: an answer is due
	hashed bool   // the body is that of its number, and is checked
	count  uint8  // opAsk: packets to be sent
	size   uint16 // opAsk: of each
	number uint32 // opAck: that of the packet it answers
}

type op uint8

const (
	opData op = 'd' // of a batch, either way
	opAsk  op = 'q'
	opAck  op = 'a'
)

const (
	headers    = 28 // IPv4, UDP
	messageLen = 12
	sumLen     = 8
	minPacket  = headers + messageLen
)

// put fills p, from source to destination, with a message.
func put(p []byte, src, dst netip.Addr, m message) {
	p[0], p[1], p[8], p[9] = 0x45, 0, 64, 17
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	clear(p[4:8])
	clear(p[10:12])
	s, d := src.As4(), dst.As4()
	copy(p[12:], s[:])
	copy(p[16:], d[:])
	binary.BigEndian.PutUint16(p[10:], checksum(p[:20]))
	binary.BigEndian.PutUint16(p[20:], 4040)
	binary.BigEndian.PutUint16(p[22:], 4040)
	binary.BigEndian.PutUint16(p[24:], uint16(len(p)-20))
	clear(p[26:28]) // no UDP checksum
	b := p[headers:]
	b[0], b[1], b[2], b[3] = byte(m.op), 0, m.count, 0
	if m.last {
		b[1] |= 1
	}
	if m.hashed {
		b[1] |= 2
	}
	binary.BigEndian.PutUint16(b[4:], m.size)
	binary.BigEndian.PutUint32(b[6:], m.number)
	clear(b[10:12])
	if m.hashed {
		fillBody(b[messageLen:], m.number)
	}
}

// get reads a packet; false: it is none of ours, or is not as it was sent.
func get(p []byte) (m message, src netip.Addr, ok bool) {
	if len(p) < minPacket || p[0] != 0x45 || p[9] != 17 {
		return m, src, false
	}
	b := p[headers:]
	m = message{
		op: op(b[0]), last: b[1]&1 != 0, hashed: b[1]&2 != 0, count: b[2],
		size: binary.BigEndian.Uint16(b[4:]), number: binary.BigEndian.Uint32(b[6:]),
	}
	if m.hashed && !bodyHolds(b[messageLen:], m.number) {
		return m, src, false
	}
	return m, netip.AddrFrom4([4]byte(p[12:16])), true
}

// fillBody writes what follows of a number, and its hash.
func fillBody(b []byte, number uint32) {
	if len(b) < sumLen {
		return
	}
	x := uint64(number)*0x9e3779b97f4a7c15 + 1
	body := b[sumLen:]
	for i := range body {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		body[i] = byte(x)
	}
	sum := sha256.Sum256(body)
	copy(b, sum[:sumLen])
}

// bodyHolds reports whether a body is as it was filled.
func bodyHolds(b []byte, number uint32) bool {
	if len(b) < sumLen {
		return true
	}
	sum := sha256.Sum256(b[sumLen:])
	return string(sum[:sumLen]) == string(b[:sumLen])
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
