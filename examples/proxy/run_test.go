package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel/netstack"
)

// A logBuffer may be written by the program while the test reads it.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// wait waits for n matches and returns the last's group.
func (l *logBuffer) wait(t *testing.T, expr string, n int) string {
	t.Helper()
	re := regexp.MustCompile(expr)
	for range 2000 {
		l.mu.Lock()
		found := re.FindAllStringSubmatch(l.b.String(), -1)
		l.mu.Unlock()
		if len(found) >= n {
			return found[n-1][1]
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s is not logged %d times:\n%s", expr, n, &l.b)
	return ""
}

// TestRun runs the program against a server whose stack leads every flow to one web site, cuts the session, and goes on.
func TestRun(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "inside") }))
	defer site.Close()
	cert, err := cli.SelfSigned("vpn.example.com")
	if err != nil {
		t.Fatal(err)
	}
	far := &netstack.Stack{Forward: func(ctx context.Context, network string, src, dst netip.AddrPort) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, site.Listener.Addr().String())
	}}
	defer far.Close()
	var sessions ppp.Sessions
	srv := &sstp.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{*cert}},
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
			Addr:          netip.MustParseAddr("10.8.0.1"),
			Pool:          &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.8/29")}},
			Sessions:      &sessions,
		},
		Handler: func(ctx context.Context, c *ppp.Conn) error { return far.Serve(ctx, c) },
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log logBuffer
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-server", l.Addr().String(), "-user", "alice", "-password", "secret", "-fingerprint",
			cli.Fingerprint(cert.Certificate[0]), "-socks", "127.0.0.1:0", "-http", "127.0.0.1:0"}, io.Discard, &log)
	}()
	socks, web := log.wait(t, `listening on=(\S+)`, 1), log.wait(t, `listening on=(\S+)`, 2)
	get := func(proxy string) {
		t.Helper()
		via, err := url.Parse(proxy)
		if err != nil {
			t.Fatal(err)
		}
		c := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(via), DisableKeepAlives: true}, Timeout: 20 * time.Second}
		resp, err := c.Get("http://192.0.2.80/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "inside" {
			t.Errorf("%s: %q %v", proxy, b, err)
		}
	}
	get("socks5://" + socks)
	get("http://" + web)
	for c := range sessions.All() {
		c.Terminate(ppp.AdminReset, "test")
	}
	log.wait(t, `msg="(dialling again)"`, 1)
	log.wait(t, `msg=(connected)`, 2)
	get("socks5://" + socks)
	stop()
	if err := <-done; err == nil {
		t.Error("run ended without a reason")
	}
}
