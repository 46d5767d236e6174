//go:build !amd64

package packet

const hasWide = false

func sumWide(b []byte) uint64 { return sumWords(b) }
