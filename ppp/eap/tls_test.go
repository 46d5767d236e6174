package eap

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/ppp"
)

// anybody knows every account whose name was proved.
var anybody = ppp.AuthenticatorFunc(func(_ context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
	if !req.Proved || req.Protocol != ppp.EAP || req.Call == nil {
		return nil, fmt.Errorf("asked %+v", req)
	}
	return new(ppp.Grant), nil
})

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

func eachVersion(t *testing.T, f func(t *testing.T, version uint16)) {
	for _, v := range versions {
		t.Run(tls.VersionName(v), func(t *testing.T) { f(t, v) })
	}
}

func tlsTalk(server, client *TLS) *talk {
	return &talk{
		auth: &Authenticator{Methods: []Method{server}, Next: anybody},
		peer: (&Peer{Methods: []PeerMethod{client}}).Respond,
	}
}

func TestTLS(t *testing.T) {
	eachVersion(t, func(t *testing.T, v uint16) {
		for _, mtu := range []int{0, 1500, 100, 9000} {
			p := testPKI()
			k := tlsTalk(&TLS{Config: p.serverTLS(v)}, &TLS{Config: p.clientTLS(v)})
			k.auth.(*Authenticator).MTU = mtu
			k.peer = (&Peer{Methods: []PeerMethod{&TLS{Config: p.clientTLS(v)}}, MTU: mtu}).Respond
			k.run(t).agreed(t, "alice")
			if !isKey(k.msk[32:]) {
				t.Errorf("MSK %x", k.msk)
			}
			most := 0
			for _, pkt := range k.trace {
				most = max(most, len(pkt))
			}
			if mtu == 0 {
				mtu = defaultMTU
			}
			if most > mtu || mtu == 100 && (most < 100 || len(k.trace) < 20) {
				t.Errorf("MTU %d: %d packets of up to %d bytes", mtu, len(k.trace), most)
			}
			if last := k.trace[len(k.trace)-1]; v == tls.VersionTLS13 && !bytes.Equal(last[2:], []byte{0, 6, 13, 0}) {
				t.Errorf("the last packet is %x", last)
			}
		}
	})
}

func TestTLSNames(t *testing.T) {
	p := testPKI()
	full := p.ca.issue(t, 10, "Alice Common", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{upn(t, "alice@corp.example", "alice@mail.example", "pc.corp.example")}
	})
	mail := p.ca.issue(t, 11, "Alice Common", func(c *x509.Certificate) {
		c.EmailAddresses, c.DNSNames = []string{"alice@mail.example"}, []string{"pc.corp.example"}
	})
	computer := p.ca.issue(t, 12, "Alice Common", func(c *x509.Certificate) { c.DNSNames = []string{"pc.corp.example"} })
	none := p.ca.issue(t, 13, "", nil)
	byCN := func(cs tls.ConnectionState) (string, error) { return cs.PeerCertificates[0].Subject.CommonName, nil }
	for name, c := range map[string]struct {
		cert     tls.Certificate
		identity string
		byCN     bool
		want     string
	}{
		"UPN":             {full, "alice@corp.example", false, "alice@corp.example"},
		"its own":         {full, "", false, "alice@corp.example"},
		"case":            {full, "ALICE@Corp.Example", false, "alice@corp.example"},
		"another of hers": {full, "alice@mail.example", false, "alice@corp.example"},
		"nobody":          {full, "@corp.example", false, "alice@corp.example"},
		"as configured":   {full, "Alice Common", true, "Alice Common"},
		"e-mail":          {mail, "", false, "alice@mail.example"},
		"computer":        {computer, "host/pc.corp.example", false, "pc.corp.example"},
		"common name":     {p.alice, "alice", false, "alice"},
		"no name":         {none, "@", false, ""},
		"no common name":  {none, "@", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := &TLS{Config: p.serverTLS(0)}, &TLS{Config: p.clientTLS(0)}
			client.Config.Certificates = []tls.Certificate{c.cert}
			if c.byCN {
				server.Name = byCN
			}
			k := tlsTalk(server, client)
			k.peer = (&Peer{Identity: c.identity, Methods: []PeerMethod{client}}).Respond
			if k.run(t); c.want == "" {
				k.refused(t)
				return
			}
			k.agreed(t, c.want)
		})
	}
}

