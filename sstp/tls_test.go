package sstp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/tlsconn"
)

// testCert makes a self-signed certificate that is valid now and in a bubble.
func testCert(t testing.TB, key crypto.Signer, names ...string) tls.Certificate {
	t.Helper()
	if key == nil {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key = k
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: names[0]},
		NotBefore:    time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:         true, BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// roots returns a pool of certificates.
func roots(certs ...tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c.Leaf)
	}
	return pool
}

// handshake runs TLS between two configurations, and returns the states of both ends, client's first.
func handshake(t testing.TB, client, server *tls.Config) (c, s tls.ConnectionState, err error) {
	t.Helper()
	return handshakeOf(t, new(session), client, server)
}

// handshakeOf is handshake of a session, which notes the leaf.
func handshakeOf(t testing.TB, x *session, client, server *tls.Config) (c, s tls.ConnectionState, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // net.Pipe has no buffer for an alert that crosses
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	x.server, x.began, x.ctx = new(Server), time.Now(), t.Context()
	tc, ts := tls.Client(a, client), tlsconn.Server(b, server, x)
	done := make(chan error, 1)
	go func() {
		err := ts.HandshakeContext(context.Background())
		if err != nil {
			b.Close()
		} else {
			_, err = ts.Write([]byte{1}) // behind TLS 1.3's tickets, if there were any
		}
		done <- err
	}()
	cerr := tc.Handshake()
	if cerr == nil {
		_, cerr = tc.Read(make([]byte, 1))
	} else {
		a.Close()
	}
	serr := <-done
	return tc.ConnectionState(), ts.ConnectionState(), errors.Join(cerr, serr)
}

// The leaf that is noted is the one that was served, on every way to a certificate that crypto/tls has.
func TestServedLeafIsNoted(t *testing.T) {
	a, b := testCert(t, nil, "a.example.com"), testCert(t, nil, "b.example.com")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaCert := testCert(t, key, "a.example.com")
	var current atomic.Pointer[tls.Certificate]
	current.Store(&a)
	get := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil }
	none := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
	for _, tt := range []struct {
		name   string
		server *tls.Config
		sni    string
		suites []uint16
		want   tls.Certificate
	}{
		{"one", &tls.Config{Certificates: []tls.Certificate{a}}, "", nil, a},
		{"two, no SNI", &tls.Config{Certificates: []tls.Certificate{a, b}}, "", nil, a},
		{"two, SNI of the second", &tls.Config{Certificates: []tls.Certificate{a, b}}, "b.example.com", nil, b},
		{"two, SNI of neither", &tls.Config{Certificates: []tls.Certificate{a, b}}, "c.example.com", nil, a},
		{"GetCertificate", &tls.Config{GetCertificate: get}, "x", nil, a},
		{"GetCertificate, no SNI", &tls.Config{GetCertificate: get}, "", nil, a},
		{"GetCertificate and one, no SNI", &tls.Config{GetCertificate: get, Certificates: []tls.Certificate{b}}, "", nil, b},
		{"GetCertificate and one, SNI", &tls.Config{GetCertificate: get, Certificates: []tls.Certificate{b}}, "x", nil, a},
		{"GetCertificate has none", &tls.Config{GetCertificate: none, Certificates: []tls.Certificate{b}}, "x", nil, b},
		{"GetConfigForClient", &tls.Config{Certificates: []tls.Certificate{a}, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{Certificates: []tls.Certificate{b}}, nil
		}}, "", nil, b},
		{"GetConfigForClient with GetCertificate", &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{GetCertificate: get}, nil
		}}, "", nil, a},
		{"GetConfigForClient has none", &tls.Config{Certificates: []tls.Certificate{a}, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return nil, nil
		}}, "", nil, a},
		{"RSA for who needs it", &tls.Config{Certificates: []tls.Certificate{b, rsaCert}}, "", []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, rsaCert},
	} {
		for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			if tt.suites != nil && v == tls.VersionTLS13 {
				continue
			}
			x := new(session)
			before := tt.server.Clone()
			client := &tls.Config{InsecureSkipVerify: true, ServerName: tt.sni, MaxVersion: v, CipherSuites: tt.suites}
			cs, _, err := handshakeOf(t, x, client, serverTLS(tt.server))
			leaf := x.leaf
			if err != nil {
				t.Errorf("%s, %x: %v", tt.name, v, err)
				continue
			}
			if seen := cs.PeerCertificates[0].Raw; !bytes.Equal(leaf, seen) || !bytes.Equal(seen, tt.want.Certificate[0]) {
				t.Errorf("%s, %x: client saw %.8x, noted %.8x, want %.8x", tt.name, v,
					sha256.Sum256(seen), sha256.Sum256(leaf), sha256.Sum256(tt.want.Certificate[0]))
			}
			if len(before.Certificates) != len(tt.server.Certificates) || tt.server.SessionTicketsDisabled {
				t.Errorf("%s: the user's configuration has changed", tt.name)
			}
		}
	}
}

