package tunnel_test

import (
	"bytes"
	"testing"

	"github.com/dialway/dialway/internal/packet"
	"github.com/dialway/dialway/tunnel"
)

// FuzzRouter gives one packet from each side to a router with everything on. No packet gets lost uncounted, none comes
// out that is malformed, too large, from another's address, or for an address that stays on its link.
func FuzzRouter(f *testing.F) {
	f.Add(ip("10.8.0.2", "192.0.2.1", 17, 8))
	f.Add(ip("10.8.0.2", "192.0.2.1", 17, 900))
	f.Add(ip("10.8.0.2", "10.8.0.3", 17, 900, df, hops(1)))
	f.Add(ip("192.0.2.1", "10.8.0.2", 6, 24, syn(1460)))
	f.Add(ip("2001:db8::1", "2001:db8:9::1", 6, 24, syn(1460)))
	f.Add(ip("2001:db8::1", "2001:db8:9::1", 17, 1400))
	f.Add(ip("10.8.0.2", "255.255.255.255", 17, 300))
	f.Add(ip("2001:db8::1", "ff02::1", 58, 8))
	f.Add(ip("10.8.0.2", "192.0.2.1", 1, 8, func(b []byte) { b[20] = 3 }))
	f.Add([]byte{0x45})
	f.Fuzz(func(t *testing.T, p []byte) {
		a, b, host := newAddressed("a", "10.8.0.1", "2001:db8::9"), newAddressed("b", "10.8.0.1"), newRecorder("host")
		a.mtu, b.mtu, host.mtu = 600, 500, 700
		dhcp := &responder{recorder: recorder{name: "dhcp", takes: -1}}
		rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: host, Local: new(tunnel.Table), LinkToLink: true}
		rt.Routes.Insert(pfx("10.8.0.2/32"), a, 0)
		rt.Routes.Insert(pfx("2001:db8::/64"), a, 0)
		rt.Routes.Insert(pfx("10.8.0.3/32"), b, 0)
		rt.Local.Insert(pfx("255.255.255.255/32"), dhcp, 0)
		for _, w := range []tunnel.PacketWriter{rt.From(a), rt} {
			before := rt.Stats()
			bufs := [][]byte{append(make([]byte, headroom), p...)}
			n, err := w.Write(bufs, headroom)
			s := rt.Stats()
			if sum := func(s tunnel.Stats) uint64 {
				return s.Routed + s.NoRoute + s.BadSource + s.Malformed + s.TooBig + s.Dropped
			}; err != nil || sum(s)-sum(before) != 1 || s.Routed-before.Routed != uint64(n) {
				t.Fatalf("%d %v %+v", n, err, s)
			}
			for _, hop := range []interface {
				take() [][]byte
				MTU() int
			}{a, b, host, dhcp} {
				for _, q := range hop.take() {
					var i packet.Info
					if !i.Parse(q) || hop.MTU() != 0 && len(q) > hop.MTU() || i.Src.IsMulticast() || i.Dst.IsMulticast() ||
						i.Src.IsLinkLocalUnicast() || i.Dst.IsLinkLocalUnicast() {
						t.Fatalf("out came %x", q)
					}
					if w != tunnel.PacketWriter(rt) && bytes.Equal(q[:1], p[:1]) && hop != any(a) && i.Src != adr("10.8.0.2") && !pfx("2001:db8::/64").Contains(i.Src) {
						t.Fatalf("another's source came out: %x", q)
					}
				}
			}
		}
	})
}