func TestTLSIdentityMismatch(t *testing.T) {
	eachVersion(t, func(t *testing.T, v uint16) {
		p := testPKI()
		for _, identity := range []string{"root", "alice@example.com", "host/bob", `CORP\alice`, "alic"} {
			client := &TLS{Config: p.clientTLS(v)}
			k := tlsTalk(&TLS{Config: p.serverTLS(v)}, client)
			k.peer = (&Peer{Identity: identity, Methods: []PeerMethod{client}}).Respond
			k.run(t).refused(t)
			var e *ppp.AuthError
			if !errors.As(k.authErr, &e) || !strings.Contains(k.authErr.Error(), identity[:3]) {
				t.Error(k.authErr)
			}
		}
	})
}

// What Next says decides, and its User stands.
func TestTLSNext(t *testing.T) {
	p := testPKI()
	k := tlsTalk(&TLS{Config: p.serverTLS(0)}, &TLS{Config: p.clientTLS(0)})
	k.auth.(*Authenticator).Next = ppp.AuthenticatorFunc(func(_ context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
		return &ppp.Grant{User: "account of " + req.User, Groups: []string{"staff"}}, nil
	})
	k.run(t).agreed(t, "account of alice")
	if !slices.Equal(k.grant.Groups, []string{"staff"}) {
		t.Errorf("%+v", k.grant)
	}
	for _, next := range []ppp.Authenticator{nil, ppp.AuthenticatorFunc(func(context.Context, *ppp.AuthRequest) (*ppp.Grant, error) {
		return nil, &ppp.AuthError{Code: ppp.CodeDisabled}
	})} {
		k.auth.(*Authenticator).Next = next
		again := *k
		again.grant, again.msk, again.trace = nil, nil, nil
		again.run(t).refused(t)
		if last := again.trace[len(again.trace)-1]; last[0] != byte(codeResponse) || len(last) < 50 {
			t.Errorf("a server that refuses goes on: %x", last)
		}
	}
}

func TestTLSWrongCertificates(t *testing.T) {
	eachVersion(t, func(t *testing.T, v uint16) {
		p := testPKI()
		stranger := p.other.issue(t, 3, "alice", nil)
		expired := p.ca.issue(t, 4, "alice", func(c *x509.Certificate) { c.NotAfter = notBefore.Add(time.Hour) })
		serverOnly := p.ca.issue(t, 5, "alice", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
		for name, cert := range map[string]tls.Certificate{"stranger": stranger, "expired": expired, "server's": serverOnly} {
			t.Run(name, func(t *testing.T) {
				client := &TLS{Config: p.clientTLS(v)}
				client.Config.Certificates = nil
				client.Config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
				k := tlsTalk(&TLS{Config: p.serverTLS(v)}, client).run(t)
				k.refused(t)
				var e *ppp.AuthError
				if !errors.As(k.peerErr, &e) || !e.Remote || !strings.Contains(k.peerErr.Error(), "tls: ") {
					t.Errorf("the peer does not know why: %v", k.peerErr)
				}
				if !errors.As(k.authErr, &e) || e.Remote {
					t.Error(k.authErr)
				}
			})
		}
		for name, edit := range map[string]func(c *tls.Config){
			"roots": func(c *tls.Config) { c.RootCAs = p.other.pool() },
			"name":  func(c *tls.Config) { c.ServerName = "other.example.com" },
			"VerifyConnection": func(c *tls.Config) {
				c.VerifyConnection = func(tls.ConnectionState) error { return errors.New("not mine") }
			},
		} {
			t.Run("server's "+name, func(t *testing.T) {
				client := &TLS{Config: p.clientTLS(v)}
				edit(client.Config)
				k := tlsTalk(&TLS{Config: p.serverTLS(v)}, client).run(t)
				k.refused(t)
				var n *ppp.NegotiationError
				if !errors.As(k.peerErr, &n) || n.Phase != "EAP-TLS" {
					t.Error(k.peerErr)
				}
				if !strings.Contains(k.authErr.Error(), "remote error: tls:") {
					t.Errorf("the server does not know why: %v", k.authErr)
				}
			})
		}
		t.Run("VerifyConnection of the server", func(t *testing.T) {
			server := &TLS{Config: p.serverTLS(v)}
			server.Config.VerifyConnection = func(tls.ConnectionState) error { return errors.New("not today") }
			tlsTalk(server, &TLS{Config: p.clientTLS(v)}).run(t).refused(t)
		})
	})
}

// Whatever a Config says, a certificate is demanded; and an unverified one is none.
func TestTLSWithoutCertificate(t *testing.T) {
	p := testPKI()
	eachVersion(t, func(t *testing.T, v uint16) {
		for _, other := range []bool{false, true} {
			server := &TLS{Config: p.serverTLS(v)}
			server.Config.ClientAuth = tls.NoClientCert
			if other {
				server.Config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
					c := p.serverTLS(v)
					c.ClientAuth = tls.NoClientCert
					return c, nil
				}
			}
			client := &TLS{Config: p.clientTLS(v)}
			client.Config.Certificates = nil
			client.Config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return new(tls.Certificate), nil
			}
			tlsTalk(server, client).run(t).refused(t)
		}
	})
	m := &TLS{}
	for _, cs := range []*tls.ConnectionState{{}, {PeerCertificates: []*x509.Certificate{p.ca.cert}}} {
		if name, err := m.name(cs, ""); err == nil {
			t.Errorf("%q", name)
		}
	}
}

