package tun

import "encoding/binary"

// A vnet is a virtio network header, which stands in front of each packet where the device has offload: it says that the
// packet is larger than the MTU, of what segments it is made, and that its checksum is not made yet. (virtio 1.2 section
// 5.1.6, in the byte order of this machine.)
type vnet struct {
	flags      byte
	gso        byte
	hdrLen     uint16 // a hint that is often wrong: not used when reading
	gsoSize    uint16 // payload of a segment
	csumStart  uint16
	csumOffset uint16 // from csumStart
}

const (
	vnetLen = 10

	needsCsum = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM: the checksum field holds the pseudo-header's sum

	gsoNone = 0 // VIRTIO_NET_HDR_GSO_*
	gsoTCP4 = 1
	gsoTCP6 = 4
	gsoUDP  = 5
)

func (v *vnet) decode(b []byte) {
	v.flags, v.gso = b[0], b[1]
	v.hdrLen = binary.NativeEndian.Uint16(b[2:])
	v.gsoSize = binary.NativeEndian.Uint16(b[4:])
	v.csumStart = binary.NativeEndian.Uint16(b[6:])
	v.csumOffset = binary.NativeEndian.Uint16(b[8:])
}

func (v *vnet) encode(b []byte) {
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
