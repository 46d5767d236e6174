package ppp

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/dialway/dialway/internal/mschap"
)

// Lengths of MS-CHAPv2's values, RFC 2759 sections 3, 4 and 7.
const (
	msChallengeLen = 16
	msResponseLen  = 49
	msChangeLen    = 582 // a packet of 586, without its header
)

// A msResponse is the value of a Response: the peer's challenge, 8 bytes that are zero, the NT-Response, and flags that
// are zero (RFC 2759 section 4). What must be zero is not looked at.
type msResponse struct {
	peer [msChallengeLen]byte
	nt   [24]byte
}

func parseMSResponse(value []byte) (r msResponse, ok bool) {
	if len(value) != msResponseLen {
		return r, false
	}
	copy(r.peer[:], value)
	copy(r.nt[:], value[24:])
	return r, true
}

func (r *msResponse) append(b []byte) []byte {
	b = append(b, r.peer[:]...)
	b = append(b, make([]byte, 8)...)
	b = append(b, r.nt[:]...)
	return append(b, 0)
}

// A msChange is the data of a Change-Password packet (RFC 2759 section 7). The response answers the challenge of the
// Failure packet, for the new password.
type msChange struct {
	password [mschap.BlockLen]byte
	hash     [16]byte
	response msResponse
}

func parseMSChange(data []byte) (c msChange, ok bool) {
	if len(data) != msChangeLen {
		return c, false
	}
	copy(c.password[:], data)
	copy(c.hash[:], data[516:])
	copy(c.response.peer[:], data[532:])
	copy(c.response.nt[:], data[556:]) // 8 reserved bytes in between
	return c, true
}

func (c *msChange) append(b []byte) []byte {
	b = append(b, c.password[:]...)
	b = append(b, c.hash[:]...)
	b = append(b, c.response.peer[:]...)
	b = append(b, make([]byte, 8)...)
	b = append(b, c.response.nt[:]...)
	return append(b, 0, 0) // flags
}

// A msSuccess is the message of a Success packet: "S=<40 digits> M=<text>" (RFC 2759 section 5).
type msSuccess struct {
	proof    [20]byte
	hasProof bool
	message  string
}

func parseMSSuccess(data []byte) (s msSuccess) {
	for key, value := range mschap.Fields(data) {
		switch key {
		case 'S':
			s.proof, s.hasProof = mschap.ParseProof(value)
		case 'M':
			s.message = messageText([]byte(value))
		}
	}
	return s
}

func (s *msSuccess) append(b []byte) []byte {
	b = mschap.AppendProof(b, s.proof)
	return append(append(b, " M="...), clip(s.message, maxMessage)...)
}

// A msFailure is the message of a Failure packet: "E=<code> R=<0 or 1> C=<32 digits> V=<version> M=<text>" (RFC 2759
// section 6). Servers leave fields out and send V=0; what is missing is zero.
type msFailure struct {
	code         int
	retry        bool
	challenge    [msChallengeLen]byte
	hasChallenge bool
	version      int
	message      string
}

func parseMSFailure(data []byte) (f msFailure) {
	for key, value := range mschap.Fields(data) {
		switch key {
		case 'E':
			f.code, _ = strconv.Atoi(value)
		case 'R':
			f.retry = value == "1"
		case 'C':
			hex.Decode(f.challenge[:], []byte(value)) // 32 digits: Fields looked
			f.hasChallenge = true
		case 'V':
			f.version, _ = strconv.Atoi(value)
		case 'M':
			f.message = messageText([]byte(value))
		}
	}
	return f
}

func (f *msFailure) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, "E="...), int64(f.code), 10)
	b = append(b, " R=0"...)
	if f.retry {
		b[len(b)-1] = '1'
	}
	b = append(b, " C="...)
	b = append(b, strings.ToUpper(hex.EncodeToString(f.challenge[:]))...)
	b = strconv.AppendInt(append(b, " V="...), int64(f.version), 10)
	return append(append(b, " M="...), clip(f.message, maxMessage)...)
}
