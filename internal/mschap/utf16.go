package mschap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxPassword is how many UTF-16 units a password may have (RFC 2759 section 8.1: "0-to-256 Unicode characters").
const MaxPassword = 256

// ErrPassword says that a text cannot be a password.
var ErrPassword = errors.New("mschap: not a password")

// appendUTF16 appends a password in UTF-16LE, with surrogates beyond the basic plane, without a terminator.
func appendUTF16(b []byte, password string) ([]byte, error) {
	if !utf8.ValidString(password) {
		return nil, fmt.Errorf("%w: it is not UTF-8", ErrPassword) // or passwords that differ would hash alike
	}
	units := 0
	for _, r := range password {
		units += utf16.RuneLen(r)
		if r < 0x10000 {
			b = binary.LittleEndian.AppendUint16(b, uint16(r))
			continue
		}
		hi, lo := utf16.EncodeRune(r)
		b = binary.LittleEndian.AppendUint16(b, uint16(hi))
		b = binary.LittleEndian.AppendUint16(b, uint16(lo))
	}
	if units > MaxPassword {
		return nil, fmt.Errorf("%w: it has %d UTF-16 units, %d are allowed", ErrPassword, units, MaxPassword)
	}
	return b, nil
}

// parseUTF16 is its inverse. A surrogate without its other half is refused: it has no UTF-8, so the password that is
// stored would not be the one that was chosen.
func parseUTF16(b []byte) (string, error) {
	if len(b)%2 != 0 {
		return "", fmt.Errorf("%w: it has %d bytes", ErrPassword, len(b))
	}
	s := make([]byte, 0, len(b))
	for i := 0; i < len(b); i += 2 {
		r := rune(binary.LittleEndian.Uint16(b[i:]))
		if utf16.IsSurrogate(r) {
			if i+2 == len(b) {
				return "", fmt.Errorf("%w: half a surrogate pair", ErrPassword)
			}
			i += 2
			if r = utf16.DecodeRune(r, rune(binary.LittleEndian.Uint16(b[i:]))); r == utf8.RuneError {
				return "", fmt.Errorf("%w: half a surrogate pair", ErrPassword)
			}
		}
		s = utf8.AppendRune(s, r)
	}
	return string(s), nil
}
