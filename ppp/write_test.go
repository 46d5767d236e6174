package ppp

import (
	"net/netip"
	"testing"
)

// TestWhatCountsAsUse: what the ends of a link say to each other keeps no idle one open.
func TestWhatCountsAsUse(t *testing.T) {
	link, world := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("2001:db8::1")
	for _, c := range []struct {
		use  bool
		bufs [][]byte
	}{
		{false, nil},
		{false, [][]byte{ipv6(link, everybody6, 64), ipv6(link, link, 64)}},
		{true, [][]byte{ipv6(link, everybody6, 64), ipv6(world, world, 64)}},
		{true, [][]byte{ipv4(serverAddr, clientAddr, 64)}},
		{true, [][]byte{ipv6(world, netip.MustParseAddr("fec0::1"), 64)}},
	} {
		if isUse(c.bufs, 0) != c.use {
			t.Errorf("%x: want %v", c.bufs, c.use)
		}
	}
}
