package ppp

import (
	"strings"
	"unicode/utf8"
)

// maxName is how long a name may be: RFC 2759 section 4 allows 256 characters, PAP and RADIUS 255 and 253 octets.
const maxName = 256

// maxMessage is how much of a far side's message is kept.
const maxMessage = 255

// clip shortens a text to n bytes without cutting a character in two.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// messageText makes a text of what a far side sent to be shown: bounded, and UTF-8. Errors quote it.
func messageText(b []byte) string {
	return clip(strings.ToValidUTF8(strings.TrimRight(string(b), "\x00\r\n"), "\ufffd"), maxMessage)
}

// lowerASCII folds the case of ASCII letters, which is all that account names have by rule; other characters are
// compared as they are.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
