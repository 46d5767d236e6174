package ppp

import (
	"bytes"
	"crypto/subtle"
)

// A challengeBook remembers the challenges that this end asked lately, so that none of them is answered: a far side that
// cannot answer would ask us (RFC 1994 section 2.3). The zero book is empty.
type challengeBook struct {
	asked [8][]byte // a ring; one link asks at most AuthRetries and two times
	n     int
}

// note remembers a copy of c.
func (b *challengeBook) note(c []byte) {
	b.asked[b.n%len(b.asked)] = bytes.Clone(c)
	b.n++
}

// has reports whether this end asked c.
func (b *challengeBook) has(c []byte) bool {
	for _, a := range b.asked {
		if a != nil && subtle.ConstantTimeCompare(a, c) == 1 {
			return true
		}
	}
	return false
}
