package sstp

import (
	"encoding/binary"
	"errors"
)

// An attribute's header, [MS-SSTP] section 2.2.4:
//
//	 0               1               2               3
//	+---------------+---------------+-------+-----------------------+
//	| Reserved      | Attribute ID  | R     | Length                |
//	+---------------+---------------+-------+-----------------------+
//
// Length counts the header.
const (
	attrNoError      = 0 // only inside a STATUS_INFO
	attrProtocolID   = 1 // ENCAPSULATED_PROTOCOL_ID
	attrStatusInfo   = 2
	attrBinding      = 3 // CRYPTO_BINDING
	attrBindingReq   = 4 // CRYPTO_BINDING_REQ
	attrHeaderLen    = 4
	protocolIDLen    = 6
	statusInfoLen    = 12 // without a value
	bindingLen       = 104
	bindingReqLen    = 40
	maxStatusValue   = 64 // bytes of an offending value in a STATUS_INFO, section 2.2.8
	maxStatusInfos   = 16 // in one Nak that is sent; no request of a sound client has as many faults
	protocolPPP      = 0x0001
	nonceLen         = 32
	hashFieldLen     = 32 // a SHA-1 value is followed by 12 zero bytes
	bindingReserved  = 3
	statusInfoPrefix = 4 // reserved 3, AttribID
)

// errAttributes means that a list of attributes does not fit its packet.
var errAttributes = errors.New("sstp: attributes do not fit the packet")

// An attribute is a view of one in a packet.
type attribute struct {
	id    uint8
	value []byte
}

// attributes walks a list. After next has returned false, err says whether the list was sound; bytes behind the last
// attribute are not looked at, since accel-ppp's Nak has two too many.
type attributes struct {
	b   []byte
	n   int // left, as the packet says
	err error
}

// next returns the next attribute.
func (a *attributes) next() (attribute, bool) {
	if a.n == 0 || a.err != nil {
		return attribute{}, false
	}
	if len(a.b) < attrHeaderLen {
		a.err = errAttributes
		return attribute{}, false
	}
	n := int(binary.BigEndian.Uint16(a.b[2:]) & lengthMask)
	if n < attrHeaderLen || n > len(a.b) {
		a.err = errAttributes
		return attribute{}, false
	}
	at := attribute{id: a.b[1], value: a.b[attrHeaderLen:n:n]}
	a.b = a.b[n:]
	a.n--
	return at, true
}

// appendAttrHeader appends the header of an attribute of n bytes in all.
func appendAttrHeader(b []byte, id uint8, n int) []byte {
	return append(b, 0, id, byte(n>>8), byte(n))
}

// A statusInfo is a STATUS_INFO attribute, section 2.2.8: what is wrong with which attribute.
type statusInfo struct {
	attrib uint8
	status Status
	value  []byte // of the attribute, in a Nak only; at most 64 bytes are sent
}

// appendStatusInfo appends the attribute.
func appendStatusInfo(b []byte, s statusInfo) []byte {
	value := s.value[:min(len(s.value), maxStatusValue)]
	b = appendAttrHeader(b, attrStatusInfo, statusInfoLen+len(value))
	b = append(b, 0, 0, 0, s.attrib)
	b = binary.BigEndian.AppendUint32(b, uint32(s.status))
	return append(b, value...)
}

// parseStatusInfo reads the value of the attribute as far as it goes. sorz/sstp-server leaves out the four bytes in
// front of the status.
func parseStatusInfo(value []byte) (s statusInfo, ok bool) {
	switch {
	case len(value) >= statusInfoLen-attrHeaderLen:
		return statusInfo{
			attrib: value[3],
			status: Status(binary.BigEndian.Uint32(value[statusInfoPrefix:])),
			value:  value[8:],
		}, true
	case len(value) == 4:
		return statusInfo{status: Status(binary.BigEndian.Uint32(value))}, true
	}
	return statusInfo{}, false
}
