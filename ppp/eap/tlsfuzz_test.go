package eap

import "testing"

// Any packet of a conversation, replaced by any other: it ends, and if both sides are content, then with the same keys.
func FuzzTLS(f *testing.F) {
	f.Add(false, true, 2, []byte{13, 0x20})
	f.Add(true, true, 3, []byte{13, 0x80, 0, 0, 0, 4, 22, 3, 1, 0})
	f.Add(true, false, 2, []byte{3, 26})
	f.Fuzz(func(t *testing.T, tls13, toServer bool, n int, body []byte) {
		v := versions[0]
		if tls13 {
			v = versions[1]
		}
		p := testPKI()
		k := tlsTalk(&TLS{Config: p.serverTLS(v)}, &TLS{Config: p.clientTLS(v)})
		k.touch = func(s bool, i int, b []byte) []byte {
			if s != toServer || i != n || len(b) < 4 {
				return b
			}
			b = append(b[:4:4], body...)
			b[2], b[3] = byte(len(b)>>8), byte(len(b))
			return b
		}
		if k.run(t); k.authErr == nil && k.peerErr == nil {
			k.agreed(t, "alice")
		}
	})
}