func TestTLSConfigs(t *testing.T) {
	p := testPKI()
	noCAs := p.serverTLS(0)
	noCAs.ClientCAs = nil
	other := noCAs.Clone()
	other.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
	for _, c := range []*tls.Config{nil, noCAs, other} {
		tlsTalk(&TLS{Config: c}, &TLS{Config: p.clientTLS(0)}).run(t).refused(t)
	}
	noCert := p.clientTLS(0)
	noCert.Certificates = nil
	tlsTalk(&TLS{Config: p.serverTLS(0)}, &TLS{Config: noCert}).run(t).refused(t)
}

func TestPeerNeedsTrust(t *testing.T) {
	p := testPKI()
	for name, edit := range map[string]func(c *tls.Config){
		"no name":  func(c *tls.Config) { c.ServerName = "" },
		"no roots": func(c *tls.Config) { c.RootCAs = nil },
		"insecure": func(c *tls.Config) { c.InsecureSkipVerify = true },
	} {
		client := &TLS{Config: p.clientTLS(0)}
		edit(client.Config)
		k := tlsTalk(&TLS{Config: p.serverTLS(0)}, client).run(t)
		if k.peerErr == nil || !strings.Contains(k.peerErr.Error(), "ServerName and RootCAs") || len(k.trace) > 2 {
			t.Errorf("%s: %d packets, %v", name, len(k.trace), k.peerErr)
		}
	}
	if trustSaid(nil) {
		t.Error("no Config")
	}
	own := &TLS{Config: p.clientTLS(0)}
	own.Config.InsecureSkipVerify, own.Config.RootCAs = true, nil
	own.Config.VerifyConnection = func(cs tls.ConnectionState) error { return cs.PeerCertificates[0].VerifyHostname("radius.example.com") }
	tlsTalk(&TLS{Config: p.serverTLS(0)}, own).run(t).agreed(t, "alice")
}

