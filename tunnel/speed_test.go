package tunnel_test

import (
	"net/netip"
	"testing"

	"github.com/dialway/dialway/tunnel"
)

// null is a next hop that takes everything.
type null struct {
	mtu   int
	addrs []netip.Addr
}

func (n *null) Write(bufs [][]byte, offset int) (int, error) { return len(bufs), nil }
func (n *null) MTU() int                                     { return n.mtu }
func (n *null) Addrs() []netip.Addr                          { return n.addrs }

// nullKernel counts hops itself.
type nullKernel struct{ null }

func (*nullKernel) Forwards() bool { return true }

// fixture is a server with sessions of 10.8.0.0/16 among other routes, and a batch for each direction.
func fixture() (rt *tunnel.Router, from tunnel.PacketWriter, out, in [][]byte) {
	rt = &tunnel.Router{Routes: new(tunnel.Table), Uplink: &nullKernel{null{mtu: 1400}}}
	link := &null{mtu: 1400, addrs: []netip.Addr{adr("10.8.0.1")}}
	for i := range 1000 {
		rt.Routes.Insert(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 8, byte(i >> 8), byte(i)}), 32), &null{mtu: 1400}, 0)
	}
	rt.Routes.Insert(pfx("10.8.0.2/32"), link, 1)
	rt.Routes.Insert(pfx("10.8.0.2/32"), link, -1)
	for range 40 {
		out = append(out, lend(ip("192.0.2.1", "10.8.0.2", 6, 1380, df))...)
		in = append(in, lend(ip("10.8.0.2", "192.0.2.1", 6, 1380, df))...)
	}
	return rt, rt.From(link), out, in
}

func TestRouterDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop at random")
	}
	rt, from, out, in := fixture()
	big := lend(ip("192.0.2.1", "10.8.0.2", 17, 3000), ip("192.0.2.1", "10.8.0.2", 17, 3000, df), ip("192.0.2.1", "10.9.0.2", 17, 8), ip("192.0.2.1", "10.8.0.2", 6, 24, syn(1460)))
	bad := lend(ip("10.8.0.9", "192.0.2.1", 17, 8), ip("10.8.0.2", "192.0.2.1", 17, 3000), ip("10.8.0.2", "192.0.2.1", 17, 3000, df), ip("10.8.0.2", "224.0.0.1", 17, 8))
	for name, f := range map[string]func(){
		"Write":                        func() { rt.Write(out, headroom) },
		"From":                         func() { from.Write(in, headroom) },
		"what Write answers and cuts":  func() { rt.Write(big, headroom) },
		"what From answers and refuse": func() { from.Write(bad, headroom) },
	} {
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkRouter moves batches of 40 packets of 1400 bytes, as a device with offload reads them; an operation is one
// packet. From has the source check; linkToLink counts hops.
func BenchmarkRouter(b *testing.B) {
	rt, from, out, in := fixture()
	run := func(name string, w tunnel.PacketWriter, batch [][]byte) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(1400)
			for i := 0; i < b.N; i += len(batch) {
				if n, err := w.Write(batch, headroom); n != len(batch) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
	run("Write", rt, out)
	run("From", from, in)
	var mixed [][]byte // every packet to another session: no run to profit from
	for i := range 40 {
		mixed = append(mixed, lend(ip("192.0.2.1", netip.AddrFrom4([4]byte{10, 8, 1, byte(i)}).String(), 6, 1380))...)
	}
	run("Write/sessions=40", rt, mixed)
	run("From/batch=1", from, in[:1])
	rt.Routes.Insert(pfx("192.0.2.0/24"), &null{mtu: 1400}, 0)
	rt.LinkToLink = true
	b.Run("linkToLink", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(1400)
		for i := 0; i < b.N; i += len(in) {
			for _, p := range in {
				p[headroom+8] = 64
			}
			if n, err := from.Write(in, headroom); n != len(in) || err != nil {
				b.Fatal(n, err)
			}
		}
	})
}
