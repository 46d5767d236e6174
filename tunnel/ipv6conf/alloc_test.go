package ipv6conf

import "testing"

// TestNoAllocations: what passes a Client costs nothing.
func TestNoAllocations(t *testing.T) {
	c := new(Client)
	plain := newPacket(adr("2001:db8::1"), adr("2001:db8::2"), 59, 64)
	local := newPacket(near, far, 59, 64)
	bufs := [][]byte{plain, plain, local, plain}
	n := 0
	to := func(bufs [][]byte, offset int) (int, error) { n += len(bufs); return len(bufs), nil }
	said := make(chan heard, 1)
	if a := testing.AllocsPerRun(100, func() { c.sift(bufs, headroom, far, said, to) }); a != 0 {
		t.Errorf("%v allocations", a)
	}
	if n != 101*len(bufs) {
		t.Errorf("%d packets passed", n)
	}
}
