package interop

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"

	"github.com/dialway/dialway/tunnel/register"
)

// TestUpdatesAgreeWithAnother: updates and signatures of ours, read and checked by a DNS library that nobody here wrote, and
// its signed answers checked by ours, by each algorithm.
func TestUpdatesAgreeWithAnother(t *testing.T) {
	for _, alg := range []string{"hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"} {
		synctest.Test(t, func(t *testing.T) {
			secret := strings.Repeat("s", 40)
			var updates []string
			s := &foreignDNS{t: t, algorithm: alg, secret: base64.StdEncoding.EncodeToString([]byte(secret)), update: func(m *dns.Msg) int {
				for _, rr := range slices.Concat(m.Answer, m.Ns) {
					updates = append(updates, strings.Join(strings.Fields(rr.String()), " "))
				}
				return dns.RcodeSuccess
			}}
			r := &register.Registrar{
				Host: "PC1", Domain: "vpn.test", Server: netip.MustParseAddrPort("192.0.2.53:53"), ID: []byte("id"), Dial: s.dial,
				Signer: &register.Key{Name: "Key.Example", Algorithm: alg, Secret: register.Secret(secret)},
			}
			if _, err := r.Register(t.Context(), netip.MustParseAddr("10.8.0.2"), netip.MustParseAddr("fd00::2")); err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
			want := []string{
				"PC1.vpn.test. 0 NONE ANY",
				"PC1.vpn.test. 1200 IN A 10.8.0.2",
				"PC1.vpn.test. 1200 IN AAAA fd00::2",
				"2.0.8.10.in-addr.arpa. 0 CLASS255 PTR",
				"2.0.8.10.in-addr.arpa. 1200 IN PTR PC1.vpn.test.",
				"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. 0 CLASS255 PTR",
				"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. 1200 IN PTR PC1.vpn.test.",
			}
			id := slices.IndexFunc(updates, func(s string) bool { return strings.HasPrefix(s, "PC1.vpn.test. 1200 IN DHCID AAEB") })
			if id < 0 {
				t.Fatalf("%s: no DHCID in %q", alg, updates)
			}
			got := slices.Delete(updates, id, id+1)
			if !slices.Equal(got, want) {
				t.Errorf("%s: got\n%s, want\n%s", alg, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// A foreignDNS is a server of another library's messages: it knows every zone, and checks and makes signatures.
type foreignDNS struct {
	t                 *testing.T
	algorithm, secret string
	update            func(m *dns.Msg) int
}

func (s *foreignDNS) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		b := make([]byte, 65536)
		for {
			n, err := far.Read(b)
			if err != nil {
				return
			}
			far.Write(s.answer(b[:n]))
		}
	}()
	return near, nil
}

func (s *foreignDNS) answer(b []byte) []byte {
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		s.t.Errorf("%x: %v", b, err)
		return nil
	}
	a := new(dns.Msg)
	a.SetReply(m)
	if m.Opcode != dns.OpcodeUpdate {
		for _, z := range []string{"vpn.test.", "10.in-addr.arpa.", "d.f.ip6.arpa."} {
			if dns.IsSubDomain(z, m.Question[0].Name) {
				rr, _ := dns.NewRR(z + " 60 IN SOA ns.vpn.test. admin.vpn.test. 1 2 3 4 5")
				a.Ns = append(a.Ns, rr)
			}
		}
		a.Rcode = dns.RcodeNameError
		out, _ := a.Pack()
		return out
	}
	t := m.IsTsig()
	if t == nil || t.Hdr.Name != "key.example." || t.Algorithm != s.algorithm+"." {
		s.t.Errorf("signed by %v", t)
		return nil
	}
	if err := dns.TsigVerify(b, s.secret, "", false); err != nil {
		s.t.Errorf("signature: %v", err)
	}
	a.Rcode = s.update(m)
	a.SetTsig("key.example.", s.algorithm+".", 300, int64(t.TimeSigned))
	out, mac, err := dns.TsigGenerate(a, s.secret, t.MAC, false)
	if err != nil {
		s.t.Error(err)
	}
	if _, err := hex.DecodeString(mac); err != nil {
		s.t.Error(err)
	}
	return out
}
