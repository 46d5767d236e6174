package ppp

import "encoding/binary"

// Protocol numbers of frames. Those below 0x8000 carry data, the rest control (RFC 1661 section 2).
const (
	protoIPv4   = 0x0021
	protoIPv6   = 0x0057
	protoIPCP   = 0x8021
	protoIPV6CP = 0x8057
	protoCCP    = 0x80fd
	protoLCP    = 0xc021
	protoPAP    = 0xc023
	protoCHAP   = 0xc223
	protoEAP    = 0xc227
)

// protoName names a protocol in errors and logs.
func protoName(p uint16) string {
	switch p {
	case protoIPCP:
		return "IPCP"
	case protoIPV6CP:
		return "IPV6CP"
	case protoCCP:
		return "CCP"
	case protoLCP:
		return "LCP"
	case protoPAP:
		return "PAP"
	case protoCHAP:
		return "CHAP"
	case protoEAP:
		return "EAP"
	}
	return "protocol " + hex16(p)
}

func hex16(v uint16) string {
	const digits = "0123456789abcdef"
	return string([]byte{'0', 'x', digits[v>>12], digits[v>>8&15], digits[v>>4&15], digits[v&15]})
}

// headerLen is FF 03 and two bytes of protocol, which is how every frame is sent: some peers read no other form.
const headerLen = 4

// parseFrame splits a frame in any form a peer may use: with or without address and control field (RFC 1661 section
// 6.6), the protocol in one byte or two (section 6.5). n is the length of the header, 0 for what is no frame.
func parseFrame(f []byte) (proto uint16, n int) {
	if len(f) >= 2 && f[0] == 0xff && f[1] == 0x03 {
		n = 2
	}
	switch {
	case len(f) > n && f[n]&1 == 1:
		return uint16(f[n]), n + 1
	case len(f) > n+1 && f[n+1]&1 == 1:
		return binary.BigEndian.Uint16(f[n:]), n + 2
	}
	return 0, 0
}

// appendHeader appends the header of a frame.
func appendHeader(b []byte, proto uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, 0xff, 0x03), proto)
}

// Codes of control packets, RFC 1661 section 5 and RFC 1570 section 1.
const (
	codeConfigureRequest byte = iota + 1
	codeConfigureAck
	codeConfigureNak
	codeConfigureReject
	codeTerminateRequest
	codeTerminateAck
	codeCodeReject
	codeProtocolReject
	codeEchoRequest
	codeEchoReply
	codeDiscardRequest
	codeIdentification
	codeTimeRemaining
)

// packetHeaderLen is code, identifier and length.
const packetHeaderLen = 4

// parsePacket splits a control packet; what stands behind its length is padding (RFC 1661 section 5).
func parsePacket(b []byte) (code, id byte, data []byte, ok bool) {
	if len(b) < packetHeaderLen {
		return 0, 0, nil, false
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < packetHeaderLen || n > len(b) {
		return 0, 0, nil, false
	}
	return b[0], b[1], b[packetHeaderLen:n:n], true
}

// appendPacket appends a control packet.
func appendPacket(b []byte, code, id byte, data []byte) []byte {
	b = append(b, code, id)
	b = binary.BigEndian.AppendUint16(b, uint16(packetHeaderLen+len(data)))
	return append(b, data...)
}
