package interop

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/eap"
	"github.com/dialway/dialway/sstp"
)

// An eapPKI is a CA with a server's and a client's certificate, in Go's and in PEM's form.
type eapPKI struct {
	roots           *x509.CertPool
	server          tls.Certificate
	ca, cert, key   string    // files: the CA, and the client's
	serverFiles     [2]string // the server's certificate and key
	other, otherKey string    // the client's, of another CA
}

// newEAPPKI makes them in dir, the client's for a user.
func newEAPPKI(t *testing.T, dir, user string) (p eapPKI) {
	t.Helper()
	type signer struct {
		cert *x509.Certificate
		key  *ecdsa.PrivateKey
		der  []byte
	}
	issue := func(serial int64, name string, ca *signer) *signer {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		s := &signer{key: key}
		if ca == nil {
			tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage, tmpl.ExtKeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil
			ca = &signer{cert: tmpl, key: key}
		}
		if s.der, err = x509.CreateCertificate(rand.Reader, tmpl, ca.cert, key.Public(), ca.key); err != nil {
			t.Fatal(err)
		}
		if s.cert, err = x509.ParseCertificate(s.der); err != nil {
			t.Fatal(err)
		}
		return s
	}
	file := func(name, kind string, der []byte) string {
		return writeFile(t, filepath.Join(dir, name), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	keyFile := func(name string, k *ecdsa.PrivateKey) string {
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return file(name, "PRIVATE KEY", der)
	}
	ca, other := issue(1, "EAP CA", nil), issue(1, "Another CA", nil)
	server, client, stranger := issue(2, "radius.test", ca), issue(3, user, ca), issue(3, user, other)
	p.roots = x509.NewCertPool()
	p.roots.AddCert(ca.cert)
	p.server = tls.Certificate{Certificate: [][]byte{server.der}, PrivateKey: server.key}
	p.serverFiles = [2]string{file("server.pem", "CERTIFICATE", server.der), keyFile("server.key", server.key)}
	p.ca = file("eap-ca.pem", "CERTIFICATE", ca.der)
	p.cert, p.key = file("client.pem", "CERTIFICATE", client.der), keyFile("client.key", client.key)
	p.other, p.otherKey = file("stranger.pem", "CERTIFICATE", stranger.der), keyFile("stranger.key", stranger.key)
	return p
}

// A logBook is a log that can be read while it is written.
type logBook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// since returns what was written behind the first n bytes.
func (l *logBook) since(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()[n:]
}

// startEAPServer runs a server in this process, in ns.
func startEAPServer(t *testing.T, ns *netns.NS, addr, cert, key string, methods ...eap.Method) (log *logBook, users chan string) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	log, users = new(logBook), make(chan string, 10)
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	srv := &sstp.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}},
		PPP: &ppp.Config{
			Auth: []ppp.AuthProtocol{ppp.EAP},
			Authenticator: &eap.Authenticator{Methods: methods, Next: ppp.PasswordFunc(func(_ context.Context, user string) (ppp.Secret, error) {
				if user == "alice" {
					return "secret", nil
				}
				return "", ppp.ErrNoUser
			})},
			Addr: netip.MustParseAddr("10.9.0.1"), Logger: logger,
			Pool: &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.9.0.16/28")}},
		},
		Logger: logger,
		Handler: func(ctx context.Context, c *ppp.Conn) error {
			users <- c.Info().User
			return c.Serve(ctx, func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
		},
	}
	l := listenIn(t, ns, addr)
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(l)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return log, users
}

// TestLinuxClientEAP: Debian's pppd, by sstpc, authenticates by EAP-MSCHAPv2 and EAP-TLS. Its key variables hold 16 bytes
// of either key, and that is what it binds EAP-TLS sessions with.
func TestLinuxClientEAP(t *testing.T) {
	t.Parallel()
	NeedLinuxClient(t)
	Need(t, "openssl:openssl")
	ns := netns.New(t)
	dir := t.TempDir()
	cert, key := certificate(t, dir, "sstp.test")
	pki := newEAPPKI(t, dir, "alice")
	g := StartGuest(t, ns, 0)
	put := func(name, from string) string {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		g.put(name, string(b), 0o600)
		return "/mnt/" + name
	}
	tlsMethod := &eap.TLS{Config: &tls.Config{Certificates: []tls.Certificate{pki.server}, ClientCAs: pki.roots}}
	byTLS := "ca " + put("eap-ca.pem", pki.ca) + "\ncert " + put("alice.pem", pki.cert) + "\nkey " + put("alice.key", pki.key) + "\nneed-peer-eap\n"
	byStranger := "ca /mnt/eap-ca.pem\ncert " + put("stranger.pem", pki.other) + "\nkey " + put("stranger.key", pki.otherKey) + "\nneed-peer-eap\n"
	const tls12 = "max-tls-version 1.2\n" // pppd's TLS 1.3 is older than RFC 9190

	for i, c := range []struct {
		name, user, password, options string
		methods                       []eap.Method
		keys, refused                 string
	}{
		{"EAP-MSCHAPv2", "alice", "secret", "", []eap.Method{&eap.MSCHAPv2{}}, "recv+send", ""},
		{"EAP-MSCHAPv2, wrong password", "alice", "wrong", "", []eap.Method{&eap.MSCHAPv2{}}, "", "wrong password"},
		{"EAP-TLS", "alice", "", byTLS + tls12, []eap.Method{tlsMethod}, "recv16+send16", ""},
		{"EAP-TLS, another CA's certificate", "alice", "", byStranger + tls12, []eap.Method{tlsMethod}, "", "certificate"},
		{"EAP-TLS, another's name", "bob", "", byTLS + tls12, []eap.Method{tlsMethod}, "", "EAP Identity"},
	} {
		t.Run(c.name, func(t *testing.T) {
			port := netip.AddrPortFrom(g.Gateway, uint16(4430+i)).String()
			log, users := startEAPServer(t, ns, port, cert, key, c.methods...)
			s := g.Dial(Call{Server: port, Host: "sstp.test", CA: cert, User: c.user, Password: c.password, Auth: "eap", Options: c.options})
			if c.refused != "" {
				if s.Refused == "" || !strings.Contains(log.since(0), c.refused) {
					t.Errorf("refused %q\n%s", s.Refused, last(log.since(0), 3000))
				}
				return
			}
			if s.Refused != "" {
				t.Fatalf("refused: %s\n%s\n--- server\n%s", s.Refused, last(s.PPPLog(), 3000), last(log.since(0), 3000))
			}
			if user := <-users; user != "alice" {
				t.Errorf("the server has %q", user)
			}
			if !strings.Contains(log.since(0), "crypto binding holds") || !strings.Contains(log.since(0), "keys="+c.keys+" ") {
				t.Errorf("want keys %q:\n%s", c.keys, last(log.since(0), 3000))
			}
			s.Hangup()
		})
	}
}
