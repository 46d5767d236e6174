package eap

import (
	"encoding/binary"
	"fmt"
)

// A Type is an EAP method type.
type Type uint8

const (
	TypeTLS      Type = 13 // RFC 5216, RFC 9190
	TypePEAP     Type = 25 // [MS-PEAP]
	TypeMSCHAPv2 Type = 26 // [MS-CHAP]
)

// Types that the package itself answers (RFC 3748 section 5), or that are no methods.
const (
	typeIdentity     Type = 1
	typeNotification Type = 2
	typeNak          Type = 3
	typeTLV          Type = 33  // extensions of PEAP, [MS-PEAP] section 2.2.8
	typeExpanded     Type = 254 // RFC 3748 section 5.7
)

// String returns the type's name, or its number.
func (t Type) String() string {
	switch t {
	case typeIdentity:
		return "Identity"
	case typeNak:
		return "Nak"
	case 4:
		return "EAP-MD5"
	case TypeTLS:
		return "EAP-TLS"
	case TypePEAP:
		return "PEAP"
	case TypeMSCHAPv2:
		return "EAP-MSCHAPv2"
	}
	return fmt.Sprintf("EAP type %d", uint8(t))
}

// A code is what an EAP packet is (RFC 3748 section 4).
type code uint8

const (
	codeRequest  code = 1
	codeResponse code = 2
	codeSuccess  code = 3
	codeFailure  code = 4
)

// headerLen is code, identifier and length; a Request or Response has a type behind it.
const headerLen = 4

// A packet is a Request or a Response. data is a view of what was parsed.
type packet struct {
	code code
	id   byte
	typ  Type
	data []byte
}

// parsePacket reads a Request or Response. What stands behind its length is padding of the layer below (section 4.1).
func parsePacket(b []byte) (p packet, ok bool) {
	if len(b) < headerLen+1 {
		return p, false
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < headerLen+1 || n > len(b) {
		return p, false
	}
	p = packet{code: code(b[0]), id: b[1], typ: Type(b[4]), data: b[headerLen+1 : n : n]}
	return p, p.code == codeRequest || p.code == codeResponse
}

// append appends the packet.
func (p packet) append(b []byte) []byte {
	b = append(b, byte(p.code), p.id)
	b = binary.BigEndian.AppendUint16(b, uint16(headerLen+1+len(p.data)))
	return append(append(b, byte(p.typ)), p.data...)
}