// A client that tries to resume across a change of certificates is served, and shown, the new one.
func TestNoResumption(t *testing.T) {
	a, b := testCert(t, nil, "vpn"), testCert(t, nil, "vpn")
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, nested := range []bool{false, true} {
			var current atomic.Pointer[tls.Certificate]
			user := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil }}
			user.SetSessionTicketKeys([][32]byte{{1}})
			if nested {
				inner := user
				user = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return inner, nil }}
			}
			client := &tls.Config{RootCAs: roots(a, b), ServerName: "vpn", ClientSessionCache: tls.NewLRUClientSessionCache(8), MaxVersion: v}
			for _, cert := range []tls.Certificate{a, b} {
				current.Store(&cert)
				x := new(session)
				cs, ss, err := handshakeOf(t, x, client, serverTLS(user))
				leaf := x.leaf
				if err != nil {
					t.Fatal(err)
				}
				if cs.DidResume || ss.DidResume || !bytes.Equal(leaf, cert.Certificate[0]) || !bytes.Equal(cs.PeerCertificates[0].Raw, leaf) {
					t.Errorf("%x, GetConfigForClient %v: resumed %v, noted %.4x, seen %.4x", v, nested, cs.DidResume, leaf, cs.PeerCertificates[0].Raw)
				}
			}
		}
	}
}

func TestServerTLSDefaults(t *testing.T) {
	a := testCert(t, nil, "vpn")
	c := serverTLS(&tls.Config{Certificates: []tls.Certificate{a}})
	if c.MinVersion != tls.VersionTLS12 || !slices.Equal(c.NextProtos, []string{"http/1.1"}) || !c.DynamicRecordSizingDisabled {
		t.Errorf("%x, %v", c.MinVersion, c.NextProtos)
	}
	c = serverTLS(&tls.Config{MinVersion: tls.VersionTLS10, NextProtos: []string{"h2", "http/1.1", "acme-tls/1"}})
	if c.MinVersion != tls.VersionTLS10 || len(c.NextProtos) != 3 {
		t.Errorf("%x, %v", c.MinVersion, c.NextProtos)
	}
	if _, _, err := handshake(t, &tls.Config{InsecureSkipVerify: true}, serverTLS(&tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }})); err == nil {
		t.Error("a handshake without a certificate")
	}
}

func TestClientTLS(t *testing.T) {
	for _, tt := range []struct {
		host string
		user *tls.Config
		want string
	}{
		{"vpn.example.com", nil, "vpn.example.com"},
		{"vpn.example.com", &tls.Config{ServerName: "front.example.net"}, "front.example.net"},
		{"192.0.2.1", nil, "192.0.2.1"},
		{"fe80::1%eth0", nil, "fe80::1"},
	} {
		if c := clientTLS(tt.user, nil, tt.host); c.ServerName != tt.want || c.InsecureSkipVerify || c.MinVersion != tls.VersionTLS12 {
			t.Errorf("%s: %q", tt.host, c.ServerName)
		}
	}
	user := &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	if c := clientTLS(user, nil, "x"); c.ClientSessionCache != nil || user.ClientSessionCache == nil {
		t.Error("sessions may be resumed, or the user's configuration has changed")
	}
}

