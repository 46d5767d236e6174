//go:build race

package ppp

// poison spoils what was lent, so that a test that kept it fails.
func poison(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}
