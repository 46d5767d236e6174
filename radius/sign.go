package radius

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"hash"
)

// Functions here work on whole encoded packets.

var errSignature = errors.New("radius: wrong authenticator: the secrets differ, or somebody else sent it")

// findSignature returns where the value of the Message-Authenticator is; 0: there is none. More than one, or one of
// another length, is an error: which of them would count?
func findSignature(b []byte) (at int, err error) {
	for i := headerLen; i < len(b); i += int(b[i+1]) {
		if Attr(b[i]) != MessageAuthenticator {
			continue
		}
		if at != 0 || b[i+1] != 18 {
			return 0, errors.New("radius: two Message-Authenticators, or one that is not 16 bytes")
		}
		at = i + 2
	}
	return at, nil
}

// signature is the Message-Authenticator (RFC 3579 section 3.2): HMAC-MD5 over the packet with zeros in the signature's
// place and auth in the Authenticator's.
func signature(b []byte, at int, auth [16]byte, secret Secret) (sum [16]byte) {
	h := hmac.New(func() hash.Hash { return md5.New() }, []byte(secret))
	h.Write(b[:4])
	h.Write(auth[:])
	h.Write(b[headerLen:at])
	h.Write(make([]byte, 16))
	h.Write(b[at+16:])
	h.Sum(sum[:0])
	return sum
}

// digest is MD5 over the packet with auth in the Authenticator's place, and the secret: the Response Authenticator (RFC
// 2865 section 3), and with zeros the Request Authenticator of accounting (RFC 2866 section 3) and of dynamic
// authorization (RFC 5176 section 2.3).
func digest(b []byte, auth [16]byte, secret Secret) (sum [16]byte) {
	h := md5.New()
	h.Write(b[:4])
	h.Write(auth[:])
	h.Write(b[headerLen:])
	h.Write([]byte(secret))
	h.Sum(sum[:0])
	return sum
}

// encode appends p with its secrets hidden and, where sign is set, a Message-Authenticator as the first attribute.
// auth is the Request Authenticator: of the request that p answers, or of p itself if it is an Access-Request or a
// Status-Server; of another request it is zero. The Authenticator of what is encoded is computed, p's own is not looked
// at. Message-Authenticators that p has are left out.
func encode(p *Packet, id byte, auth [16]byte, secret Secret, sign bool) ([]byte, error) {
	q := &Packet{Code: p.Code, Identifier: id, Authenticator: auth, err: p.err}
	if sign {
		// First, so that no prefix of the packet is of an attacker's choice: CVE-2024-3596.
		q.Add(MessageAuthenticator, make([]byte, 16))
	}
	if err := hide(q, p, auth, secret); err != nil {
		return nil, err
	}
	b, err := q.AppendBinary(make([]byte, 0, headerLen+len(q.attrs)))
	if err != nil {
		return nil, err
	}
	if sign {
		sum := signature(b, headerLen+2, auth, secret)
		copy(b[headerLen+2:], sum[:])
	}
	if !p.Code.isAccess() {
		sum := digest(b, auth, secret)
		copy(b[4:], sum[:])
	}
	return b, nil
}

// trim returns the packet without padding. The caller has Parsed it.
func trim(b []byte) []byte { return b[:binary.BigEndian.Uint16(b[2:])] }

// verifyReply checks what answers a request: b is trimmed and parsed. signed reports whether it had a
// Message-Authenticator.
func verifyReply(b []byte, auth [16]byte, secret Secret) (signed bool, err error) {
	sum := digest(b, auth, secret)
	if !sameSum(sum[:], b[4:headerLen]) {
		return false, errSignature
	}
	return verifySignature(b, auth, secret)
}

// verifySignature checks a Message-Authenticator that is there.
func verifySignature(b []byte, auth [16]byte, secret Secret) (signed bool, err error) {
	at, err := findSignature(b)
	if err != nil || at == 0 {
		return false, err
	}
	sum := signature(b, at, auth, secret)
	if !sameSum(sum[:], b[at:at+16]) {
		return false, errSignature
	}
	return true, nil
}

// verifyRequest checks a request: b is trimmed and parsed.
func verifyRequest(b []byte, secret Secret) (signed bool, err error) {
	var zero [16]byte
	if Code(b[0]).isAccess() {
		return verifySignature(b, [16]byte(b[4:]), secret)
	}
	sum := digest(b, zero, secret)
	if !sameSum(sum[:], b[4:headerLen]) {
		return false, errSignature
	}
	// RFC 5176 section 3.4 and RFC 5997 alike: the Authenticator counts as zeros.
	return verifySignature(b, zero, secret)
}

// sameSum compares in constant time.
func sameSum(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
