package eap

import (
	"crypto/hmac"
	"crypto/sha1"
)

// A binding ties PEAP's inner method to its tunnel: who relays the method of another tunnel has the one's keys or the
// other's, not both ([MS-PEAP] section 3.1.5.5).
//
//	IPMK || CMK = PRF+(TK, "Inner Methods Compound Keys" || ISK, 60)
//	MAC  = HMAC-SHA1(CMK, the TLV with zeros for its MAC || 0x19)
//	CSK  = PRF+(IPMK, "Session Key Generating Function" || 0, 128), of which the MSK is the first half
type binding struct {
	ipmk [40]byte
	cmk  [20]byte
}

// newBinding takes the tunnel's key material, 40 bytes or more, and the inner method's keys: 32 bytes of its MSK, zeros
// for a method without. The order is the peer's send key and then its receive key.
func newBinding(material, inner []byte) (b binding) {
	var isk [32]byte
	copy(isk[:], inner)
	k := prfPlus(material[:40], append([]byte("Inner Methods Compound Keys"), isk[:]...), 60)
	copy(b.ipmk[:], k)
	copy(b.cmk[:], k[40:])
	return b
}

// mac is the compound MAC of a crypto-binding TLV, [MS-PEAP] section 3.1.5.5.1.
func (b *binding) mac(tlv *[bindingLen]byte) (m [20]byte) {
	t := *tlv
	clear(t[bindingMAC:])
	h := hmac.New(sha1.New, b.cmk[:])
	h.Write(t[:])
	h.Write([]byte{byte(TypePEAP)})
	h.Sum(m[:0])
	return m
}

// msk is the first half of the CSK, [MS-PEAP] section 3.1.5.7.
func (b *binding) msk() []byte {
	return b.csk()[:64]
}

func (b *binding) csk() []byte {
	return prfPlus(b.ipmk[:], []byte("Session Key Generating Function\x00"), 128)
}

// prfPlus is [MS-PEAP] section 3.1.5.5.2.2: T_n = HMAC-SHA1(key, T_n-1 || seed || n || 0 || 0).
func prfPlus(key, seed []byte, n int) (out []byte) {
	var t []byte
	for i := byte(1); len(out) < n; i++ {
		h := hmac.New(sha1.New, key)
		h.Write(t)
		h.Write(seed)
		h.Write([]byte{i, 0, 0})
		t = h.Sum(nil)
		out = append(out, t...)
	}
	return out[:n]
}