// Sessions are resumed, by EAP-TLS's own tickets, and the certificate's name and lists still count.
func TestTLSResumption(t *testing.T) {
	eachVersion(t, func(t *testing.T, v uint16) {
		p := testPKI()
		server, client := &TLS{Config: p.serverTLS(v)}, &TLS{Config: p.clientTLS(v)}
		client.Config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		resumed := 0
		var no error
		server.Config.VerifyConnection = func(cs tls.ConnectionState) error {
			if cs.DidResume {
				resumed++
			}
			return no
		}
		for i := range 3 {
			tlsTalk(server, client).run(t).agreed(t, "alice")
			if resumed != i {
				t.Fatalf("conversation %d: resumed %d", i, resumed)
			}
		}
		no = errors.New("locked")
		tlsTalk(server, client).run(t).refused(t)
		no = nil
		tlsTalk(server, client).run(t).agreed(t, "alice")
		server.Config.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return nil }
		before := resumed
		for range 2 {
			tlsTalk(server, client).run(t).agreed(t, "alice")
		}
		if resumed != before {
			t.Error("a session is resumed past VerifyPeerCertificate")
		}
	})
}

// A ticket of something else with the same keys, here a session of crypto/tls alone, is none.
func TestTLSForeignTicket(t *testing.T) {
	eachVersion(t, func(t *testing.T, v uint16) {
		p := testPKI()
		server, client := &TLS{Config: p.serverTLS(v)}, &TLS{Config: p.clientTLS(v)}
		resumed := false
		server.Config.VerifyConnection = func(cs tls.ConnectionState) error { resumed = cs.DidResume; return nil }
		server.Config.SetSessionTicketKeys([][32]byte{{1}})
		cache := tls.NewLRUClientSessionCache(4)
		foreign := server.Config.Clone()
		foreign.ClientAuth = tls.RequireAndVerifyClientCert
		dialler := client.Config.Clone()
		dialler.ClientSessionCache = sessions{cache, TypeTLS} // under the same key
		a, b := newPipe()
		go func() {
			s := tls.Server(a, foreign)
			s.Write([]byte("x"))
		}()
		c := tls.Client(b, dialler)
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		client.Config.ClientSessionCache = cache
		tlsTalk(server, client).run(t).agreed(t, "alice")
		if resumed {
			t.Error("resumed a session that EAP-TLS has not begun")
		}
		tlsTalk(server, client).run(t).agreed(t, "alice")
		if !resumed {
			t.Error("its own session is not resumed")
		}
	})
}

func TestTLSRevocation(t *testing.T) {
	p := testPKI()
	now := time.Now()
	good := p.ca.crl(t, now.Add(-time.Hour), now.Add(time.Hour), 77)
	for name, c := range map[string]struct {
		lists []*x509.RevocationList
		ok    bool
	}{
		"good":          {[]*x509.RevocationList{p.other.crl(t, now.Add(-time.Hour), now.Add(time.Hour), 3), good}, true},
		"revoked":       {[]*x509.RevocationList{good, p.ca.crl(t, now.Add(-time.Hour), now.Add(time.Hour), 2, 3)}, false},
		"out of date":   {[]*x509.RevocationList{p.ca.crl(t, now.Add(-2*time.Hour), now.Add(-time.Hour))}, false},
		"of the future": {[]*x509.RevocationList{p.ca.crl(t, now.Add(time.Hour), now.Add(2*time.Hour))}, false},
		"none":          {nil, false},
		"of another":    {[]*x509.RevocationList{p.other.crl(t, now.Add(-time.Hour), now.Add(time.Hour))}, false},
	} {
		for _, atServer := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " ", atServer), func(t *testing.T) {
				server, client := &TLS{Config: p.serverTLS(0)}, &TLS{Config: p.clientTLS(0)}
				crls := func() ([]*x509.RevocationList, error) { return c.lists, nil }
				if atServer {
					server.CRLs = crls
				} else {
					client.CRLs = crls
				}
				k := tlsTalk(server, client).run(t)
				if c.ok {
					k.agreed(t, "alice")
				} else {
					k.refused(t)
				}
			})
		}
	}
	server := &TLS{Config: p.serverTLS(0), CRLs: func() ([]*x509.RevocationList, error) { return nil, errors.New("no file") }}
	tlsTalk(server, &TLS{Config: p.clientTLS(0)}).run(t).refused(t)
}

