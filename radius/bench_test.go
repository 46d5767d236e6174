package radius

import (
	"net"
	"net/netip"
	"testing"
)

var loopback = Secrets{netip.MustParsePrefix("127.0.0.0/8"): testSecret}

// BenchmarkExchange is one login by PAP over the loopback, many under way at once, server and client in one process: by UDP,
// by RadSec, and through a Proxy between.
func BenchmarkExchange(b *testing.B) {
	udp := func(b *testing.B, s *Server) string {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		go s.Serve(pc)
		b.Cleanup(func() { s.Close() })
		return pc.LocalAddr().String()
	}
	run := func(b *testing.B, t Target) {
		c := &Client{Targets: []Target{t}, NAS: "nas"}
		defer c.Close()
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				p := &Packet{Code: AccessRequest}
				pap(p)
				if reply, err := c.Exchange(b.Context(), p); err != nil || reply.Code != AccessAccept {
					b.Error(reply, err)
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
	}
	b.Run("UDP", func(b *testing.B) {
		run(b, Target{Addr: udp(b, &Server{Clients: loopback.Find, Authenticator: passwords}), Secret: testSecret})
	})
	b.Run("RadSec", func(b *testing.B) {
		ca := newAuthority(b)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		s := &Server{TLSConfig: ca.server(b, "server.test"), Authenticator: passwords}
		go s.ServeTLS(l)
		defer s.Close()
		run(b, Target{Addr: l.Addr().String(), TLS: ca.client(b, "nas.test")})
	})
	b.Run("Proxy", func(b *testing.B) {
		home := udp(b, &Server{Clients: loopback.Find, Authenticator: passwords})
		c := &Client{Targets: []Target{{Addr: home, Secret: testSecret}}, NAS: "proxy"}
		defer c.Close()
		p := &Proxy{Realms: map[string]*Realm{"": {Client: c}}}
		run(b, Target{Addr: udp(b, &Server{Clients: loopback.Find, Handler: p.Handle}), Secret: testSecret})
	})
}
