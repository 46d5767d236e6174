// Package offloadtest makes packets for tests.
package offloadtest

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/dialway/dialway/internal/packet"
)

// Random returns n bytes, the same for the same n.
func Random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	r.Read(b)
	return b
}

// Kinds of packets.
var Kinds = []struct{ IPv6, UDP bool }{{false, false}, {true, false}, {false, true}, {true, true}}

// Packet makes a packet with right checksums: IPv4 or IPv6, TCP with sequence number and flags, or UDP.
func Packet(v6, udp bool, seq uint32, flags byte, payload []byte) []byte {
	t := make([]byte, 8, 8+12+len(payload))
	if udp {
		binary.BigEndian.PutUint16(t[4:], uint16(8+len(payload)))
	} else {
		t = make([]byte, 32)
		binary.BigEndian.PutUint32(t[4:], seq)
		binary.BigEndian.PutUint32(t[8:], 77)
		t[12], t[13] = (32)/4<<4, flags
		binary.BigEndian.PutUint16(t[14:], 500)
		copy(t[20:], "\x01\x01\x08\x0aTIMEecho")
	}
	binary.BigEndian.PutUint16(t, 4242)
	binary.BigEndian.PutUint16(t[2:], 80)
	t = append(t, payload...)
	proto := byte(packet.ProtoTCP)
	if udp {
		proto = packet.ProtoUDP
	}
	var p []byte
	if v6 {
		p = make([]byte, 40)
		p[0], p[6], p[7], p[8], p[24] = 0x60, proto, 64, 0x20, 0x20
		binary.BigEndian.PutUint16(p[4:], uint16(len(t)))
	} else {
		p = make([]byte, 20)
		p[0], p[6], p[8], p[9], p[12], p[16] = 0x45, 0x40, 64, proto, 10, 10
		binary.BigEndian.PutUint16(p[2:], uint16(20+len(t)))
		packet.IPv4(p).SetChecksum()
	}
	start := len(p)
	p = append(p, t...)
	at := start + 16
	if udp {
		at = start + 6
	}
	src, dst := p[8:24], p[24:40]
	if !v6 {
		src, dst = p[12:16], p[16:20]
	}
	sum := packet.Sum(dst, packet.Sum(src, uint64(proto)+uint64(len(p)-start)))
	binary.BigEndian.PutUint16(p[at:], packet.Checksum(p[start:], sum))
	return p
}

// Stream is what a TUN device gives at once of a stream: 47 packets.
func Stream() (list [][]byte) {
	for i := range 47 {
		p := Packet(false, false, uint32(i*1348), 0x10, Random(1348))
		binary.BigEndian.PutUint16(p[4:], uint16(i))
		packet.IPv4(p).SetChecksum()
		list = append(list, p)
	}
	return list
}
