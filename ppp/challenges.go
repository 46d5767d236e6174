package ppp

import (
	"bytes"
	"crypto/subtle"
)

// A challengeBook remembers the challenges that this end asked lately, so that none of them is answered: a far side that
// cannot answer would ask us (RFC 1994 section 2.3). The zero book is empty.
type challengeBook struct {
	asked [][]byte // a ring of challengesKept
	n     int
}

// challengesKept is more than one link asks: AuthRetries and two times.
const challengesKept = 8

// note remembers a copy of c.
func (b *challengeBook) note(c []byte) {
	if len(b.asked) < challengesKept {
		b.asked = append(b.asked, bytes.Clone(c))
		return
	}
	b.asked[b.n%challengesKept] = bytes.Clone(c)
	b.n++
}

// has reports whether this end asked c.
func (b *challengeBook) has(c []byte) bool {
	for _, a := range b.asked {
		if subtle.ConstantTimeCompare(a, c) == 1 {
			return true
		}
	}
	return false
}
