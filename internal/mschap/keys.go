package mschap

import (
	"crypto/rc4"
	"crypto/sha1"
)

// MasterKey is what the keys of both directions are made from (RFC 3079 section 3.4, GetMasterKey). hashHash is HashHash
// of the password's hash.
func MasterKey(hashHash [16]byte, response [24]byte) (key [16]byte) {
	const magic1 = "This is the MPPE Master Key"
	h := sha1.New()
	h.Write(hashHash[:])
	h.Write(response[:])
	h.Write([]byte(magic1))
	var sum [20]byte
	copy(key[:], h.Sum(sum[:0]))
	return key
}

// StartKeys returns the 128-bit keys of both directions as one end sees them (RFC 3079 section 3.4,
// GetAsymmetricStartKey): what the client sends with, the server receives with. The key of 40 or 56 bits is the first
// half.
func StartKeys(master [16]byte, server bool) (send, recv [16]byte) {
	const (
		magic2 = "On the client side, this is the send key; on the server side, it is the receive key."
		magic3 = "On the client side, this is the receive key; on the server side, it is the send key."
	)
	send, recv = startKey(master, magic2), startKey(master, magic3)
	if server {
		send, recv = recv, send
	}
	return send, recv
}

func startKey(master [16]byte, magic string) (key [16]byte) {
	copy(key[:], padded(master[:], []byte(magic)))
	return key
}

// padded is SHA-1 over a, 40 zeros, b and 40 times F2, which RFC 3079 uses wherever it makes a key of keys.
func padded(a, b []byte) []byte {
	var pad [40]byte
	h := sha1.New()
	h.Write(a)
	h.Write(pad[:])
	h.Write(b)
	for i := range pad {
		pad[i] = 0xf2
	}
	h.Write(pad[:])
	return h.Sum(make([]byte, 0, 20))
}

// A Strength is how many bits of an MPPE key are secret.
type Strength int

const (
	Bits40  Strength = 40
	Bits56  Strength = 56
	Bits128 Strength = 128
)

// keyLen is how many bytes a key has.
func (s Strength) keyLen() int {
	if s == Bits128 {
		return 16
	}
	return 8
}

// weaken gives the bits away that a strength gives away (RFC 3079 sections 3.2 and 3.3).
func (s Strength) weaken(key []byte) {
	switch s {
	case Bits40:
		copy(key, "\xd1\x26\x9e")
	case Bits56:
		key[0] = 0xd1
	}
}

// SessionKey is the first key that MPPE encrypts with (RFC 3079 section 3.4, GetNewKeyFromSHA): 16 bytes, or 8 for 40
// and 56 bits.
func SessionKey(start [16]byte, s Strength) []byte {
	n := s.keyLen()
	key := padded(start[:n], start[:n])[:n]
	s.weaken(key)
	return key
}

// NextKey is the key after session: the interim key, encrypted with itself (RFC 3078 section 7.3).
func NextKey(start [16]byte, session []byte, s Strength) ([]byte, error) {
	n := s.keyLen()
	interim := padded(start[:n], session)[:n]
	c, err := rc4.NewCipher(interim)
	if err != nil {
		return nil, err
	}
	key := make([]byte, n)
	c.XORKeyStream(key, interim)
	s.weaken(key)
	return key, nil
}