// TLS 1.3 is not over without the server's protected word.
func TestTLSSuccessIndication(t *testing.T) {
	p := testPKI()
	for name, data := range map[string]string{"none": "", "another byte": "\x01", "more": "\x00\x00"} {
		t.Run(name, func(t *testing.T) {
			k := tlsTalk(nil, &TLS{Config: p.clientTLS(tls.VersionTLS13)})
			k.auth = &Authenticator{Methods: []Method{loose{p.serverTLS(tls.VersionTLS13), []string{data}}}}
			k.run(t)
			if k.peerErr == nil {
				t.Error("the peer is content")
			}
		})
	}
	// In whatever order, in as many messages: tickets in front, behind, with it.
	for name, c := range map[string][]string{
		"tickets and byte": {"\x00"}, "tickets, byte": {"", "\x00"}, "byte, nothing": {"\x00", "flush"},
	} {
		t.Run(name, func(t *testing.T) {
			client := &TLS{Config: p.clientTLS(tls.VersionTLS13)}
			client.Config.ClientSessionCache = tls.NewLRUClientSessionCache(1) // or no ticket is asked for
			k := tlsTalk(nil, client)
			k.auth = &Authenticator{Methods: []Method{loose{p.serverTLS(tls.VersionTLS13), c}}}
			if k.run(t); k.peerErr != nil {
				t.Error(k.peerErr)
			}
		})
	}
}

// A loose server sends what it likes behind the handshake.
type loose struct {
	config *tls.Config
	behind []string
}

func (loose) Type() Type { return TypeTLS }
func (m loose) Authenticate(ctx context.Context, r *Round) (*ppp.Grant, error) {
	cfg, err := serverConfig(m.config, nil)
	if err != nil {
		return nil, err
	}
	f := &flights{ctx: ctx, round: r, do: r.Do}
	if err := f.begin(); err != nil {
		return nil, err
	}
	conn := tls.Server(f, cfg)
	if err := conn.Handshake(); err != nil {
		return nil, err
	}
	for _, s := range m.behind {
		if s != "" && s != "flush" {
			conn.Write([]byte(s))
		}
		if s == "" && len(m.behind) == 1 {
			f.out = nil // not even tickets: EAP-Success at once
			return &ppp.Grant{}, nil
		}
		if err := f.turn(); err != nil {
			return nil, err
		}
	}
	return &ppp.Grant{}, nil
}

// Every packet of either side, cut or changed anywhere: an end, no panic, and nobody is content with keys that differ.
func TestTLSMangled(t *testing.T) {
	eachVersion(t, func(t *testing.T, v uint16) {
		p := testPKI()
		for _, toServer := range []bool{false, true} {
			for n := 2; n <= 5; n++ {
				for _, at := range []int{0, 1, 2, 4, 5, 6, 9, 10, 14, 40, 200} {
					for _, cut := range []bool{false, true} {
						k := tlsTalk(&TLS{Config: p.serverTLS(v)}, &TLS{Config: p.clientTLS(v)})
						changed := false
						k.touch = func(s bool, i int, b []byte) []byte {
							if s != toServer || i != n || at >= len(b) {
								return b
							}
							changed = true
							if cut {
								return b[:at:at]
							}
							b[at] ^= 0x55
							return b
						}
						k.run(t)
						if k.authErr == nil && k.peerErr == nil && (!bytes.Equal(k.msk[:32], k.grant.RecvKey) || changed && at > 10) {
							t.Errorf("to server %v, packet %d, byte %d, cut %v: both content", toServer, n, at, cut)
						}
					}
				}
			}
		}
	})
}

// A conversation that is abandoned anywhere leaves no goroutine, of crypto/tls or of ours.
func TestAbandonedConversationEnds(t *testing.T) {
	p := testPKI()
	before := runtime.NumGoroutine()
	for n := 1; n <= 6; n++ {
		k := tlsTalk(&TLS{Config: p.serverTLS(0)}, &TLS{Config: p.clientTLS(0)})
		k.touch = func(toServer bool, i int, b []byte) []byte {
			if toServer && i == n {
				return nil
			}
			return b
		}
		k.run(t)
		if k.peerErr == nil {
			t.Errorf("cut at %d: the peer is content", n)
		}
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
