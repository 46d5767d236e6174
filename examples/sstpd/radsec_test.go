package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/radius"
	"github.com/dialway/dialway/sstp"
)

// pemFiles writes a certificate of its own making, and its key.
func pemFiles(t *testing.T, name string) (cert, key string, pair *tls.Certificate) {
	t.Helper()
	pair, err := cli.SelfSigned(name)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := func(kind string, b []byte) string {
		return secretFile(t, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})), 0o600)
	}
	return file("CERTIFICATE", pair.Certificate[0]), file("PRIVATE KEY", der), pair
}

// TestServeRadSec is a login, its accounting and a disconnect over one connection.
func TestServeRadSec(t *testing.T) {
	ca, _, far := pemFiles(t, "radius.test")
	cert, key, _ := pemFiles(t, "vpn.test")
	records := make(chan *radius.Record, 100)
	srv := &radius.Server{
		Authenticator: ppp.AuthenticatorFunc(func(_ context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) { return req.CheckPassword("secret") }),
		Account:       func(_ context.Context, r *radius.Record) error { records <- r; return nil },
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{*far}, ClientAuth: tls.RequireAnyClientCert,
			VerifyConnection: func(tls.ConnectionState) error { return nil }},
	}
	sealed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.ServeTLS(sealed)
	defer srv.Close()
	flags := []string{"-tun", "netstack", "-radius", sealed.Addr().String(), "-radius-tls-ca", ca, "-radius-tls-name", "radius.test"}
	for _, x := range []struct{ more, want string }{
		{"", "-radius-tls-cert: and -radius-tls-key"},
		{"-radius-tls-cert " + cert + " -radius-tls-key /none", "-radius-tls-cert: open /none"},
		{"-radius-tls-cert " + cert + " -radius-tls-key " + key + " -radius-secret-file x", "-radius-secret-file: means nothing with RadSec"},
		{"-radius-tls-cert " + cert + " -radius-tls-key " + key + " -coa :3799", "-coa: means nothing with RadSec"},
		{"-radius-tls-cert " + cert + " -radius-tls-key " + key + " -radius-tls-ca " + key, "-radius-tls-ca: "},
	} {
		if _, err := parse(append(flags[:len(flags):len(flags)], strings.Fields(x.more)...), io.Discard); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v does not tell %q", x.more, err, x.want)
		}
	}
	c, err := parse(append(flags, "-radius-tls-cert", cert, "-radius-tls-key", key), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	s := &server{config: c, log: cli.Logger(&log, false), sessions: new(ppp.Sessions)}
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	addr, stop := serving(t, s)
	status := func(want string) {
		t.Helper()
		select {
		case r := <-records:
			if r.Status != want {
				t.Fatalf("accounting has %s, want %s", r.Status, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("no accounting record %s\n%s", want, &log)
		}
	}
	status("On")
	d := &sstp.Dialer{Pins: [][32]byte{sha256.Sum256(s.cert.Load().Certificate[0])}, PPP: &ppp.Config{User: "alice", Password: "secret"}}
	link, err := d.DialContext(t.Context(), addr)
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- link.Serve(t.Context(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
	}()
	status("Start")
	p := &radius.Packet{Code: radius.DisconnectRequest}
	p.Add(radius.UserName, []byte("alice"))
	if reply, err := srv.Send(t.Context(), "vpn.test", p); err != nil || reply.Code != radius.DisconnectACK {
		t.Errorf("%v, %v", reply, err)
	}
	<-ended
	status("Stop")
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("serve: %v", err)
	}
	status("Off")
}
