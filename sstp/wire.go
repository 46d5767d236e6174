package sstp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The packet header, [MS-SSTP] section 2.2.1:
//
//	 0               1               2               3
//	+---------------+-------------+-+-------+-----------------------+
//	| Version 0x10  | Reserved    |C| R     | Length                |
//	+---------------+-------------+-+-------+-----------------------+
//
// C is 1 in a control packet. Length counts the header. Reserved bits are sent 0 and ignored when received: there are
// clients that set them.
const (
	version     = 0x10 // major 1, minor 0
	headerLen   = 4    // of any packet
	controlLen  = 8    // header, message type, number of attributes
	maxPacket   = 4095 // what 12 bits of Length can say
	maxPPPFrame = maxPacket - headerLen

	controlBit = 0x01
	lengthMask = 0x0fff
)

// errDelineation means that the boundaries of packets are lost. The connection is dropped at once and without a
// message, [MS-SSTP] sections 3.1.5.1 and 3.1.7.2.
var errDelineation = errors.New("sstp: packet boundaries lost")

// nextPacket returns the length of the packet that begins b, 0 while more bytes are needed to know it.
func nextPacket(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	if b[0] != version {
		return 0, fmt.Errorf("%w: version %#x", errDelineation, b[0])
	}
	if len(b) < headerLen {
		return 0, nil
	}
	n = int(binary.BigEndian.Uint16(b[2:]) & lengthMask)
	if !validLength(isControl(b), n) {
		return 0, fmt.Errorf("%w: length %d", errDelineation, n)
	}
	return n, nil
}

// isControl says whether a packet, of which the header is there, is a control packet.
func isControl(p []byte) bool { return p[1]&controlBit != 0 }

// appendHeader appends the header of a packet of n bytes in all.
func appendHeader(b []byte, control bool, n int) []byte {
	var c byte
	if control {
		c = controlBit
	}
	return append(b, version, c, byte(n>>8), byte(n))
}

// A framing carries PPP frames as data packets, [MS-SSTP] section 2.2.3. What it reads are whole packets, control
// packets among them: the caller tells them apart by their headers.
type framing struct{}

// AppendFrame appends header and body as one data packet.
func (framing) AppendFrame(b, header, body []byte) []byte {
	b = appendHeader(b, false, headerLen+len(header)+len(body))
	b = append(b, header...)
	return append(b, body...)
}

// NextFrame returns the first packet in b, header included.
func (framing) NextFrame(b []byte) (packet []byte, n int, err error) {
	n, err = nextPacket(b)
	if err != nil || n == 0 || len(b) < n {
		return nil, 0, err
	}
	return b[:n:n], n, nil
}

// MaxFrame is the largest packet.
func (framing) MaxFrame() int { return maxPacket }
