package radius

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

const maxPassword = 128 // RFC 2865 section 5.2

// hide adds src's attributes to dst with their secrets hidden, and without Message-Authenticators.
func hide(dst, src *Packet, auth [16]byte, secret Secret) error {
	var salts salter
	for a, v := range src.All() {
		switch kind := secretIn(src.Code, a, v); kind {
		case noSecret:
			if a != MessageAuthenticator {
				dst.Add(a, v)
			}
		case aPassword:
			b, err := hidePassword(v, auth, secret)
			if err != nil {
				return err
			}
			dst.Add(a, b)
		case aTunnelPassword:
			b, err := hideKey(v[1:], salts.next(), auth, secret)
			if err != nil {
				return err
			}
			dst.Add(a, append([]byte{v[0]}, b...))
		case aKey:
			b, err := hideKey(v[6:], salts.next(), auth, secret)
			if err != nil {
				return err
			}
			dst.AddVendor(Microsoft, v[4], b)
		case anOldKey:
			dst.AddVendor(Microsoft, v[4], chained(v[6:], secret, auth, false))
		}
	}
	return nil
}

// reveal takes the secrets of a verified packet out of hiding. auth is the Request Authenticator.
func reveal(p *Packet, auth [16]byte, secret Secret) error {
	q := &Packet{}
	for a, v := range p.apart() {
		switch kind := secretIn(p.Code, a, v); kind {
		case noSecret:
			q.Add(a, v)
		case aPassword:
			b, err := revealPassword(v, auth, secret)
			if err != nil {
				return err
			}
			q.Add(a, b)
		case aTunnelPassword:
			b, err := revealKey(v[1:], auth, secret)
			if err != nil {
				return fmt.Errorf("Tunnel-Password: %w", err)
			}
			q.Add(a, append([]byte{v[0]}, b...))
		case aKey:
			b, err := revealKey(v[6:], auth, secret)
			if err != nil {
				return err
			}
			q.AddVendor(Microsoft, v[4], b)
		case anOldKey:
			q.AddVendor(Microsoft, v[4], chained(v[6:], secret, auth, true))
		}
	}
	p.attrs = q.attrs
	return q.err
}

// What of an attribute is hidden by the shared secret, and so must be hidden anew for the next hop. Other vendors' are
// not known here, and pass as they are.
type secretKind uint8

const (
	noSecret        secretKind = iota
	aPassword                  // User-Password, RFC 2865 section 5.2
	aTunnelPassword            // tag, salt and text: RFC 2868 section 3.5
	aKey                       // MS-MPPE-Send-Key and MS-MPPE-Recv-Key, RFC 2548 section 2.4.2
	anOldKey                   // MS-CHAP-MPPE-Keys, as a password but of 32 bytes that may end in zeros: RFC 2548 section 2.4.1
)

// secretIn says what an attribute of a packet hides.
func secretIn(c Code, a Attr, v []byte) secretKind {
	switch {
	case a == UserPassword && c == AccessRequest:
		return aPassword
	case c != AccessAccept:
	case a == TunnelPassword && len(v) > 0:
		return aTunnelPassword
	case a == VendorSpecific && len(v) >= 6 && binary.BigEndian.Uint32(v) == Microsoft && int(v[5]) == len(v)-4:
		switch {
		case v[4] == msMPPESendKey || v[4] == msMPPERecvKey:
			return aKey
		case v[4] == msCHAPMPPEKeys && len(v) == 6+32:
			return anOldKey
		}
	}
	return noSecret
}

// apart gives all attributes, those of Microsoft one at a time: RFC 2865 section 5.26 lets several stand in one, and a key
// among them is to be found.
func (p *Packet) apart() iter.Seq2[Attr, []byte] {
	return func(yield func(Attr, []byte) bool) {
		for a, v := range p.All() {
			if !severalOfMicrosoft(a, v) {
				if !yield(a, v) {
					return
				}
				continue
			}
			for rest := v[4:]; len(rest) > 0; rest = rest[rest[1]:] {
				if !yield(a, append(clone(v[:4]), rest[:rest[1]]...)) {
					return
				}
			}
		}
	}
}

