//go:build unix

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel/netstack"
)

// TestServe runs the server as it is, on loopback, behind a stack that leads every flow to one web server.
func TestServe(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "inside") }))
	defer site.Close()
	web := t.TempDir()
	os.WriteFile(filepath.Join(web, "index.html"), []byte("outside"), 0o600)
	users := usersFile(t, "alice:secret\n")
	var log logBuffer
	c, err := parse([]string{"-users", users, "-tun", "netstack", "-web", web, "-dns", "192.0.2.53"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{config: c, log: cli.Logger(&log, false)}
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	host := &netstack.Stack{Forward: func(ctx context.Context, network string, src, dst netip.AddrPort) (net.Conn, error) {
		if network != "tcp" || dst.String() != "192.0.2.80:80" || !c.pool.Contains(src.Addr()) {
			t.Errorf("forwards %s from %v to %v", network, src, dst)
		}
		return new(net.Dialer).DialContext(ctx, network, site.Listener.Addr().String())
	}}
	if err := host.Configure(t.Context(), stackAddr{addr: s.addr, mtu: s.mtu}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx, host, l) }()
	log.wait(t, "msg=ready")

	dial := func(password ppp.Secret) (*ppp.Conn, error) {
		d := &sstp.Dialer{
			Pins: [][32]byte{sha256.Sum256(s.cert.Load().Certificate[0])},
			PPP:  &ppp.Config{User: `EXAMPLE\Alice`, Password: password},
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return d.DialContext(ctx, l.Addr().String())
	}
	link, err := dial("secret")
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if i := link.Info(); i.Local.String() != "10.8.0.2" || i.Peer.String() != "10.8.0.1" || !slices.Equal(link.DNS(), []netip.Addr(c.dns)) {
		t.Errorf("%+v, DNS %v", i, link.DNS())
	}
	ns := new(netstack.Stack)
	defer ns.Close()
	ended := make(chan error, 1)
	go func() { ended <- ns.Serve(t.Context(), link) }()
	through := &http.Client{Transport: &http.Transport{DialContext: ns.DialContext}}
	wantBody(t, through, "http://192.0.2.80/", "inside")

	// The same port shows the web site to browsers.
	pool := &http.Transport{TLSClientConfig: s.sstp(nil, nil).TLSConfig.Clone(), ForceAttemptHTTP2: true}
	pool.TLSClientConfig.InsecureSkipVerify = true
	wantBody(t, &http.Client{Transport: pool}, "https://"+l.Addr().String()+"/", "outside")

	// A reload changes who may come, and leaves who is there.
	var auth *ppp.AuthError
	if _, err := dial("new"); !errors.As(err, &auth) || !auth.Remote {
		t.Errorf("a wrong password: %v", err)
	}
	os.WriteFile(users, []byte("alice:new\n"), 0o600)
	syscall.Kill(os.Getpid(), syscall.SIGHUP)
	log.wait(t, "msg=reloaded")
	if _, err := dial("secret"); !errors.As(err, &auth) {
		t.Errorf("the old password: %v", err)
	}
	again, err := dial("new")
	if err != nil {
		t.Fatalf("the new password: %v", err)
	}
	go again.Serve(t.Context(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
	wantBody(t, through, "http://192.0.2.80/again", "inside")

	log.waitFor(t, `msg="sstp: session opened"`, 2) // the client's end may be open a moment before the server's
	stop()
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Errorf("serve: %v", err)
	}
	var bye *ppp.TerminatedError
	if err := <-ended; !errors.As(err, &bye) || !bye.Remote {
		t.Errorf("the client's session ended with %v", err)
	}
	text := log.String()
	for _, line := range []string{`msg="sstp: session opened"`, `msg="sstp: session ended"`} {
		if n := strings.Count(text, line); n != 2 {
			t.Errorf("%q is logged %d times:\n%s", line, n, text)
		}
	}
	if strings.Contains(text, "secret") || strings.Contains(text, "new\"") {
		t.Errorf("a password is logged:\n%s", text)
	}
}

func wantBody(t *testing.T, c *http.Client, url, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != want {
		t.Errorf("%s: %q %v", url, b, err)
	}
}
