//go:build race

package bufpool

// Poison spoils what was lent, so that a test that kept it fails.
func Poison(b []byte) {
	if len(b) == 0 {
		return
	}
	b[0] = 0xdb
	for i := 1; i < len(b); i *= 2 {
		copy(b[i:], b[:i])
	}
}
