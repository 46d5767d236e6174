package eap

import "encoding/binary"

// The two Naks of RFC 3748 section 5.3. A legacy Nak is a list of types. An expanded one answers an expanded type: a
// vendor, of which IETF's is 0, and a type of four bytes, for itself and for each type of the list.

const expandedLen = 8 // type 254, vendor 3, type 4

// appendNak appends the data of a legacy Nak: 0 says that there is no type to take.
func appendNak(b []byte, types []Type) []byte {
	if len(types) == 0 {
		return append(b, 0)
	}
	for _, t := range types {
		b = append(b, byte(t))
	}
	return b
}

// appendExpandedNak appends the data of an expanded Nak, behind the type byte.
func appendExpandedNak(b []byte, types []Type) []byte {
	b = append(b, 0, 0, 0, 0, 0, 0, byte(typeNak))
	if len(types) == 0 {
		types = []Type{0}
	}
	for _, t := range types {
		b = append(b, byte(typeExpanded), 0, 0, 0)
		b = binary.BigEndian.AppendUint32(b, uint32(t))
	}
	return b
}

// parseNak returns the types that a Nak of either form asks for; those of other vendors, and 0, are left out.
func parseNak(p packet) (types []Type, ok bool) {
	switch p.typ {
	case typeNak:
		for _, t := range p.data {
			if t != 0 {
				types = append(types, Type(t))
			}
		}
		return types, true
	case typeExpanded:
		// One byte, the type, stands in front of data.
		const head = expandedLen - 1
		if len(p.data) < head || string(p.data[:head]) != "\x00\x00\x00\x00\x00\x00\x03" {
			return nil, false
		}
		for b := p.data[head:]; len(b) >= expandedLen; b = b[expandedLen:] {
			vendor, t := binary.BigEndian.Uint32(b)&0xffffff, binary.BigEndian.Uint32(b[4:])
			if Type(b[0]) == typeExpanded && vendor == 0 && 0 < t && t < 254 {
				types = append(types, Type(t))
			}
		}
		return types, true
	}
	return nil, false
}
