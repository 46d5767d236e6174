// Package offload makes large packets of many and many of large ones, as a network card with TSO and GRO does: TCP and UDP,
// IPv4 and IPv6. The Linux kernel's TUN devices hand over such packets, and network stacks take them.
package offload

import "encoding/binary"

// A Header is a virtio network header, which stands in front of each packet where the device has offload: it says that the
// packet is larger than the MTU, of what segments it is made, and that its checksum is not made yet. (virtio 1.2 section
// 5.1.6, in the byte order of this machine.)
type Header struct {
	flags      byte
	gso        byte
	hdrLen     uint16 // a hint that is often wrong: not used when reading
	gsoSize    uint16 // payload of a segment
	csumStart  uint16
	csumOffset uint16 // from csumStart
}

const (
	HeaderLen = 10 // of a Header

	needsCsum = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM: the checksum field holds the pseudo-header's sum

	gsoNone = 0 // VIRTIO_NET_HDR_GSO_*
	gsoTCP4 = 1
	gsoTCP6 = 4
	gsoUDP  = 5
)

// Decode reads a header from the first HeaderLen bytes of b.
func (v *Header) Decode(b []byte) {
	v.flags, v.gso = b[0], b[1]
	v.hdrLen = binary.NativeEndian.Uint16(b[2:])
	v.gsoSize = binary.NativeEndian.Uint16(b[4:])
	v.csumStart = binary.NativeEndian.Uint16(b[6:])
	v.csumOffset = binary.NativeEndian.Uint16(b[8:])
}

// Encode writes it there.
func (v *Header) Encode(b []byte) {
	b[0], b[1] = v.flags, v.gso
	binary.NativeEndian.PutUint16(b[2:], v.hdrLen)
	binary.NativeEndian.PutUint16(b[4:], v.gsoSize)
	binary.NativeEndian.PutUint16(b[6:], v.csumStart)
	binary.NativeEndian.PutUint16(b[8:], v.csumOffset)
}

// Fields of the transport headers.
const (
	tcpSeq, tcpAck, tcpOffset, tcpFlags, tcpWindow, tcpCsum, tcpUrgent = 4, 8, 12, 13, 14, 16, 18

	udpLen, udpCsum = 4, 6
	udpHeader       = 8
	minTCP          = 20
	minIPv4         = 20
	headerIPv6      = 40

	flagFIN, flagPSH, flagACK, flagCWR = 0x01, 0x08, 0x10, 0x80
)
