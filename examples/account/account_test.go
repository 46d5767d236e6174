package main

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
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/eap"
	"github.com/dialway/dialway/radius"
)

func TestAccountsFromNothingToNothing(t *testing.T) {
	dir := t.TempDir()
	file, pw := filepath.Join(dir, "accounts"), filepath.Join(dir, "pw")
	write := func(password string) {
		if err := os.WriteFile(pw, []byte(password+"\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	account := func(args ...string) (string, error) {
		var out, errs bytes.Buffer
		err := run(t.Context(), append([]string{"-file", file, "-password-file", pw}, args...), &out, &errs)
		return out.String(), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := account(args...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	write("first")
	must("-groups", "staff,admins", "-form", "argon2id", "add", "alice")
	must("-form", "clear", "-dialin", "deny", "add", "bob")
	if _, err := account("add", "ALICE"); err == nil {
		t.Error("added twice")
	}
	if out := must("test", "alice"); !strings.Contains(out, "staff, admins") {
		t.Error(out)
	}
	if _, err := account("test", "bob"); err == nil || !strings.Contains(err.Error(), "may not dial in") {
		t.Error(err)
	}
	if _, err := account("test", "carol"); err == nil {
		t.Error("a user who is not there")
	}
	write("second")
	if _, err := account("test", "alice"); err == nil {
		t.Error("a wrong password")
	}
	must("passwd", "alice")
	if out := must("test", "alice"); !strings.Contains(out, "pap  ") || !strings.Contains(out, "eap-mschapv2  yes") || strings.Contains(out, "chap  no") {
		t.Error(out)
	}
	if out := must("list"); !strings.Contains(out, "MS-CHAPv2,PAP") || strings.Contains(out, "second") {
		t.Error(out)
	}
	must("delete", "alice")
	must("delete", "bob")
	if out := must("list"); strings.Count(out, "\n") != 1 {
		t.Error(out)
	}
}

// A login by each method at a RADIUS server, which has EAP-TLS and PEAP, too.
func TestLoginAtRADIUS(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca, server, client := certificates(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	tc := &tls.Config{Certificates: []tls.Certificate{pair(t, server)}, ClientCAs: roots}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &radius.Server{
		Clients: radius.Secrets{netip.MustParsePrefix("127.0.0.0/8"): "s3cret"}.Find,
		Authenticator: &eap.Authenticator{
			Methods: []eap.Method{&eap.MSCHAPv2{}, &eap.TLS{Config: tc}, &eap.PEAP{Config: tc, Inner: &eap.MSCHAPv2{}}},
			Next: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
				if req.User != "alice" {
					return nil, &ppp.AuthError{Err: ppp.ErrNoUser}
				}
				g, err := req.CheckPassword("secret")
				if g != nil {
					g.User, g.Addr, g.IdleTimeout, g.RateIn = "alice", netip.MustParseAddr("10.8.0.77"), time.Hour, ppp.Rate{Bits: 5e6}
				}
				return g, err
			}),
		},
		Accept: func(p *radius.Packet, g *ppp.Grant) { p.Add(radius.FilterID, []byte("web.in")) },
	}
	go srv.Serve(pc)
	defer srv.Close()
	login := func(password string, args ...string) (string, error) {
		var out, errs bytes.Buffer
		err := run(t.Context(), slices.Concat([]string{"-radius", pc.LocalAddr().String(), "-radius-secret-file", write("secret", "s3cret\n"),
			"-password-file", write("pw", password+"\n")}, args, []string{"test", "alice"}), &out, &errs)
		return out.String(), err
	}
	all := []string{"-eap-ca", write("ca.pem", string(ca)), "-eap-server", "radius.test",
		"-client-cert", write("cert.pem", string(client[0])), "-client-key", write("key.pem", string(client[1])),
		"-policies", write("policies.toml", "[[policy]]\nname = \"weak\"\nauth-is = [\"pap\", \"chap-md5\"]\ndeny = true\n[[policy]]\nname = \"rest\"\n")}
	out, err := login("secret", all...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"pap  ", "chap  ", "mschapv2  ", "eap-mschapv2  ", "peap  ", "eap-tls  "} {
		if !strings.Contains(out, "\n"+want) && !strings.HasPrefix(out, want) {
			t.Errorf("no %s:\n%s", want, out)
		}
	}
	for want, n := range map[string]int{
		"  yes  ": 6, "address 10.8.0.77": 6, "idle time-out 1h0m0s": 6, "5000000 bit/s from it": 6, "filters web.in": 6, "keys to bind with": 4,
		"no proven name":        3, // of EAP: the User-Name of an Access-Accept is not believed
		`policy "weak": denies`: 2, `policy "rest"  decides: granted`: 4, "s3cret": 0,
	} {
		flat := regexp.MustCompile(` {2,}`).ReplaceAllString(out, "  ")
		if got := strings.Count(flat, want); got != n {
			t.Errorf("%q stands there %d times, want %d:\n%s", want, got, n, flat)
		}
	}
	if out, err := login("wrong", all...); err != nil || strings.Count(out, "  yes  ") != 1 || !strings.Contains(out, "eap-tls") {
		t.Errorf("with a wrong password: %v\n%s", err, out) // the certificate is right
	}
	if out, err := login("wrong", "-auth", "mschapv2"); err == nil || !strings.Contains(out, "mschapv2  no") {
		t.Errorf("%v\n%s", err, out)
	}
	for args, want := range map[string]string{
		"-auth ntlm":               "-auth",
		"-auth peap":               "-eap-ca",
		"-file x":                  "-file do not go together",
		"-auth peap -eap-server x": "-eap-ca",
		"-client-cert /x":          "-client-cert",
		"-policies /x/y":           "-policies",
		"-radius 10.0.0.5:0x":      "is no server",
	} {
		if _, err := login("secret", strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not tell %q", args, err, want)
		}
	}
	if _, err := parse([]string{"-file", "x", "-radius", "y", "list"}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "means nothing with list") {
		t.Error(err)
	}
}

// certificates makes a CA, and of a server and a client of it certificate and key, in PEM.
func certificates(t *testing.T) (ca []byte, server, client [2][]byte) {
	t.Helper()
	issue := func(serial int64, name string, by *x509.Certificate, byKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		if by == nil {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
			by, byKey = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), byKey)
		if err != nil {
			t.Fatal(err)
		}
		c, err = x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c, key
	}
	text := func(c *x509.Certificate, key *ecdsa.PrivateKey) (pair [2][]byte) {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return [2][]byte{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}
	}
	root, rootKey := issue(1, "CA", nil, nil)
	return text(root, rootKey)[0], text(issue(2, "radius.test", root, rootKey)), text(issue(3, "alice", root, rootKey))
}

func pair(t *testing.T, text [2][]byte) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair(text[0], text[1])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAllThatIsWrongIsTold(t *testing.T) {
	_, err := parse([]string{"-form", "x", "-dialin", "y", "-hours", "z", "frobnicate"}, &bytes.Buffer{})
	for _, want := range []string{"-file", "-form", "-dialin", "-hours", "frobnicate"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
