// Package mschap computes what MS-CHAPv2 (RFC 2759) and the MPPE keys made from it (RFC 3079) are made of. Every
// function is pure and works on arrays of the RFCs' sizes; packets are the business of those who call.
//
// MD4, DES and RC4 are forbidden where GODEBUG=fips140=only is set. [NTPasswordHash], [EncryptPassword] and
// [DecryptPassword] then return [ErrFIPS]; who calls another function with a hash that came from elsewhere calls
// [Available] first.
package mschap

import (
	"crypto/des"
	"crypto/fips140"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"math/bits"
	"strings"

	//lint:ignore SA1019 RFC 2759 is made of MD4; the package is frozen, not gone.
	"golang.org/x/crypto/md4"
)

// ErrFIPS says that this process may not compute MS-CHAPv2.
var ErrFIPS = errors.New("mschap: MD4, DES, RC4 and SHA-1 are not allowed in FIPS 140-only mode")

// Available returns ErrFIPS where the process enforces FIPS 140, nil elsewhere.
func Available() error {
	if fips140.Enforced() {
		return ErrFIPS
	}
	return nil
}

// NTPasswordHash is MD4 of the password in UTF-16LE (RFC 2759 section 8.3). It fails for what is no password: more than
// 256 UTF-16 units, or not UTF-8.
func NTPasswordHash(password string) (hash [16]byte, err error) {
	if err := Available(); err != nil {
		return hash, err
	}
	b, err := appendUTF16(make([]byte, 0, 64), password)
	if err != nil {
		return hash, err
	}
	return sum4(b), nil
}

// HashHash is MD4 of a password's hash (RFC 2759 section 8.4, HashNtPasswordHash).
func HashHash(hash [16]byte) [16]byte { return sum4(hash[:]) }

func sum4(b []byte) (sum [16]byte) {
	h := md4.New()
	h.Write(b)
	h.Sum(sum[:0])
	return sum
}

// UserPart is the part of a name that is hashed: DOMAIN\user without its domain, user@domain whole, both as sent (RFC
// 2759 section 4: "without any domain").
func UserPart(name string) string {
	return name[strings.LastIndexByte(name, '\\')+1:]
}

// ChallengeHash joins both ends' challenges and the user's name (RFC 2759 section 8.2). name may have a domain in
// front, which is left out.
func ChallengeHash(peer, auth [16]byte, name string) (challenge [8]byte) {
	h := sha1.New()
	h.Write(peer[:])
	h.Write(auth[:])
	h.Write([]byte(UserPart(name)))
	var sum [20]byte
	copy(challenge[:], h.Sum(sum[:0]))
	return challenge
}

// NTResponse is the proof that the peer knows the password (RFC 2759 section 8.1, GenerateNTResponse).
func NTResponse(auth, peer [16]byte, name string, hash [16]byte) [24]byte {
	return ChallengeResponse(ChallengeHash(peer, auth, name), hash)
}

// ChallengeResponse encrypts a challenge with the three DES keys in a password's hash (RFC 2759 section 8.5).
func ChallengeResponse(challenge [8]byte, hash [16]byte) (response [24]byte) {
	var keys [21]byte // the hash and five zeros: the third key has 16 bits
	copy(keys[:], hash[:])
	for i := range 3 {
		desEncrypt(response[8*i:8*i+8], challenge[:], [7]byte(keys[7*i:]))
	}
	return response
}

// AuthenticatorResponse is the proof that the authenticator knows the password's hash, too (RFC 2759 section 8.7).
func AuthenticatorResponse(hash [16]byte, response [24]byte, peer, auth [16]byte, name string) (proof [20]byte) {
	const (
		magic1 = "Magic server to client signing constant"
		magic2 = "Pad to make it do more than one iteration"
	)
	hh := HashHash(hash)
	challenge := ChallengeHash(peer, auth, name)
	h := sha1.New()
	h.Write(hh[:])
	h.Write(response[:])
	h.Write([]byte(magic1))
	var digest [20]byte
	h.Sum(digest[:0])
	h.Reset()
	h.Write(digest[:])
	h.Write(challenge[:])
	h.Write([]byte(magic2))
	h.Sum(proof[:0])
	return proof
}

// AppendProof appends an authenticator response as a Success packet has it: "S=" and 40 upper-case digits (RFC 2759
// section 5).
func AppendProof(b []byte, proof [20]byte) []byte {
	const digits = "0123456789ABCDEF"
	b = append(b, 'S', '=')
	for _, c := range proof {
		b = append(b, digits[c>>4], digits[c&15])
	}
	return b
}

// ParseProof reads 40 digits of either case, which is what stands behind "S=".
func ParseProof(text string) (proof [20]byte, ok bool) {
	if len(text) != 2*len(proof) {
		return proof, false
	}
	n, err := hex.Decode(proof[:], []byte(text))
	return proof, n == len(proof) && err == nil
}

func desEncrypt(dst, src []byte, key [7]byte) { desCipher(key).Encrypt(dst, src) }
func desDecrypt(dst, src []byte, key [7]byte) { desCipher(key).Decrypt(dst, src) }

// desBlock is the part of cipher.Block that is used.
type desBlock interface {
	Encrypt(dst, src []byte)
	Decrypt(dst, src []byte)
}

func desCipher(key [7]byte) desBlock {
	k := desKey(key)
	c, err := des.NewCipher(k[:])
	if err != nil {
		panic("mschap: " + err.Error()) // eight bytes are a key, unless Available was not asked
	}
	return c
}

// desKey spreads 56 bits over the upper seven bits of eight bytes, and sets the lowest to odd parity (RFC 2759 section
// 8.6, DesEncrypt).
func desKey(key [7]byte) (k [8]byte) {
	var v uint64
	for _, c := range key {
		v = v<<8 | uint64(c)
	}
	for i := range k {
		c := byte(v>>(49-7*i)) << 1
		k[i] = c | byte(bits.OnesCount8(c)&1^1)
	}
	return k
}
