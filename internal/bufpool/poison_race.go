//go:build race

package bufpool

// Poison spoils what was lent, so that a test that kept it fails.
func Poison(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}
