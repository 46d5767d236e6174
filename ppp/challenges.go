package ppp

import (
	"bytes"
	"crypto/subtle"
)

// A challengeBook remembers the challenges that this end asked lately, so that none of them is answered: a far side that
// cannot answer would ask us (RFC 1994 section 2.3). The zero book is empty.
type challengeBook struct {
	asked []byte // one after the other, each behind its length
}

// challengesKept is more than one link asks: AuthRetries and two times.
const challengesKept = 8

// note remembers a copy of c, of 255 bytes at most.
func (b *challengeBook) note(c []byte) {
	n := 0
	for rest := b.asked; len(rest) > 0; n++ {
		rest = rest[1+rest[0]:]
	}
	if n == challengesKept {
		b.asked = bytes.Clone(b.asked[1+b.asked[0]:]) // the oldest goes
	}
	b.asked = append(append(b.asked, byte(len(c))), c...)
}

// has reports whether this end asked c.
func (b *challengeBook) has(c []byte) bool {
	for rest := b.asked; len(rest) > 0; {
		n := 1 + int(rest[0])
		if subtle.ConstantTimeCompare(rest[1:n], c) == 1 {
			return true
		}
		rest = rest[n:]
	}
	return false
}
