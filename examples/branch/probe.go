package main

import (
	"encoding/binary"
	"net/netip"
)

// probe makes a packet to explain: a TCP SYN to a port, or an ICMP echo request. Nobody will receive it, so it has no
// checksums.
func probe(src, dst netip.Addr, port uint16) []byte {
	body := []byte{8, 0, 0, 0, 0, 1, 0, 1}
	proto := byte(1)
	if dst.Is6() {
		body[0], proto = 128, 58
	}
	if port != 0 {
		body, proto = make([]byte, 20), 6
		binary.BigEndian.PutUint16(body, 49152)
		binary.BigEndian.PutUint16(body[2:], port)
		body[12], body[13] = 5<<4, 2
	}
	var head []byte
	if dst.Is6() {
		head = make([]byte, 40)
		head[0], head[6], head[7] = 0x60, proto, 64
		binary.BigEndian.PutUint16(head[4:], uint16(len(body)))
		copy(head[8:], src.AsSlice())
		copy(head[24:], dst.AsSlice())
	} else {
		head = make([]byte, 20)
		head[0], head[8], head[9] = 0x45, 64, proto
		binary.BigEndian.PutUint16(head[2:], uint16(len(head)+len(body)))
		copy(head[12:], src.AsSlice())
		copy(head[16:], dst.AsSlice())
	}
	return append(head, body...)
}
