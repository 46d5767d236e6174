package sstp

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/ppp"
)

// webClient returns an HTTP client of the server, by HTTP/1.1 or HTTP/2.
func (ts *testServer) webClient(h2 bool) *http.Client {
	tr := &http.Transport{
		DialContext:       ts.l.Dial,
		TLSClientConfig:   &tls.Config{RootCAs: roots(testCertificate()), ServerName: "vpn"},
		ForceAttemptHTTP2: h2,
	}
	if !h2 {
		tr.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	return &http.Client{Transport: tr}
}

// One port carries a web site by both HTTPs, and SSTP; net/http knows of the TLS under it.
func TestWebSiteOnTheSamePort(t *testing.T) {
	config := testTLS()
	config.NextProtos = []string{"h2", "http/1.1"}
	ts := startServer(&Server{TLSConfig: config})
	site := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s tls=%v %s", r.Proto, r.Method, r.URL.Path, r.TLS != nil && r.TLS.HandshakeComplete, body)
	})}
	served := make(chan error)
	go func() { served <- site.Serve(ts.HTTPListener()) }()
	for _, tt := range []struct {
		h2   bool
		want string
	}{
		{false, "HTTP/1.1 POST /a tls=true some text"},
		{true, "HTTP/2.0 POST /a tls=true some text"},
	} {
		c := ts.webClient(tt.h2)
		for range 3 { // the connection is kept
			resp, err := c.Post("https://vpn/a", "text/plain", strings.NewReader("some text"))
			if err != nil {
				t.Fatalf("%s: %v", tt.want, err)
			}
			got, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(got) != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		}
		c.CloseIdleConnections()
	}
	// The method is not enough: this one is http.Server's to refuse.
	c := ts.rawTLS(t, nil)
	io.WriteString(c, "SSTP_DUPLEX_POST /elsewhere HTTP/1.1\r\nHost: vpn\r\nContent-Length: 0\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("%v, %v", resp, err)
	}
	c.Close()

	link, ended := ts.session(t, nil)
	if !until(5*time.Second, func() bool { st := ts.Stats(); return st.HTTP == 3 && st.Opened == 1 && st.Pending == 0 }) {
		t.Errorf("%+v", ts.Stats())
	}
	// The web site may go, and SSTP stays.
	site.Close()
	if err := <-served; err != http.ErrServerClosed {
		t.Error(err)
	}
	resp, err = ts.webClient(false).Get("https://vpn/")
	if err != nil || resp.StatusCode != 404 {
		t.Errorf("without a web site: %v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
	link.Close()
	<-ended
	ts.stop()
	if _, err := ts.HTTPListener().Accept(); err == nil {
		t.Error("a listener of a closed server accepts")
	}
}

func TestWebWithoutListener(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		defer ts.stop()
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: vpn\r\n\r\n",
			"HEAD /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\r\nHost: vpn\r\n\r\n",
			"POST / HTTP/1.0\n\n",
		} {
			c := ts.rawTLS(t, nil)
			start := time.Now()
			io.WriteString(c, request)
			b, err := io.ReadAll(c)
			if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n") || time.Since(start) != 0 {
				t.Errorf("%.20q: %q, %v", request, b, err)
			}
		}
		// HTTP/2 has nobody to speak it.
		c := ts.rawTLS(t, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
		if p := c.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
			t.Errorf("negotiated %q", p)
		}
		c.Close()
		synctest.Wait()
		if st := ts.Stats(); st.HTTP != 3 {
			t.Errorf("%+v", st)
		}
	})
}

// An http.Server that does not accept holds a connection no longer than a handshake may take.
func TestWebListenerThatNobodyServes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		defer ts.stop()
		l := ts.HTTPListener()
		if l != ts.HTTPListener() {
			t.Error("two listeners at once")
		}
		c := ts.rawTLS(t, nil)
		start := time.Now()
		io.WriteString(c, "GET / HTTP/1.1\r\n\r\n")
		io.ReadAll(c)
		if d := time.Since(start); d != 15*time.Second {
			t.Errorf("held for %v", d)
		}
		l.Close()
		if ts.HTTPListener() == l {
			t.Error("a closed listener again")
		}
	})
}

// Connections that were handed over count in no limit, and their time is their taker's.
func TestWebConnectionsAreNotPending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{MaxPending: 1, MaxPendingPerIP: 1})
		defer ts.stop()
		l := ts.HTTPListener()
		for range 5 {
			c := ts.rawTLS(t, nil)
			io.WriteString(c, "GET / HTTP/1.1\r\n\r\n")
			web, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer web.Close()
			defer c.Close()
			time.Sleep(time.Minute)
			b := make([]byte, 100)
			if n, err := web.Read(b[:1]); n != 1 || b[0] != 'G' || err != nil {
				t.Errorf("%q, %v", b[:n], err)
			}
			if n, err := web.Read(b); err != nil || string(b[:n]) != "ET / HTTP/1.1\r\n\r\n" {
				t.Errorf("%q, %v", b[:n], err)
			}
			fmt.Fprint(web, "hello")
			if n, err := c.Read(b); string(b[:n]) != "hello" || err != nil {
				t.Errorf("%q, %v", b[:n], err)
			}
		}
		synctest.Wait()
		if st := ts.Stats(); st.Pending != 0 || st.HTTP != 5 {
			t.Errorf("%+v", st)
		}
	})
}

