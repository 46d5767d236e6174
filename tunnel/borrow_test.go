package tunnel_test

import (
	"bytes"
	"slices"
	"sync"
	"testing"

	"github.com/dialway/dialway/internal/packet"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

// TestAdjacentViewsStayWhole lends views out of one buffer, as a link that reads frames does, to a device that writes
// in front of each packet before it looks at any: with headers of 8 bytes between packets and 10 bytes written, the
// last bytes of the packet in front would be lost if the views reached it. A device copies first: that is its contract
// (any offset, buffers that are its own), and this is what the Router relies on.
func TestAdjacentViewsStayWhole(t *testing.T) {
	var dev tunneltest.Device
	a := newRecorder("a")
	rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: &dev}
	rt.Routes.Insert(pfx("10.8.0.2/32"), a, 0)
	var block []byte
	var views, want [][]byte
	for i := range 4 {
		p := ip("10.8.0.2", "192.0.2.1", 17, 16, func(b []byte) { copy(b[32:], []byte{1, 2, 3, byte(i)}) })
		block = append(append(block, make([]byte, 8)...), p...)
		want = append(want, p)
	}
	for i := range want {
		j := i * (8 + len(want[0]))
		k := j + 8 + len(want[0])
		views = append(views, block[j:k:k])
	}
	if n, err := rt.From(a).Write(views, 8); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	for i, w := range want {
		got := <-dev.Sent()
		w = slices.Clone(w)
		w[8]-- // the device in memory is no kernel
		packet.IPv4(w).SetChecksum()
		if !bytes.Equal(got, w) {
			t.Errorf("packet %d: %x, want %x", i, got, w)
		}
	}
}

// TestFromIsUsedBySeveralAtOnce is for the race detector: both ends of an interface dial at once.
func TestFromIsUsedBySeveralAtOnce(t *testing.T) {
	a, host := newAddressed("a", "10.8.0.1"), newKernel()
	a.mtu = 600
	host.mtu = 600
	rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: host}
	rt.Routes.Insert(pfx("10.8.0.2/32"), a, 0)
	w := rt.From(a)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				write(t, w, ip("10.8.0.2", "192.0.2.1", 17, 1000), ip("10.8.0.2", "192.0.2.1", 17, 1000, df), ip("10.8.0.2", "192.0.2.1", 17, 8), ip("10.9.0.2", "192.0.2.1", 17, 8))
				write(t, rt, ip("192.0.2.1", "10.8.0.2", 17, 1000), ip("192.0.2.1", "10.8.0.9", 17, 8))
			}
		})
	}
	wg.Wait()
	wantStats(t, rt, tunnel.Stats{Routed: 600, TooBig: 200, BadSource: 200, NoRoute: 200})
}
