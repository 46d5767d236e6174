package peer_test

import (
	"context"
	"crypto/tls"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/internal/peer"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
)

var update = flag.Bool("update", false, "write what this library says today into the transcripts")

// TestTranscripts plays foreign peers again, as internal/interop has recorded them, and holds that this library answers each
// byte as it did. An intended change is renewed with -update; the peers' own lines stay.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no transcripts")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			old, err := peer.ParseTranscript(string(text))
			if err != nil {
				t.Fatal(err)
			}
			var got string
			synctest.Test(t, func(t *testing.T) {
				if strings.Contains(old.Comment, "plays the server") {
					got = playServer(t, old).Text()
				} else {
					got = playClient(t, old).Text()
				}
			})
			switch {
			case got == string(text):
			case *update:
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			default:
				t.Errorf("today (renew with -update if that is meant):\n%swas:\n%s", got, text)
			}
		})
	}
}

// authOf is the method that a transcript's name tells.
func authOf(old *peer.Transcript) ppp.AuthProtocol {
	switch {
	case strings.Contains(old.Comment, "by PAP"):
		return ppp.PAP
	case strings.Contains(old.Comment, "by CHAP-MD5"):
		return ppp.CHAP
	}
	return ppp.MSCHAPv2
}

// passwordOf is what the peer knew.
func passwordOf(old *peer.Transcript) string {
	if strings.Contains(old.Comment, "a wrong password") {
		return "wrong"
	}
	return "secret"
}

// playClient plays a client to a Server.
func playClient(t *testing.T, old *peer.Transcript) *peer.Transcript {
	srv := sstptest.NewServer(&sstp.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{peer.Certificate()}},
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
			Auth:          []ppp.AuthProtocol{authOf(old)},
			Addr:          netip.MustParseAddr("10.8.0.1"),
			Pool:          &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24")}},
			DNS:           []netip.Addr{netip.MustParseAddr("192.0.2.53")},
		},
	})
	defer srv.Close()
	nc, err := srv.Dialer(nil).NetDial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	p := peer.Player{
		Peer:     peer.Client(t, nc, &tls.Config{RootCAs: peer.Roots(peer.Certificate()), ServerName: peer.Host}),
		User:     "alice",
		Password: passwordOf(old),
	}
	p.Certificate = peer.Leaf(p.Conn)
	p.Text("SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\nContent-Length: 18446744073709551615\n\n")
	p.Head()
	return p.Play(old)
}

// playServer plays a server to a Dialer, which hangs up where it did.
func playServer(t *testing.T, old *peer.Transcript) *peer.Transcript {
	l := memnet.Listen(netip.MustParseAddrPort("198.51.100.1:443"))
	d := &sstp.Dialer{
		TLSConfig: &tls.Config{RootCAs: peer.Roots(peer.Certificate())},
		PPP:       &ppp.Config{User: "alice", Password: ppp.Secret(passwordOf(old)), Auth: []ppp.AuthProtocol{authOf(old)}},
		NetDial:   l.Dial,
	}
	var link *ppp.Conn
	dialled, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		c, err := d.DialContext(context.Background(), peer.Host)
		link = c
		close(dialled)
		if err == nil {
			c.Serve(context.Background(), func(b [][]byte, _ int) (int, error) { return len(b), nil })
		}
	}()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := peer.Player{
		Peer:   peer.Server(t, nc, &tls.Config{Certificates: []tls.Certificate{peer.Certificate()}}),
		Server: true, Certificate: peer.Certificate().Certificate[0], User: "alice", Password: "secret",
	}
	p.Before = func(q peer.Packet) {
		if peer.Code(peer.LCP, peer.TermReq)(q) || peer.Message(peer.Disconnect)(q) {
			select {
			case <-dialled:
				if link != nil {
					go link.Close()
				}
			case <-time.After(100 * time.Millisecond): // the dial itself says goodbye
			}
		}
	}
	p.Head()
	p.Text("HTTP/1.1 200 OK\nContent-Length: 18446744073709551615\n\n")
	now := p.Play(old)
	nc.Close()
	<-ended
	return now
}

// TestTranscriptText: what is written can be read, and what cannot be is refused.
func TestTranscriptText(t *testing.T) {
	was := &peer.Transcript{Comment: "one\ntwo\n", Lines: []peer.Line{
		{ToServer: true, Packet: peer.Request()},
		{ToServer: false, Packet: peer.PPP(peer.LCP, peer.ConfReq, 1, peer.Opt(5, "01020304"))},
	}}
	got, err := peer.ParseTranscript(was.Text())
	if err != nil || got.Text() != was.Text() || len(got.Lines) != 2 || !got.Lines[0].ToServer {
		t.Errorf("%v %q", err, got.Text())
	}
	for _, bad := range []string{"x 1001", ">", "> zz", "> 1001", "> 1001000800080000ff", "> 2001000800080000"} {
		if _, err := peer.ParseTranscript(bad + "\n"); err == nil {
			t.Errorf("%q is a transcript", bad)
		}
	}
}
