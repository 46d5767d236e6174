package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/examples/internal/conf"
	"github.com/dialway/dialway/radius"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const accountsText = `{"user":"alice","secret":"clear:secret","groups":["staff"]}
{"user":"bob","secret":"clear:secret"}
`

func TestEveryProblemIsToldWithItsLine(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "empty.pem", "")
	file := write(t, dir, "radiusd.toml", `listen = [1]
accounts = "none"
bogus = 1

[radsec]
listen = "nowhere"
ca = "empty.pem"
[eap]
methods = ["mschapv2", "telepathy", "tls"]
[[client]]
prefix = ["10.0.0.1/8", "10.0.0.0/8", "10.0.0.0/8"]
[[home]]
name = "a"
[[home]]
name = "a"
address = "192.0.2.1"
secret = "x"
weight = 0
[[home]]
name = "b"
address = "192.0.2.1"
secret = "x"
ca = "empty.pem"
certificate = "missing.pem"
[[home]]
name = "c"
address = "192.0.2.1"
radsec = true
[[realm]]
name = "x"
home = ["a", "z"]
remove-replies = ["0", "24", "311.x"]
[[realm]]
name = "X"
spool = "dir"
[[policy]]
colour = "red"
`)
	err := run(t.Context(), []string{"-config", file, "-check"}, io.Discard, io.Discard)
	if !errors.As(err, new(conf.Problems)) {
		t.Fatalf("%v", err)
	}
	got := strings.ReplaceAll(err.Error(), file+":", "")
	for _, want := range []string{"1: listen: want a list of texts", "2: accounts:", "3: bogus: there is no such key", "6: listen:", "7: ca: RadSec needs the authority",
		"5: certificate: RadSec needs", `9: methods: "telepathy"`, "8: certificate: tls needs", "8: ca: tls needs", "10: secret: missing",
		"11: prefix: 10.0.0.1/8 has bits", "11: prefix: 10.0.0.0/8 has a secret already", `15: name: there is a home server "a" already`, "18: weight:", "24: certificate: open",
		"28: radsec: certificate and key", `31: home: there is no [[home]] "z"`, `32: remove-replies: "0"`, "32: remove-replies: attribute 24 is", `32: remove-replies: "311.x"`,
		`34: name: there is a realm "x" already`, "33: home: missing", "36: name: a policy needs a name", "37: colour:"} {
		if !strings.Contains("\n"+got, "\n"+want) {
			t.Errorf("not told: %s", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
	for text, want := range map[string]string{
		"x = [": ":1:",
		"":      "nobody could ask",
		"[[client]]\nprefix = \"10.0.0.1\"\nsecret = \"x\"": "nobody is known",
	} {
		if _, err := readConfig(write(t, dir, "x.toml", text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := run(t.Context(), nil, io.Discard, io.Discard); !errors.As(err, new(cli.UsageError)) {
		t.Errorf("without -config: %v", err)
	}
}

func TestTheFileBesideTheProgramIsRight(t *testing.T) {
	dir := t.TempDir()
	b, err := os.ReadFile("radiusd.toml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "accounts", accountsText)
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-config", write(t, dir, "radiusd.toml", string(b)), "-check"}, &out, io.Discard); err != nil ||
		!strings.Contains(out.String(), "nothing is wrong: 3 clients, 2 policies, 3 realms, 2 home servers") {
		t.Errorf("%v %s", err, &out)
	}
	// What is commented out is right, too.
	certificates(t, dir, "server", "radius", "proxy")
	for _, name := range []string{"nas-ca.pem", "users-ca.pem", "partner-ca.pem"} {
		os.Link(filepath.Join(dir, "ca.pem"), filepath.Join(dir, name))
	}
	whole := strings.ReplaceAll(string(b), "#! ", "")
	if _, err := readConfig(write(t, dir, "whole.toml", whole)); err != nil {
		t.Error(err)
	}
	if c, err := readConfig(filepath.Join(dir, "whole.toml")); err == nil && strings.Contains(fmt.Sprintf("%+v", c), "secret\"") {
		t.Error("a secret is told")
	}
}

// certificates makes NAME.pem and NAME.key of one authority, ca.pem.
func certificates(t *testing.T, dir string, names ...string) {
	t.Helper()
	var ca *x509.Certificate
	var caKey *ecdsa.PrivateKey
	for i, name := range append([]string{"ca"}, names...) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: i == 0, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		}
		if i == 0 {
			ca, caKey = tmpl, key
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, ca, key.Public(), caKey)
		if err != nil {
			t.Fatal(err)
		}
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		write(t, dir, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	}
}

// ports returns ports of the loopback that were free a moment ago.
func ports(t *testing.T, n int) (list []string) {
	for range n {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		list = append(list, pc.LocalAddr().String())
	}
	return list
}

// A running radiusd.
type running struct {
	t      *testing.T
	file   string
	hangup chan os.Signal
	mu     sync.Mutex
	log    bytes.Buffer
}

func (r *running) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(b)
}

// await waits for a line of the log.
func (r *running) await(text string) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		there := strings.Contains(r.log.String(), text)
		r.mu.Unlock()
		if there {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.t.Fatalf("no %q in the log:\n%s", text, &r.log)
}

func start(t *testing.T, file string) *running {
	t.Helper()
	c, err := readConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, file: file, hangup: make(chan os.Signal)}
	s, err := newService(c, cli.Logger(r, true))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, c, r.hangup, func() (*config, error) { return readConfig(file) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended: %v", err)
		}
	})
	r.await("ready")
	return r
}

func request(user, password string) *radius.Packet {
	p := &radius.Packet{Code: radius.AccessRequest}
	p.Add(radius.UserName, []byte(user))
	p.Add(radius.UserPassword, []byte(password))
	return p
}

// One radiusd knows the users, the other passes them on by RadSec; both take accounting.
func TestProxyBeforeServerByRadSec(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "server", "proxy", "stranger")
	write(t, dir, "accounts", accountsText)
	p := ports(t, 3)
	start(t, write(t, dir, "home.toml", fmt.Sprintf(`listen = %q
accounts = "accounts"
accounting = "accounting.jsonl"
[radsec]
listen = %q
certificate = "server.pem"
key = "server.key"
ca = "ca.pem"
names = ["proxy"]
[eap]
methods = ["mschapv2"]
[[policy]]
name = "staff"
groups = ["staff"]
filters = ["staff.in"]
session-timeout = "1h"
[[policy]]
name = "nobody"
deny = true
`, p[0], p[0])))
	file := write(t, dir, "proxy.toml", fmt.Sprintf(`listen = [%q, %q]
accounts = "accounts"
[[client]]
prefix = "127.0.0.1"
secret = "first"
[[home]]
name = "home"
address = %q
radsec = true
ca = "ca.pem"
certificate = "proxy.pem"
key = "proxy.key"
[[realm]]
name = "away"
home = "home"
strip = true
spool = "spool"
remove-replies = ["11"]
[[realm]]
name = "here"
`, p[1], p[2], p[0]))
	proxy := start(t, file)
	client := func(secret radius.Secret) *radius.Client {
		c := &radius.Client{Targets: []radius.Target{{Addr: p[1], Acct: p[2], Secret: secret}}}
		t.Cleanup(func() { c.Close() })
		return c
	}
	ask := func(c *radius.Client, user, password string) radius.Code {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		reply, err := c.Exchange(ctx, request(user, password))
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		if _, ok := reply.Get(radius.FilterID); ok {
			t.Errorf("%s: a Filter-Id passes", user)
		}
		return reply.Code
	}
	c := client("first")
	for _, x := range []struct {
		user, password string
		want           radius.Code
	}{
		{"alice@away", "secret", radius.AccessAccept}, {"alice@away", "wrong", radius.AccessReject}, {"bob@away", "secret", radius.AccessReject},
		{`AWAY\alice`, "secret", radius.AccessAccept}, {"bob@here", "secret", radius.AccessAccept}, {"alice@nowhere", "secret", radius.AccessReject},
		{"bob", "secret", radius.AccessAccept},
	} {
		if got := ask(c, x.user, x.password); got != x.want {
			t.Errorf("%s with %s: %v", x.user, x.password, got)
		}
	}

	// Accounting of the realm is spooled and sent; the home server has it by its own name.
	acct := &radius.Packet{Code: radius.AccountingRequest}
	acct.Add(radius.UserName, []byte("alice@away"))
	acct.Add(radius.AcctStatusType, []byte{0, 0, 0, 1})
	acct.Add(radius.AcctSessionID, []byte("s1"))
	if reply, err := c.Exchange(t.Context(), acct); err != nil || reply.Code != radius.AccountingResponse {
		t.Errorf("%v, %v", reply, err)
	}
	var line struct{ Status, Session, User string }
	for range 1000 {
		if f, err := os.Open(filepath.Join(dir, "accounting.jsonl")); err == nil {
			if s := bufio.NewScanner(f); s.Scan() {
				json.Unmarshal(s.Bytes(), &line)
			}
			f.Close()
		}
		if line.User != "" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if line.Status != "Start" || line.Session != "s1" || line.User != "alice" {
		t.Errorf("accounted %+v", line)
	}

	// Another secret and another realm count from a reload on; what is wrong changes nothing.
	b, _ := os.ReadFile(file)
	write(t, dir, "proxy.toml", "x")
	proxy.hangup <- os.Interrupt
	proxy.await("reload failed")
	if got := ask(c, "alice@away", "secret"); got != radius.AccessAccept {
		t.Errorf("after a wrong file: %v", got)
	}
	write(t, dir, "proxy.toml", strings.NewReplacer(`"first"`, `"second"`, `"away"`, `"abroad"`).Replace(string(b)))
	proxy.hangup <- os.Interrupt
	proxy.await("reloaded")
	if got := ask(client("second"), "alice@abroad", "secret"); got != radius.AccessAccept {
		t.Errorf("after a reload: %v", got)
	}

	// A certificate of the authority with another name is no client.
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "stranger.pem"), filepath.Join(dir, "stranger.key"))
	if err != nil {
		t.Fatal(err)
	}
	pem, _ := os.ReadFile(filepath.Join(dir, "ca.pem"))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	stranger := &radius.Client{Targets: []radius.Target{{Addr: p[0], TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}}}
	defer stranger.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if reply, err := stranger.Exchange(ctx, request("alice", "secret")); err == nil {
		t.Errorf("a stranger is answered: %v", reply.Code)
	}
}
