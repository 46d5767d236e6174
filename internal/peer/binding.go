package peer

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"hash"
)

// Hash protocols of the crypto binding, [MS-SSTP] section 2.2.6.
const (
	SHA1   = 1
	SHA256 = 2
)

func hashOf(protocol byte) func() hash.Hash {
	if protocol == SHA1 {
		return sha1.New
	}
	return sha256.New
}

// CertHash is a certificate's hash by a hash protocol.
func CertHash(protocol byte, der []byte) []byte {
	h := hashOf(protocol)()
	h.Write(der)
	return h.Sum(nil)
}

// CallConnected makes a Call Connected that binds to nonce and certificate with a HLAK of up to 32 bytes, [MS-SSTP]
// section 3.2.5.2; none stands for zeros. mangle, unless nil, changes the packet before it is authenticated.
func CallConnected(protocol byte, nonce, der, hlak []byte, mangle func([]byte)) []byte {
	v := append([]byte{0, 0, 0, protocol}, nonce...)
	v = append(v, CertHash(protocol, der)...)
	p := Control(Connected, Attr(AttrBinding, append(v, make([]byte, 100-len(v))...)))
	if mangle != nil {
		mangle(p)
	}
	copy(p[80:], compoundMAC(protocol, p, hlak))
	return p
}

// compoundMAC authenticates a Call Connected whose code is zero.
func compoundMAC(protocol byte, p, hlak []byte) []byte {
	h := hashOf(protocol)
	key := make([]byte, 32)
	copy(key, hlak)
	m := hmac.New(h, key)
	m.Write([]byte("SSTP inner method derived CMK"))
	m.Write([]byte{byte(h().Size()), 0, 1}) // the length is little-endian, section 3.2.5.2.2
	cmk := m.Sum(nil)
	m = hmac.New(h, cmk)
	m.Write(p)
	return m.Sum(nil)
}

// CheckConnected says what is wrong with a Call Connected.
func CheckConnected(p Packet, nonce, der, hlak []byte) error {
	if len(p) != 112 || p.Type() != Connected {
		return fmt.Errorf("no Call Connected: %v", p)
	}
	protocol := p[15]
	want := CertHash(protocol, der)
	q := bytes.Clone(p)
	clear(q[80:])
	mac := compoundMAC(protocol, q, hlak)
	switch {
	case protocol != SHA1 && protocol != SHA256:
		return fmt.Errorf("hash protocol %d", protocol)
	case !bytes.Equal(p[16:48], nonce):
		return fmt.Errorf("another nonce")
	case !bytes.Equal(p[48:48+len(want)], want):
		return fmt.Errorf("another certificate")
	case !bytes.Equal(p[80:80+len(mac)], mac):
		return fmt.Errorf("another MAC")
	}
	return nil
}
