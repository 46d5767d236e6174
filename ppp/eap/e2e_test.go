package eap_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/eap"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
)

// accounts knows alice, by password or by certificate.
var accounts = ppp.PasswordFunc(func(_ context.Context, user string) (ppp.Secret, error) {
	if user == "alice" {
		return "secret", nil
	}
	return "", ppp.ErrNoUser
})

// A pki is a CA, the EAP server's certificate and alice's. They are made outside of a bubble, and valid in its year 2000.
type pki struct {
	roots         *x509.CertPool
	server, alice tls.Certificate
}

var testPKI = sync.OnceValue(func() pki {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var caCert *x509.Certificate
	var caKey *ecdsa.PrivateKey
	make := func(serial int64, name string) tls.Certificate {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
			NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		if caCert == nil {
			tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage, tmpl.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
			caCert, caKey = tmpl, key
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, caCert, key.Public(), caKey)
		must(err)
		if tmpl.IsCA {
			caCert, err = x509.ParseCertificate(der)
			must(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	make(1, "CA")
	p := pki{roots: x509.NewCertPool(), server: make(2, "radius.example.com"), alice: make(3, "alice")}
	p.roots.AddCert(caCert)
	return p
})

// A method is one of both sides.
type method struct {
	name   string
	server eap.Method
	peer   eap.PeerMethod
}

func methods() []method {
	p := testPKI()
	tlsOf := func(v uint16) (*tls.Config, *tls.Config) {
		return &tls.Config{Certificates: []tls.Certificate{p.server}, ClientCAs: p.roots, MaxVersion: v},
			&tls.Config{Certificates: []tls.Certificate{p.alice}, RootCAs: p.roots, ServerName: "radius.example.com", MaxVersion: v}
	}
	s12, c12 := tlsOf(tls.VersionTLS12)
	s13, c13 := tlsOf(tls.VersionTLS13)
	password := &eap.MSCHAPv2{User: "alice", Password: "secret"}
	return []method{
		{"EAP-MSCHAPv2", &eap.MSCHAPv2{}, password},
		{"EAP-TLS 1.2", &eap.TLS{Config: s12}, &eap.TLS{Config: c12}},
		{"EAP-TLS 1.3", &eap.TLS{Config: s13}, &eap.TLS{Config: c13}},
		{"PEAP", &eap.PEAP{Config: s12, Inner: &eap.MSCHAPv2{}}, &eap.PEAP{Config: c12, InnerPeer: password}},
		{"PEAP, TLS 1.3", &eap.PEAP{Config: s13, Inner: &eap.MSCHAPv2{}}, &eap.PEAP{Config: c13, InnerPeer: password}},
	}
}

func serverPPP(m eap.Method) *ppp.Config {
	return &ppp.Config{
		Auth:          []ppp.AuthProtocol{ppp.EAP},
		Authenticator: &eap.Authenticator{Methods: []eap.Method{m}, Next: accounts},
		Addr:          netip.MustParseAddr("10.8.0.1"), NoIPv6: true,
		Pool: &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.16/28")}},
	}
}

func clientPPP(m eap.PeerMethod) *ppp.Config {
	return &ppp.Config{EAP: (&eap.Peer{Methods: []eap.PeerMethod{m}}).Respond, NoIPv6: true}
}

// Each method through SSTP, whose server checks the crypto binding with the keys of the method.
func TestThroughSSTP(t *testing.T) {
	for _, m := range methods() {
		t.Run(m.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				var mu sync.Mutex
				logger := slog.New(slog.NewTextHandler(locked{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
				users := make(chan string, 1)
				srv := sstptest.NewServer(&sstp.Server{PPP: serverPPP(m.server), Logger: logger, Handler: func(ctx context.Context, c *ppp.Conn) error {
					users <- c.Info().User
					return c.Serve(ctx, func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
				}})
				defer srv.Close()
				c, err := srv.Dialer(clientPPP(m.peer)).DialContext(t.Context(), srv.Addr())
				if err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() {
					ended <- c.Serve(t.Context(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
				}()
				if user := <-users; user != "alice" {
					t.Errorf("the server has %q", user)
				}
				if i := c.Info(); i.Auth != ppp.EAP || i.EAPType != uint8(m.peer.Type()) {
					t.Errorf("%+v", i)
				}
				mu.Lock()
				if !strings.Contains(log.String(), "crypto binding holds") || !strings.Contains(log.String(), "keys=recv+send") {
					t.Errorf("no binding with the method's keys:\n%s", log.String())
				}
				mu.Unlock()
				c.Close()
				<-ended
			})
		})
	}
}

// locked is a writer that may be read.
type locked struct {
	mu *sync.Mutex
	w  *bytes.Buffer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// Keys that differ at both ends do not bind, whatever EAP said.
func TestOtherKeysDoNotBind(t *testing.T) {
	for _, m := range methods() {
		t.Run(m.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := sstptest.NewServer(&sstp.Server{PPP: serverPPP(m.server)})
				defer srv.Close()
				config := clientPPP(m.peer)
				respond := config.EAP
				config.EAP = func(ctx context.Context, request []byte, x ppp.Exchange) ([]byte, error) {
					msk, err := respond(ctx, request, x)
					for i := range msk[:min(1, len(msk))] {
						msk[i] ^= 1
					}
					return msk, err
				}
				if _, err := srv.Dialer(config).DialContext(t.Context(), srv.Addr()); err == nil {
					t.Error("bound")
				}
				time.Sleep(10 * time.Second)
				if st := srv.Config.Stats(); st.Opened != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// Wrong credentials are an *AuthError at the client, and counted.
func TestRefusedThroughSSTP(t *testing.T) {
	p := testPKI()
	server := &tls.Config{Certificates: []tls.Certificate{p.server}, ClientCAs: p.roots}
	client := &tls.Config{RootCAs: p.roots, ServerName: "radius.example.com"}
	noCert := client.Clone()
	noCert.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return new(tls.Certificate), nil }
	wrong := &eap.MSCHAPv2{User: "alice", Password: "wrong"}
	for _, m := range []method{
		{"EAP-MSCHAPv2", &eap.MSCHAPv2{}, wrong},
		{"EAP-TLS", &eap.TLS{Config: server}, &eap.TLS{Config: noCert}},
		{"PEAP", &eap.PEAP{Config: server, Inner: &eap.MSCHAPv2{}}, &eap.PEAP{Config: client, InnerPeer: wrong}},
		{"no common method", &eap.TLS{Config: server}, &eap.MSCHAPv2{User: "alice", Password: "secret"}},
	} {
		t.Run(m.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := sstptest.NewServer(&sstp.Server{PPP: serverPPP(m.server)})
				defer srv.Close()
				_, err := srv.Dialer(clientPPP(m.peer)).DialContext(t.Context(), srv.Addr())
				var e *ppp.AuthError
				if !errors.As(err, &e) || !e.Remote {
					t.Error(err)
				}
				if wantCode := strings.Contains(m.name, "EAP-MS") || m.name == "PEAP"; wantCode && e != nil && e.Code != ppp.CodeFailed {
					t.Errorf("the method's reason is lost: %v", err)
				}
				time.Sleep(10 * time.Second)
				if st := srv.Config.Stats(); st.AuthFailed != 1 || st.Opened != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}
