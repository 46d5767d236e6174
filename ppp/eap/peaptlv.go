package eap

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of TLVs, [MS-PEAP] section 2.2.8.1, and the bit that says that they must be understood.
const (
	tlvResult    = 3
	tlvBinding   = 12
	tlvMandatory = 0x8000
	tlvTypeMask  = 0x3fff
)

const (
	resultSuccess = 1
	resultFailure = 2
)

// A crypto-binding TLV: type and length, a reserved byte, version and received version, both 0, the subtype, a nonce of
// 32 bytes and the compound MAC.
const (
	bindingLen     = 60
	bindingSubtype = 7
	bindingNonce   = 8
	bindingMAC     = 40

	bindingRequest  = 0
	bindingResponse = 1
)

// The tlvs of one packet.
type tlvs struct {
	result  uint16            // 0: none
	binding *[bindingLen]byte // nil: none
}

var errTLV = errors.New("eap: PEAP TLVs that cannot be read")

func parseTLVs(b []byte) (t tlvs, err error) {
	for len(b) > 0 {
		if len(b) < 4 {
			return tlvs{}, fmt.Errorf("%w: %d bytes at the end", errTLV, len(b))
		}
		typ, n := binary.BigEndian.Uint16(b), 4+int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b) {
			return tlvs{}, fmt.Errorf("%w: %d bytes of %d", errTLV, len(b), n)
		}
		switch typ & tlvTypeMask {
		case tlvResult:
			if n != 6 || t.result != 0 {
				return tlvs{}, fmt.Errorf("%w: the result", errTLV)
			}
			t.result = binary.BigEndian.Uint16(b[4:])
		case tlvBinding:
			if n != bindingLen || t.binding != nil {
				return tlvs{}, fmt.Errorf("%w: the crypto binding", errTLV)
			}
			c := [bindingLen]byte(b)
			t.binding = &c
		default:
			if typ&tlvMandatory != 0 {
				return tlvs{}, fmt.Errorf("%w: type %d, which must be understood", errTLV, typ&tlvTypeMask)
			}
		}
		b = b[n:]
	}
	return t, nil
}

func (t tlvs) append(b []byte) []byte {
	if t.result != 0 {
		b = binary.BigEndian.AppendUint16(b, tlvMandatory|tlvResult)
		b = binary.BigEndian.AppendUint16(b, 2)
		b = binary.BigEndian.AppendUint16(b, t.result)
	}
	if t.binding != nil {
		b = append(b, t.binding[:]...)
	}
	return b
}

// newTLV makes a crypto-binding TLV.
func (b *binding) newTLV(subtype byte, nonce [32]byte) *[bindingLen]byte {
	t := &[bindingLen]byte{1: tlvBinding, 3: bindingLen - 4, bindingSubtype: subtype}
	copy(t[bindingNonce:], nonce[:])
	mac := b.mac(t)
	copy(t[bindingMAC:], mac[:])
	return t
}

// holds reports whether a TLV of a subtype proves both keys.
func (b *binding) holds(t *[bindingLen]byte, subtype byte) bool {
	want := b.mac(t)
	return t[bindingSubtype] == subtype && t[5] == 0 && bindingHolds(want[:], t[bindingMAC:])
}