func TestPins(t *testing.T) {
	a, b := testCert(t, nil, "vpn"), testCert(t, nil, "vpn")
	pin := func(c tls.Certificate) [32]byte { return sha256.Sum256(c.Certificate[0]) }
	refuse := errors.New("refused by the user")
	for _, tt := range []struct {
		name string
		pins [][32]byte
		user *tls.Config
		err  error
		bad  bool
	}{
		{name: "the pinned one", pins: [][32]byte{pin(a)}},
		{name: "one of two", pins: [][32]byte{pin(b), pin(a)}},
		{name: "another", pins: [][32]byte{pin(b)}, err: errPin},
		{name: "another, that roots would verify", pins: [][32]byte{pin(b)}, user: &tls.Config{RootCAs: roots(a)}, err: errPin},
		{name: "the user's check as well", pins: [][32]byte{pin(a)},
			user: &tls.Config{VerifyConnection: func(tls.ConnectionState) error { return refuse }}, err: refuse},
		{name: "none, unknown root", bad: true},
		{name: "empty, unknown root", pins: [][32]byte{}, bad: true},
		{name: "none, wrong name", user: &tls.Config{RootCAs: roots(a), ServerName: "other"}, bad: true},
		{name: "none, known root", user: &tls.Config{RootCAs: roots(a)}},
	} {
		_, _, err := handshake(t, clientTLS(tt.user, tt.pins, "vpn"), serverTLS(&tls.Config{Certificates: []tls.Certificate{a}}))
		if (err != nil) != (tt.bad || tt.err != nil) || tt.err != nil && !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestVerified(t *testing.T) {
	a, b := testCert(t, nil, "vpn"), testCert(t, nil, "vpn")
	pin := func(c tls.Certificate) [32]byte { return sha256.Sum256(c.Certificate[0]) }
	for _, tt := range []struct {
		name   string
		config *tls.Config
		pins   [][32]byte
		want   bool
	}{
		{"chain and name", &tls.Config{RootCAs: roots(a), ServerName: "vpn"}, nil, true},
		{"nothing", &tls.Config{InsecureSkipVerify: true}, nil, false},
		{"pin", &tls.Config{InsecureSkipVerify: true}, [][32]byte{pin(a)}, true},
		{"another pin", &tls.Config{InsecureSkipVerify: true}, [][32]byte{pin(b)}, false},
		{"the user's own check", &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return nil }}, nil, false},
	} {
		cs, _, err := handshake(t, tt.config, &tls.Config{Certificates: []tls.Certificate{a}})
		if err != nil {
			t.Fatal(err)
		}
		if got := verified(tt.pins, &cs); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if verified(nil, &tls.ConnectionState{}) || pinHolds([][32]byte{sha256.Sum256(nil)}, &tls.ConnectionState{}) {
		t.Error("nothing shown, and verified")
	}
}

func TestPlainFromGate(t *testing.T) {
	for _, tt := range []struct {
		from []netip.Prefix
		a    string
		want bool
	}{
		{nil, "127.0.0.1", true}, {nil, "::1", true}, {nil, "::ffff:127.0.0.9", true}, {nil, "192.0.2.1", false}, {nil, "", false},
		{[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "10.1.2.3", true},
		{[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "::ffff:10.1.2.3", true},
		{[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "127.0.0.1", false},
		{[]netip.Prefix{}, "127.0.0.1", false},
		{[]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, "", false},
	} {
		a, _ := netip.ParseAddr(tt.a)
		if got := plainAllowed(tt.from, a); got != tt.want {
			t.Errorf("%v from %v: %v", tt.a, tt.from, got)
		}
	}
}
