//go:build record

// The transcripts of internal/peer, made anew:
//
//	go test -tags record -run Record ./internal/interop
//	go test ./internal/peer -run Transcripts -update
package interop

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/internal/peer"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
)

const transcripts = "../peer/testdata"

// save writes a transcript down, once the sessions it is of are over.
func save(t *testing.T, name string, tr *peer.Transcript) {
	t.Helper()
	if err := os.MkdirAll(transcripts, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(transcripts, name+".txt"), []byte(tr.Text()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRecordLinuxClient records sstpc and pppd with this library's server.
func TestRecordLinuxClient(t *testing.T) {
	NeedLinuxClient(t)
	ns := netns.New(t)
	g := StartGuest(t, ns, 0)
	cert := peer.RSACertificate()
	ca := writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})))
	for _, c := range []struct {
		name, comment, auth, password string
		method                        ppp.AuthProtocol
	}{
		{"sstpc-mschapv2", "by MS-CHAPv2", "mschap-v2", "secret", ppp.MSCHAPv2},
		{"sstpc-chap", "by CHAP-MD5", "chap", "secret", ppp.CHAP},
		{"sstpc-pap", "by PAP", "pap", "secret", ppp.PAP},
		{"sstpc-refused", "by MS-CHAPv2 with a wrong password", "mschap-v2", "wrong", ppp.MSCHAPv2},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := sstptest.NewServer(&sstp.Server{
				TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
				PPP: &ppp.Config{
					Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
					Auth:          []ppp.AuthProtocol{c.method},
					Addr:          netip.MustParseAddr("10.8.0.1"),
					Pool:          &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24")}},
					DNS:           []netip.Addr{netip.MustParseAddr("192.0.2.53")},
				},
			})
			defer srv.Close()
			var rec peer.Recorder
			relay := &peer.Relay{
				Certificate: cert, Pass: rec.Pass,
				Dial: func(ctx context.Context) (net.Conn, error) { return srv.Dialer(nil).NetDial(ctx, "tcp", "") },
			}
			l := listenIn(t, ns, net.JoinHostPort(g.Gateway.String(), "443"))
			done := make(chan struct{})
			go func() { defer close(done); relay.Serve(l) }()
			s := g.Dial(Call{Server: l.Addr().String(), Host: peer.Host, CA: ca, User: "alice", Password: c.password, Auth: c.auth, IPv6: true})
			if (s.Refused != "") != (c.password == "wrong") {
				t.Fatalf("refused %q", s.Refused)
			}
			if s.Refused == "" {
				s.Hangup()
			}
			l.Close()
			<-done
			save(t, c.name, rec.Transcript("sstp-client 1.0.18 with pppd 2.4.9 plays the client, "+c.comment+".\n", true))
		})
	}
}

// TestRecordSoftEther records SoftEther's server with this library's client.
func TestRecordSoftEther(t *testing.T) {
	ns := netns.New(t)
	se := StartSoftEther(t, ns)
	for _, c := range []struct {
		name, comment, password string
		method                  ppp.AuthProtocol
	}{
		{"softether-mschapv2", "by MS-CHAPv2", se.Password, ppp.MSCHAPv2},
		{"softether-pap", "by PAP", se.Password, ppp.PAP},
		{"softether-refused", "by MS-CHAPv2 with a wrong password", "wrong", ppp.MSCHAPv2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var rec peer.Recorder
			relay := &peer.Relay{
				Certificate: peer.RSACertificate(), Pass: rec.Pass,
				Dial: func(ctx context.Context) (nc net.Conn, err error) {
					ns.Do(func() { nc, err = new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:443") })
					return nc, err
				},
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() { defer close(done); relay.Serve(l) }()
			d := &sstp.Dialer{
				TLSConfig: &tls.Config{RootCAs: peer.Roots(peer.RSACertificate()), ServerName: peer.Host},
				PPP:       &ppp.Config{User: se.User, Password: ppp.Secret(c.password), Auth: []ppp.AuthProtocol{c.method}},
			}
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			conn, err := d.DialContext(ctx, l.Addr().String())
			if (err != nil) != (c.password == "wrong") {
				t.Fatal(err)
			}
			if err == nil {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				defer cancel()
				conn.Serve(ctx, func(b [][]byte, _ int) (int, error) { return len(b), nil })
			}
			l.Close()
			<-done
			save(t, c.name, rec.Transcript("SoftEther 5.01.9674 plays the server, "+c.comment+".\n", false))
		})
	}
}
