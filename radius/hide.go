package radius

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
)

const maxPassword = 128 // RFC 2865 section 5.2

// hide adds src's attributes to dst with their secrets hidden, and without Message-Authenticators.
func hide(dst, src *Packet, auth [16]byte, secret Secret) error {
	salt := uint16(0)
	for a, v := range src.All() {
		switch {
		case a == MessageAuthenticator:
		case a == UserPassword && src.Code == AccessRequest:
			b, err := hidePassword(v, auth, secret)
			if err != nil {
				return err
			}
			dst.Add(a, b)
		case isKey(a, v) && src.Code == AccessAccept:
			if salt == 0 {
				var r [2]byte
				rand.Read(r[:])
				// RFC 2548 section 2.4.2: the top bit is set, and no two salts of a packet are the same.
				salt = binary.BigEndian.Uint16(r[:]) | 0x8000
			} else {
				salt = (salt + 1) | 0x8000
			}
			b, err := hideKey(v[6:], salt, auth, secret)
			if err != nil {
				return err
			}
			dst.AddVendor(Microsoft, v[4], b)
		default:
			dst.Add(a, v)
		}
	}
	return nil
}

// reveal takes the secrets of a verified packet out of hiding. auth is the Request Authenticator.
func reveal(p *Packet, auth [16]byte, secret Secret) error {
	q := &Packet{}
	for a, v := range p.All() {
		switch {
		case a == UserPassword && p.Code == AccessRequest:
			b, err := revealPassword(v, auth, secret)
			if err != nil {
				return err
			}
			q.Add(a, b)
		case isKey(a, v) && p.Code == AccessAccept:
			b, err := revealKey(v[6:], auth, secret)
			if err != nil {
				return err
			}
			q.AddVendor(Microsoft, v[4], b)
		default:
			q.Add(a, v)
		}
	}
	p.attrs = q.attrs
	return nil
}

// isKey reports whether an attribute is one MPPE key, alone in its attribute as RFC 2548 section 2 has it.
func isKey(a Attr, v []byte) bool {
	return a == VendorSpecific && len(v) >= 6 && binary.BigEndian.Uint32(v) == Microsoft &&
		(v[4] == msMPPESendKey || v[4] == msMPPERecvKey) && int(v[5]) == len(v)-4
}

// chain encrypts or decrypts blocks of 16 bytes in place: each is XORed with MD5 of the secret and the encrypted block
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

// revealPassword is the inverse. Padding is cut: a password has no zeros at its end.
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

// revealKey is the inverse.
func revealKey(hidden []byte, auth [16]byte, secret Secret) ([]byte, error) {
	if len(hidden) < 18 || (len(hidden)-2)%16 != 0 || hidden[0]&0x80 == 0 {
		return nil, fmt.Errorf("radius: an MPPE key of %d bytes, or with a wrong salt", len(hidden))
	}
	b := append([]byte(nil), hidden[2:]...)
	chain(b, secret, append(auth[:], hidden[:2]...), true)
	n := int(b[0])
	if n > len(b)-1 {
		return nil, errors.New("radius: an MPPE key that is longer than its attribute")
	}
	return b[1 : 1+n], nil
}
