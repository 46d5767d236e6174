package sstp

import "encoding/binary"

// The messages that open a call: Call Connect Request, Ack and Nak, and Call Connected.

// Bits of the Hash Protocol Bitmask, [MS-SSTP] section 2.2.6; in a Call Connected exactly one of them.
const (
	hashSHA1   = 0x01
	hashSHA256 = 0x02
)

// appendConnectRequest appends a Call Connect Request, section 2.2.9.
func appendConnectRequest(b []byte) []byte {
	start := len(b)
	b = beginControl(b, msgConnectRequest, 1)
	b = appendAttrHeader(b, attrProtocolID, protocolIDLen)
	b = binary.BigEndian.AppendUint16(b, protocolPPP)
	return endControl(b, start)
}

// parseConnectRequest returns what is wrong with a Call Connect Request, section 3.3.5.2.2: one STATUS_INFO for each
// fault, none if it is accepted. The values are views of the packet. An error means that there is no telling the
// attributes apart.
func parseConnectRequest(c control) (faults []statusInfo, err error) {
	var seen [256]bool
	as := c.attributes()
	for a, ok := as.next(); ok; a, ok = as.next() {
		if s, bad := requestFault(a, seen[a.id]); bad && len(faults) < maxStatusInfos {
			faults = append(faults, s)
		}
		seen[a.id] = true
	}
	if as.err != nil {
		return nil, as.err
	}
	if !seen[attrProtocolID] && len(faults) < maxStatusInfos {
		// Section 3.3.5.2.2 names attribute 2 here and section 2.2.8 names 1; only 1 tells the client what is missing.
		faults = append(faults, statusInfo{attrib: attrProtocolID, status: StatusRequiredAttributeMissing})
	}
	return faults, nil
}

// requestFault judges one attribute of a Call Connect Request.
func requestFault(a attribute, again bool) (s statusInfo, bad bool) {
	s = statusInfo{attrib: a.id, value: a.value}
	switch {
	case a.id == attrStatusInfo:
		if s, ok := parseStatusInfo(a.value); ok && s.status == StatusNoError {
			return statusInfo{}, false
		}
		s.status = StatusStatusInfoNotSupportedInMsg
	case a.id != attrProtocolID:
		s.status, s.value = StatusUnrecognizedAttribute, nil // not understood: no value, section 2.2.8
	case again:
		s.status = StatusDuplicateAttribute
	case len(a.value) != protocolIDLen-attrHeaderLen:
		s.status = StatusInvalidAttribValueLength
	case binary.BigEndian.Uint16(a.value) != protocolPPP:
		s.status = StatusValueNotSupported
	default:
		return statusInfo{}, false
	}
	return s, true
}

// appendConnectAck appends a Call Connect Ack, section 2.2.10.
func appendConnectAck(b []byte, hashes uint8, nonce *[nonceLen]byte) []byte {
	start := len(b)
	b = beginControl(b, msgConnectAck, 1)
	b = appendAttrHeader(b, attrBindingReq, bindingReqLen)
	b = append(b, 0, 0, 0, hashes)
	b = append(b, nonce[:]...)
	return endControl(b, start)
}

// parseConnectAck reads a Call Connect Ack. A fault is what to tell the server in a Call Abort.
func parseConnectAck(c control) (hashes uint8, nonce [nonceLen]byte, fault statusInfo) {
	as := c.attributes()
	for a, ok := as.next(); ok; a, ok = as.next() {
		if a.id != attrBindingReq {
			continue // skipped, not refused: section 3.1.5.1 has no rule for unknown attributes here
		}
		if len(a.value) != bindingReqLen-attrHeaderLen {
			return 0, nonce, statusInfo{attrib: attrBindingReq, status: StatusInvalidAttribValueLength}
		}
		return a.value[bindingReserved], [nonceLen]byte(a.value[bindingReserved+1:]), statusInfo{}
	}
	if as.err != nil {
		return 0, nonce, statusInfo{attrib: attrStatusInfo, status: StatusInvalidFrameReceived}
	}
	return 0, nonce, statusInfo{attrib: attrStatusInfo, status: StatusAttribNotSupportedInMsg}
}

// appendConnectNak appends a Call Connect Nak, section 2.2.12.
func appendConnectNak(b []byte, faults []statusInfo) []byte {
	start := len(b)
	b = beginControl(b, msgConnectNak, len(faults))
	for _, s := range faults {
		b = appendStatusInfo(b, s)
	}
	return endControl(b, start)
}

// parseConnectNak returns the first fault that a Call Connect Nak names.
func parseConnectNak(c control) statusInfo { return parseEnd(c) }

// Where things are in a Call Connected, section 2.2.11: the message authentication code covers all of it.
const (
	connectedLen = 112
	hashAt       = 15
	nonceAt      = 16
	certHashAt   = 48
	macAt        = 80
)

// A connected is a Call Connected as it went over the wire.
type connected [connectedLen]byte

func (c *connected) hash() uint8      { return c[hashAt] }
func (c *connected) nonce() []byte    { return c[nonceAt:certHashAt] }
func (c *connected) certHash() []byte { return c[certHashAt:macAt] }
func (c *connected) mac() []byte      { return c[macAt:] }

// makeConnected returns a Call Connected without its code.
func makeConnected(hash uint8, nonce *[nonceLen]byte, certHash []byte) (c connected) {
	b := beginControl(c[:0], msgConnected, 1)
	b = appendAttrHeader(b, attrBinding, bindingLen)
	b = append(b, 0, 0, 0, hash)
	b = append(b, nonce[:]...)
	endControl(b[:connectedLen], 0)
	copy(c[certHashAt:macAt], certHash) // the rest of the field stays zero, section 2.2.7
	return c
}

// parseConnected copies a Call Connected out of packet p. It must be what section 2.2.11 says to the byte, reserved
// bits apart: anything else has no code to check.
func parseConnected(p []byte) (m *connected, ok bool) {
	c := parseControl(p)
	if len(p) != connectedLen || c.count != 1 {
		return nil, false
	}
	as := c.attributes()
	a, ok := as.next()
	if !ok || a.id != attrBinding || len(a.value) != bindingLen-attrHeaderLen {
		return nil, false
	}
	m = new(connected)
	copy(m[:], p)
	return m, true
}
