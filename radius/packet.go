package radius

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"iter"
)

const (
	headerLen = 20
	maxPacket = 4096 // RFC 2865 section 3
	maxValue  = 253
	maxVendor = maxValue - 4 - 2
)

// A Packet is a RADIUS packet with its attributes in order. The zero Packet has none.
type Packet struct {
	Code          Code
	Identifier    byte
	Authenticator [16]byte

	attrs []byte // as on the wire
	err   error  // of the first Add that could not be done
	_     [0]func()
}

var _ encoding.BinaryAppender = (*Packet)(nil)

// Parse checks and copies b. Bytes behind the packet's length are padding, RFC 2865 section 3.
func Parse(b []byte) (*Packet, error) {
	if len(b) < headerLen {
		return nil, fmt.Errorf("radius: a packet of %d bytes", len(b))
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < headerLen || n > maxPacket || n > len(b) {
		return nil, fmt.Errorf("radius: a packet of %d bytes that says %d", len(b), n)
	}
	p := &Packet{Code: Code(b[0]), Identifier: b[1], Authenticator: [16]byte(b[4:])}
	p.attrs = append(p.attrs, b[headerLen:n]...)
	for rest := p.attrs; len(rest) > 0; rest = rest[rest[1]:] {
		if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
			return nil, fmt.Errorf("radius: attribute %d at %d does not fit", rest[0], n-len(rest))
		}
	}
	return p, nil
}

// AppendBinary appends the packet as it is, unsigned and with nothing hidden. An error says which value was too long to
// be added, or that all of it is more than 4096 bytes.
func (p *Packet) AppendBinary(b []byte) ([]byte, error) {
	n := headerLen + len(p.attrs)
	if p.err != nil {
		return b, p.err
	}
	if n > maxPacket {
		return b, fmt.Errorf("radius: a packet of %d bytes, %d are allowed", n, maxPacket)
	}
	b = append(b, byte(p.Code), p.Identifier)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, p.Authenticator[:]...)
	return append(b, p.attrs...), nil
}

// Add appends an attribute. v is copied; AppendBinary reports a v of more than 253 bytes.
func (p *Packet) Add(a Attr, v []byte) {
	if len(v) > maxValue {
		p.fail(fmt.Errorf("radius: attribute %d of %d bytes", a, len(v)))
		return
	}
	p.attrs = append(p.attrs, byte(a), byte(2+len(v)))
	p.attrs = append(p.attrs, v...)
}

// AddVendor appends a vendor's attribute, RFC 2865 section 5.26. v is copied; AppendBinary reports a v of more than 247
// bytes.
func (p *Packet) AddVendor(vendor uint32, typ byte, v []byte) {
	if len(v) > maxVendor {
		p.fail(fmt.Errorf("radius: attribute %d of vendor %d of %d bytes", typ, vendor, len(v)))
		return
	}
	p.attrs = append(p.attrs, byte(VendorSpecific), byte(8+len(v)))
	p.attrs = binary.BigEndian.AppendUint32(p.attrs, vendor)
	p.attrs = append(p.attrs, typ, byte(2+len(v)))
	p.attrs = append(p.attrs, v...)
}

func (p *Packet) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// Remove takes out all attributes of a type.
func (p *Packet) Remove(a Attr) {
	kept := p.attrs[:0:0]
	for t, v := range p.All() {
		if t != a {
			kept = append(append(kept, byte(t), byte(2+len(v))), v...)
		}
	}
	p.attrs = kept
}

// RemoveVendor takes out all of a vendor's attributes of a type, also where others stand beside them.
func (p *Packet) RemoveVendor(vendor uint32, typ byte) {
	q := Packet{err: p.err}
	for t, v := range p.All() {
		if t != VendorSpecific || len(v) < 4 || binary.BigEndian.Uint32(v) != vendor {
			q.Add(t, v)
			continue
		}
		kept, rest := clone(v[:4]), v[4:]
		for len(rest) >= 2 && rest[1] >= 2 && int(rest[1]) <= len(rest) {
			if rest[0] != typ {
				kept = append(kept, rest[:rest[1]]...)
			}
			rest = rest[rest[1]:]
		}
		if kept = append(kept, rest...); len(kept) > 4 || len(v) == 4 { // what is not made as recommended stays
			q.Add(t, kept)
		}
	}
	p.attrs, p.err = q.attrs, q.err
}

// Get returns the first attribute of a type. What it returns is a view, not to be modified.
func (p *Packet) Get(a Attr) ([]byte, bool) {
	for t, v := range p.All() {
		if t == a {
			return v, true
		}
	}
	return nil, false
}

// All gives the attributes in order, as views that are not to be modified.
func (p *Packet) All() iter.Seq2[Attr, []byte] {
	return func(yield func(Attr, []byte) bool) {
		for rest := p.attrs; len(rest) > 0; {
			n := rest[1]
			if !yield(Attr(rest[0]), rest[2:n:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

// Vendor gives a vendor's attributes in order, as views that are not to be modified. What is not made as RFC 2865
// section 5.26 recommends is left out: some vendors have formats of their own.
func (p *Packet) Vendor(vendor uint32) iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for t, v := range p.All() {
			if t != VendorSpecific || len(v) < 4 || binary.BigEndian.Uint32(v) != vendor {
				continue
			}
			for rest := v[4:]; len(rest) >= 2; {
				n := int(rest[1])
				if n < 2 || n > len(rest) {
					break
				}
				if !yield(rest[0], rest[2:n:n]) {
					return
				}
				rest = rest[n:]
			}
		}
	}
}

// getVendor returns the first of a vendor's attributes of a type.
func (p *Packet) getVendor(vendor uint32, typ byte) ([]byte, bool) {
	for t, v := range p.Vendor(vendor) {
		if t == typ {
			return v, true
		}
	}
	return nil, false
}

// concat joins all attributes of a type, which is how EAP-Message carries more than fits (RFC 3579 section 3.1).
func (p *Packet) concat(a Attr) (b []byte, ok bool) {
	for t, v := range p.All() {
		if t == a {
			b, ok = append(b, v...), true
		}
	}
	return b, ok
}

// addLong adds a value in as many attributes as it takes; an empty one in one.
func (p *Packet) addLong(a Attr, v []byte) {
	for ; len(v) > maxValue; v = v[maxValue:] {
		p.Add(a, v[:maxValue])
	}
	p.Add(a, v)
}

// addText adds the beginning of a text, and none that is empty: RFC 2865 section 5.
func (p *Packet) addText(a Attr, s string) {
	if s != "" {
		p.Add(a, []byte(s[:min(len(s), maxValue)]))
	}
}

func (p *Packet) addUint32(a Attr, n uint32) {
	p.Add(a, binary.BigEndian.AppendUint32(nil, n))
}

func (p *Packet) addVendorUint32(vendor uint32, typ byte, n uint32) {
	p.AddVendor(vendor, typ, binary.BigEndian.AppendUint32(nil, n))
}

// uint32 returns an attribute that is a number.
func (p *Packet) uint32(a Attr) (n uint32, ok bool) {
	v, ok := p.Get(a)
	if !ok || len(v) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(v), true
}

func (p *Packet) text(a Attr) string {
	v, _ := p.Get(a)
	return string(v)
}

// clone returns a copy that shares nothing.
func (p *Packet) clone() *Packet {
	return &Packet{Code: p.Code, Identifier: p.Identifier, Authenticator: p.Authenticator, attrs: append([]byte(nil), p.attrs...), err: p.err}
}
