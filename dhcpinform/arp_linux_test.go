package dhcpinform

import (
	"bytes"
	"testing"
)

func TestARPTells(t *testing.T) {
	own, other := []byte{2, 0, 0, 0, 0, 9}, []byte{2, 0, 0, 0, 0, 8}
	a := adr("192.0.2.10")
	said := appendARPProbe(nil, other, adr("192.0.2.99"))
	said[7] = 2
	copy(said[14:], a.AsSlice())
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"another probes it":       {appendARPProbe(nil, other, a), true},
		"own probe":               {appendARPProbe(nil, own, a), false},
		"probe of another":        {appendARPProbe(nil, other, adr("192.0.2.11")), false},
		"its owner answers":       {said, true},
		"cut":                     {said[:27], false},
		"not of IPv4":             {append([]byte{0, 1, 8, 6}, said[4:]...), false},
		"with what Ethernet pads": {append(bytes.Clone(said), make([]byte, 18)...), true},
	} {
		if got := arpTells(c.b, own, a); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzARP(f *testing.F) {
	own := []byte{2, 0, 0, 0, 0, 9}
	f.Add(appendARPProbe(nil, []byte{2, 0, 0, 0, 0, 8}, adr("192.0.2.10")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if arpTells(b, own, adr("192.0.2.10")) && (len(b) < 28 || bytes.Equal(b[8:14], own)) {
			t.Errorf("%x", b)
		}
	})
}