// severalOfMicrosoft reports whether a value is more than one attribute of Microsoft's, all of them well made.
func severalOfMicrosoft(a Attr, v []byte) bool {
	if a != VendorSpecific || len(v) < 6 || binary.BigEndian.Uint32(v) != Microsoft {
		return false
	}
	n := 0
	for rest := v[4:]; len(rest) > 0; n++ {
		if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
			return false
		}
		rest = rest[rest[1]:]
	}
	return n > 1
}

// A salter makes salts: the top bit is set, and no two of a packet are the same (RFC 2548 section 2.4.2).
type salter struct{ last uint16 }

func (s *salter) next() uint16 {
	if s.last == 0 {
		var r [2]byte
		rand.Read(r[:])
		s.last = binary.BigEndian.Uint16(r[:])
	}
	s.last = (s.last + 1) | 0x8000
	return s.last
}

// chained is a copy of whole blocks, hidden as a password is or taken out of hiding.
func chained(b []byte, secret Secret, auth [16]byte, decrypt bool) []byte {
	b = clone(b)
	chain(b, secret, auth[:], decrypt)
	return b
}

// chain is RFC 2865 section 5.2's stream cipher, which all others here are made of. It encrypts or decrypts blocks of 16 bytes in place: each is XORed with MD5 of the secret and the encrypted block
// before it, the first with MD5 of the secret and iv.
func chain(b []byte, secret Secret, iv []byte, decrypt bool) {
	var prev [16]byte
	for i := 0; i < len(b); i += 16 {
		h := md5.New()
		h.Write([]byte(secret))
		if i == 0 {
			h.Write(iv)
		} else {
			h.Write(prev[:])
		}
		var pad [16]byte
		h.Sum(pad[:0])
		if decrypt {
			copy(prev[:], b[i:])
		}
		for j := range 16 {
			b[i+j] ^= pad[j]
		}
		if !decrypt {
			copy(prev[:], b[i:])
		}
	}
}

// hidePassword is RFC 2865 section 5.2.
func hidePassword(password []byte, auth [16]byte, secret Secret) ([]byte, error) {
	if len(password) > maxPassword {
		return nil, fmt.Errorf("radius: a password of %d bytes, %d are allowed", len(password), maxPassword)
	}
	b := make([]byte, max(16, (len(password)+15)&^15))
	copy(b, password)
	chain(b, secret, auth[:], false)
	return b, nil
}

// revealPassword is the inverse. With another secret it is noise, which nothing tells from a password: that is why an
// Access-Request needs a Message-Authenticator. Padding is cut: a password has no zeros at its end.
func revealPassword(hidden []byte, auth [16]byte, secret Secret) ([]byte, error) {
	if len(hidden) == 0 || len(hidden) > maxPassword || len(hidden)%16 != 0 {
		return nil, fmt.Errorf("radius: a User-Password of %d bytes", len(hidden))
	}
	b := append([]byte(nil), hidden...)
	chain(b, secret, auth[:], true)
	n := len(b)
	for n > 0 && b[n-1] == 0 {
		n--
	}
	return b[:n], nil
}

// hideKey is RFC 2548 section 2.4.2: salt, then length, key and padding in hiding.
func hideKey(key []byte, salt uint16, auth [16]byte, secret Secret) ([]byte, error) {
	if len(key) > 239 {
		return nil, fmt.Errorf("radius: a key of %d bytes", len(key))
	}
	b := make([]byte, 2+(1+len(key)+15)&^15)
	binary.BigEndian.PutUint16(b, salt)
	b[2] = byte(len(key))
	copy(b[3:], key)
	chain(b[2:], secret, append(auth[:], b[:2]...), false)
	return b, nil
}

// revealKey is the inverse. A length that does not fit is how another secret shows.
func revealKey(hidden []byte, auth [16]byte, secret Secret) ([]byte, error) {
	if len(hidden) < 18 || (len(hidden)-2)%16 != 0 || hidden[0]&0x80 == 0 {
		return nil, fmt.Errorf("radius: a key of %d bytes, or with a wrong salt", len(hidden))
	}
	b := append([]byte(nil), hidden[2:]...)
	chain(b, secret, append(auth[:], hidden[:2]...), true)
	n := int(b[0])
	if n > len(b)-1 {
		return nil, errors.New("radius: a key that is longer than its attribute")
	}
	return b[1 : 1+n], nil
}