// What negotiated an ACME challenge is handed over as it is, unread.
func TestACMEIsHandedOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		config := testTLS()
		config.NextProtos = []string{"h2", "http/1.1", "acme-tls/1"}
		ts := startServer(&Server{TLSConfig: config})
		defer ts.stop()
		l := ts.HTTPListener()
		c := ts.rawTLS(t, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}})
		defer c.Close()
		web, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if tc, ok := web.(*tls.Conn); !ok || tc.ConnectionState().NegotiatedProtocol != "acme-tls/1" {
			t.Errorf("%T", web)
		}
		web.Close()
	})
}

// TLS that ended in front: the client binds to the front's certificate, old or new, of which CertHashes knows.
func TestPlainListener(t *testing.T) {
	front := testCert(t, nil, "vpn")
	old := testCert(t, nil, "vpn")
	for _, tt := range []struct {
		name   string
		hashes [][]byte
		ok     bool
	}{
		{"SHA-256", [][]byte{certHash(hashSHA256, front.Certificate[0])}, true},
		{"SHA-1", [][]byte{certHash(hashSHA1, front.Certificate[0])}, true},
		{"old and new", [][]byte{certHash(hashSHA256, old.Certificate[0]), certHash(hashSHA256, front.Certificate[0])}, true},
		{"another", [][]byte{certHash(hashSHA256, old.Certificate[0])}, false},
		{"none", nil, false},
	} {
		bubble(t, func(t *testing.T) {
			var seen ppp.Call
			ts := startServer(&Server{CertHashes: func(call *ppp.Call) [][]byte {
				seen = *call
				return tt.hashes
			}})
			d := ts.dialer()
			d.SHA1 = true
			d.TLSConfig = &tls.Config{RootCAs: roots(front)}
			d.NetDial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				behind, err := ts.l.DialFrom(ctx, mustAddrPort("127.0.0.1:5000"))
				if err != nil {
					return nil, err
				}
				return terminate(front, behind), nil
			}
			c, err := d.DialContext(t.Context(), "vpn")
			if (err == nil) != tt.ok {
				t.Errorf("%s: %v", tt.name, err)
			}
			if err == nil {
				ended := serveLink(c)
				c.Close()
				<-ended
			}
			if seen.Remote != mustAddrPort("127.0.0.1:5000") || seen.Tags["correlation"] == "" || seen.TLS != nil {
				t.Errorf("%s: CertHashes was asked about %+v", tt.name, seen)
			}
			ts.stop()
			time.Sleep(10 * time.Second)
		})
	}
}

// terminate is a TLS front: it returns the outer end of a connection.
func terminate(cert tls.Certificate, behind net.Conn) net.Conn {
	outer, inner := memnet.Pipe(mustAddrPort("192.0.2.1:1"), mustAddrPort("198.51.100.1:443"), 0)
	front := tls.Server(inner, &tls.Config{Certificates: []tls.Certificate{cert}})
	go func() { io.Copy(front, behind); front.Close() }()
	go func() { io.Copy(behind, front); behind.Close() }()
	return outer
}

// Without TLS, only those that are listed get an answer, whatever a PROXY header says.
func TestPlainFrom(t *testing.T) {
	hash := certHash(hashSHA256, []byte("x"))
	for _, tt := range []struct {
		from   []netip.Prefix
		socket string
		header string
		ok     bool
	}{
		{nil, "127.0.0.1:1", "", true},
		{nil, "192.0.2.1:1", "", false},
		{nil, "192.0.2.1:1", "127.0.0.1:1", false}, // claims to be local
		{nil, "127.0.0.1:1", "192.0.2.1:1", true},  // a local front tells its client
		{[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "10.1.1.1:1", "", true},
		{[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "127.0.0.1:1", "", false},
	} {
		bubble(t, func(t *testing.T) {
			s := &Server{CertHashes: func(*ppp.Call) [][]byte { return [][]byte{hash} }, PlainFrom: tt.from, PPP: byCall(), Handler: new(testServer).collect}
			l := lateListener{newListener(), func(c *memnet.Conn) net.Conn {
				if tt.header == "" {
					return c
				}
				lc := &lateConn{Conn: c, header: make(chan net.Addr, 1), closed: make(chan struct{})}
				lc.header <- net.TCPAddrFromAddrPort(mustAddrPort(tt.header))
				return lc
			}}
			done := make(chan error)
			go func() { done <- s.Serve(l) }()
			c, err := l.DialFrom(t.Context(), mustAddrPort(tt.socket))
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, plainRequest)
			b := make([]byte, 12)
			io.ReadFull(c, b)
			if got := string(b) == "HTTP/1.1 200"; got != tt.ok {
				t.Errorf("%v, %s saying %q: answered %q", tt.from, tt.socket, tt.header, b)
			}
			synctest.Wait()
			if st := s.Stats(); st.Refused == 1 == tt.ok {
				t.Errorf("%v, %s: %+v", tt.from, tt.socket, st)
			}
			c.Close()
			s.Close()
			<-done
		})
	}
}

// Behind a front that sends no PROXY header all clients have one address, which is not a source to be limited.
func TestFrontIsNoSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{CertHashes: func(*ppp.Call) [][]byte { return nil }, MaxPendingPerIP: 2})
		defer ts.stop()
		for range 10 {
			if _, err := ts.l.DialFrom(t.Context(), mustAddrPort("127.0.0.1:1")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if st := ts.Stats(); st.Pending != 10 {
			t.Errorf("%+v", st)
		}
	})
}
