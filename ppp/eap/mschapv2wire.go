package eap

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dialway/dialway/internal/mschap"
	"github.com/dialway/dialway/ppp"
)

// An msCode is what a packet of EAP-MSCHAPv2 is, [MS-CHAP] section 2.2: the codes of CHAP.
type msCode byte

const (
	msChallenge msCode = 1
	msResponse  msCode = 2
	msSuccess   msCode = 3
	msFailure   msCode = 4
	msChange    msCode = 7
)

// Lengths of RFC 2759, sections 3, 4 and 7.
const (
	challengeLen = 16
	responseLen  = 49
	changeLen    = 582 // without the four bytes in front
)

// ownName is what a server calls itself.
const ownName = "dialway"

// A msPacket is code, identifier and length with a body. A peer's answer to Success and Failure is the code alone.
type msPacket struct {
	code msCode
	id   byte
	body []byte
}

// parseMS reads a packet. Its length is not more than there is; the EAP packet's own is the one that bounds it, since
// servers count differently.
func parseMS(b []byte) (p msPacket, ok bool) {
	if len(b) == 1 {
		return msPacket{code: msCode(b[0])}, b[0] == byte(msSuccess) || b[0] == byte(msFailure)
	}
	if len(b) < headerLen {
		return p, false
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < headerLen || n > len(b) {
		return p, false
	}
	return msPacket{code: msCode(b[0]), id: b[1], body: b[headerLen:n:n]}, true
}

func (p msPacket) append(b []byte) []byte {
	b = append(b, byte(p.code), p.id)
	b = binary.BigEndian.AppendUint16(b, uint16(headerLen+len(p.body)))
	return append(b, p.body...)
}

// parseValue splits the body of a Challenge or Response: a value with its length in front, and a name.
func parseValue(body []byte, want int) (value []byte, name string, ok bool) {
	if len(body) < 1+want || int(body[0]) != want || len(body)-1-want > maxIdentity {
		return nil, "", false
	}
	return body[1 : 1+want : 1+want], string(body[1+want:]), true
}

func appendValue(b, value []byte, name string) []byte {
	b = append(append(b, byte(len(value))), value...)
	return append(b, name...)
}

// appendResponse appends the value of a Response: peer's challenge, 8 zeros, NT-Response, flags (RFC 2759 section 4).
func appendResponse(b []byte, peer [challengeLen]byte, nt [24]byte) []byte {
	b = append(b, peer[:]...)
	b = append(b, make([]byte, 8)...)
	return append(append(b, nt[:]...), 0)
}

// successText is the message of a Success, RFC 2759 section 5.
func successText(proof [20]byte, message string) []byte {
	return append(append(mschap.AppendProof(nil, proof), " M="...), clip(message)...)
}

// parseProof returns what follows S=.
func parseProof(body []byte) (proof [20]byte, ok bool) {
	for key, value := range mschap.Fields(body) {
		if key == 'S' {
			return mschap.ParseProof(value)
		}
	}
	return proof, false
}

// failureText is the message of a Failure, RFC 2759 section 6.
func failureText(code int, retry bool, challenge []byte, message string) []byte {
	r := 0
	if retry {
		r = 1
	}
	return fmt.Appendf(nil, "E=%d R=%d C=%X V=3 M=%s", code, r, challenge, clip(message))
}

// parseFailure reads it. Servers leave fields out, in which case the challenge is nil. version is 3, or the server does
// not know how to change a password.
func parseFailure(body []byte) (e *ppp.AuthError, version int) {
	e = &ppp.AuthError{Remote: true}
	for key, value := range mschap.Fields(body) {
		switch key {
		case 'E':
			e.Code, _ = strconv.Atoi(value)
		case 'R':
			e.Retry = value == "1"
		case 'C':
			e.Challenge, _ = hex.DecodeString(value) // 32 digits: Fields looked
		case 'V':
			version, _ = strconv.Atoi(value)
		case 'M':
			e.Message = clip(strings.ToValidUTF8(strings.TrimRight(value, "\x00\r\n"), "\ufffd"))
		}
	}
	return e, version
}

// clip bounds a message without cutting a character in two.
func clip(s string) string {
	n := 255
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
