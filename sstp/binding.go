package sstp

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"hash"
)

// Crypto binding, [MS-SSTP] sections 3.2.5.2 and 3.3.5.2: the Call Connected proves that whoever authenticated inside
// the tunnel is also the end of this TLS connection.
//
//	HLAK = the keys of the authentication, 32 bytes
//	CMK  = HMAC(HLAK, seed || LEN || 0x01)
//	MAC  = HMAC(CMK, Call Connected with zeros where the MAC goes)

const (
	hlakLen     = 32
	bindingSeed = "SSTP inner method derived CMK" // section 3.2.5.2.2, without a NUL
)

// newHash returns the hash function of a hash protocol, and nil for any other number.
func newHash(protocol uint8) func() hash.Hash {
	switch protocol {
	case hashSHA1:
		return sha1.New
	case hashSHA256:
		return sha256.New
	}
	return nil
}

// hashLen is the length of a hash protocol's values; 0 for none of them.
func hashLen(protocol uint8) int {
	switch protocol {
	case hashSHA1:
		return sha1.Size
	case hashSHA256:
		return sha256.Size
	}
	return 0
}

// compoundMAC returns the code of a Call Connected under one HLAK. It is computed over the message as it went over the
// wire, reserved bits included, with only the field of the code zeroed: a message that is built again from what was
// parsed would not be the one the client signed.
func compoundMAC(hlak *[hlakLen]byte, m *connected) []byte {
	h := newHash(m.hash())
	if h == nil {
		return nil
	}
	prf := hmac.New(h, hlak[:])
	prf.Write([]byte(bindingSeed))
	prf.Write([]byte{byte(hashLen(m.hash())), 0, 1}) // LEN is the one little-endian number of the protocol
	mac := hmac.New(h, prf.Sum(nil))
	mac.Write(m[:macAt])
	mac.Write(make([]byte, connectedLen-macAt))
	return mac.Sum(nil)
}

// sign fills in the code.
func (c *connected) sign(hlak *[hlakLen]byte) {
	copy(c.mac(), compoundMAC(hlak, c))
}

// makeHLAK joins two keys: cut after 32 bytes, filled up with zeros, section 3.2.5.2.2.
func makeHLAK(first, second []byte) (k [hlakLen]byte) {
	n := copy(k[:], first)
	copy(k[n:], second)
	return k
}

// clientHLAK returns the client's HLAK: MasterSendKey and then MasterReceiveKey, section 3.2.5.2.2. Without keys it is
// zero: the method has none to give.
func clientHLAK(send, recv []byte) (k [hlakLen]byte, err error) {
	if !keysComplete(send, recv) {
		return k, &BindingError{Part: "no keys"}
	}
	return makeHLAK(send, recv), nil
}

// zeroBesideKeys names the binding that binds nothing, of a session that has keys.
const zeroBesideKeys = "zero, though there are keys"

// A candidate is an HLAK that a client may have used.
type candidate struct {
	name string // for the log
	hlak [hlakLen]byte
}

// serverHLAKs returns what a server tries: its own receiving key is the client's sending key, section 3.2.5.2.4.
//
// The second candidate is what pppd 2.4 and sstp-client make of an EAP-TLS session: pppd's variables hold 16 bytes of
// each key. Both are keys of this session that nobody else has, so either binds it.
//
// The zero candidate beside keys is for clients that bind EAP with nothing (see zeroKeyAllowed).
func serverHLAKs(send, recv []byte, zero bool) ([]candidate, error) {
	if !keysComplete(recv, send) {
		return nil, &BindingError{Part: "no keys"}
	}
	if len(recv) == 0 {
		return []candidate{{name: "zero"}}, nil
	}
	cs := []candidate{{name: "recv+send", hlak: makeHLAK(recv, send)}}
	if len(recv) > hlakLen/2 && len(send) >= hlakLen/2 {
		cs = append(cs, candidate{name: "recv16+send16", hlak: makeHLAK(recv[:hlakLen/2], send)})
	}
	if zero {
		cs = append(cs, candidate{name: zeroBesideKeys})
	}
	return cs, nil
}

// An offer is what a server's Call Connect Ack asked for, and what it can check an answer against.
type offer struct {
	nonce  [nonceLen]byte
	hashes [][]byte // of the certificates that may have been served: SHA-1 and SHA-256 values
}

// protocols returns the Hash Protocol Bitmask: what there are certificate hashes for. RouterOS hangs up when SHA-1 is
// not among them.
func (o *offer) protocols() (bits uint8) {
	for _, h := range o.hashes {
		switch len(h) {
		case sha1.Size:
			bits |= hashSHA1
		case sha256.Size:
			bits |= hashSHA256
		}
	}
	return bits
}

// check verifies all of a Call Connected that does not need keys, section 3.3.5.2.3.
func (o *offer) check(m *connected) error {
	switch {
	case !nonceHolds(o.nonce[:], m.nonce()):
		return &BindingError{Part: "nonce"}
	case !hashOffered(o.protocols(), m.hash()):
		return &BindingError{Part: "hash protocol"}
	case !certificateHolds(o.hashes, m.certHash()[:hashLen(m.hash())]):
		return &BindingError{Part: "certificate"}
	}
	return nil
}

// verify checks the code, and returns the name of the candidate that the client used.
func (m *connected) verify(cs []candidate) (name string, err error) {
	n := hashLen(m.hash())
	for _, c := range cs {
		if macHolds(compoundMAC(&c.hlak, m), m.mac()[:n]) {
			return c.name, nil
		}
	}
	return "", &BindingError{Part: "MAC"}
}

// chooseHash returns the hash protocol that a client uses out of what an Ack offers: SHA-256 where there is a choice,
// section 2.2.6, and SHA-1 alone only where the user allows it.
func chooseHash(offered uint8, allowSHA1 bool) (protocol uint8, err error) {
	switch {
	case offered&hashSHA256 != 0:
		return hashSHA256, nil
	case offered&hashSHA1 != 0 && sha1Allowed(allowSHA1):
		return hashSHA1, nil
	}
	return 0, &BindingError{Part: "hash protocol"}
}

// certHash returns a certificate's hash.
func certHash(protocol uint8, der []byte) []byte {
	h := newHash(protocol)()
	h.Write(der)
	return h.Sum(nil)
}
