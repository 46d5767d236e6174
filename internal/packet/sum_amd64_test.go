package packet

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestSumWideAgreesWithSumWords(t *testing.T) {
	if !hasWide {
		t.Log("no AVX2 here: nothing to compare")
		return
	}
	random := make([]byte, 1<<16)
	rand.NewChaCha8([32]byte{1}).Read(random)
	for _, b := range [][]byte{random, bytes.Repeat([]byte{0xff}, 1<<16), make([]byte, 1<<16)} {
		for n := 64; n <= len(b); n += 64 {
			at := n % 7 // at any address
			p := b[at : at+(n-at)&^63]
			if len(p) == 0 {
				continue
			}
			if got, want := fold(sumWide(p)), fold(sumWords(p)); got != want {
				t.Fatalf("%d bytes: %04x, want %04x", len(p), got, want)
			}
		}
	}
}
