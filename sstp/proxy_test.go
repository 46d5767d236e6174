package sstp

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/dialway/dialway/internal/memnet"
)

// A fakeProxy is a proxy in front of a testServer: script answers one connection and says whether it is a tunnel now.
func dialThrough(t *testing.T, ts *testServer, proxy string, script func(c net.Conn) bool) (conns int, err error) {
	t.Helper()
	l := memnet.Listen(mustAddrPort("203.0.113.1:3128"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns++
			if !script(c) {
				c.Close()
				continue
			}
			behind, err := ts.l.Dial(context.Background(), "tcp", "")
			if err != nil {
				c.Close()
				continue
			}
			go func() { io.Copy(behind, c); behind.Close() }()
			go func() { io.Copy(c, behind); c.Close() }()
		}
	}()
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	d := ts.dialer()
	d.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr != "proxy:3128" {
			t.Errorf("dialled %q", addr)
		}
		return l.Dial(ctx, network, addr)
	}
	d.Proxy = func(addr string) (*url.URL, error) {
		if addr != "vpn:443" {
			t.Errorf("Proxy was asked about %q", addr)
		}
		return u, nil
	}
	c, err := d.DialContext(t.Context(), "vpn")
	if err == nil {
		ended := serveLink(c)
		c.Close()
		<-ended
	}
	l.Close()
	<-done
	return conns, err
}

// connectProxy answers CONNECT; answers are used in turn, on one connection while the proxy keeps it.
func connectProxy(t *testing.T, seen *[]string, answers ...string) func(c net.Conn) bool {
	return func(c net.Conn) bool {
		for len(answers) > 0 {
			head, err := readHead(c, nil, nil)
			if err != nil {
				return false
			}
			*seen = append(*seen, string(head))
			answer := answers[0]
			answers = answers[1:]
			io.WriteString(c, answer)
			switch {
			case strings.HasPrefix(answer, "HTTP/1.1 2"), strings.HasPrefix(answer, "HTTP/1.0 2"):
				return true
			case strings.Contains(answer, "lose"):
				return false
			}
		}
		return false
	}
}

func TestHTTPProxy(t *testing.T) {
	basic := "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("bob:pa:ss"))
	for _, tt := range []struct {
		name, proxy string
		answers     []string
		conns       int
		requests    int
		code        int // of the error
	}{
		{"open", "http://proxy:3128", []string{"HTTP/1.1 200 Connection Established\r\nProxy-Connection: Keep-Alive\r\n\r\n"}, 1, 1, 0},
		{"another 2xx, HTTP/1.0", "http://proxy:3128", []string{"HTTP/1.0 204 Fine\r\n\r\n"}, 1, 1, 0},
		{"Basic on the same connection", "http://bob:pa%3Ass@proxy:3128", []string{
			"HTTP/1.1 407 Who\r\nProxy-Authenticate: Negotiate, Basic realm=\"x\"\r\nContent-Length: 5\r\n\r\nsorry", "HTTP/1.1 200 OK\r\n\r\n"}, 1, 2, 0},
		{"Basic in a field of its own, new connection", "http://bob:pa%3Ass@proxy:3128", []string{
			"HTTP/1.1 407 Who\r\nProxy-Authenticate: NTLM\r\nproxy-authenticate: basic\r\nConnection: close\r\n\r\nsorry", "HTTP/1.1 200 OK\r\n\r\n"}, 2, 2, 0},
		{"no length, new connection", "http://bob:pa%3Ass@proxy:3128", []string{
			"HTTP/1.1 407 lose\r\nProxy-Authenticate: Basic\r\n\r\nsorry", "HTTP/1.1 200 OK\r\n\r\n"}, 2, 2, 0},
		{"wrong credentials", "http://bob:pa%3Ass@proxy:3128", []string{
			"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 407 lose\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"}, 1, 2, 407},
		{"no credentials", "http://proxy:3128", []string{"HTTP/1.1 407 lose\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"}, 1, 1, 407},
		{"no Basic", "http://bob:pa%3Ass@proxy:3128", []string{"HTTP/1.1 407 lose\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"}, 1, 1, 407},
		{"refused", "http://proxy:3128", []string{"HTTP/1.1 403 lose\r\n\r\n"}, 1, 1, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ts := startServer(&Server{})
				defer ts.stop()
				var seen []string
				conns, err := dialThrough(t, ts, tt.proxy, connectProxy(t, &seen, tt.answers...))
				var he *HTTPError
				if tt.code == 0 && err != nil || tt.code != 0 && (!errors.As(err, &he) || he.Code != tt.code || !he.Proxy) {
					t.Errorf("%v", err)
				}
				if err != nil && strings.Contains(err.Error(), "pa:ss") {
					t.Errorf("the error tells the password: %v", err)
				}
				if conns != tt.conns || len(seen) != tt.requests {
					t.Errorf("%d connections, %d requests", conns, len(seen))
				}
				for i, head := range seen {
					if !strings.HasPrefix(head, "CONNECT vpn:443 HTTP/1.1\r\nHost: vpn:443\r\nSSTPVERSION: 1.0\r\n") {
						t.Errorf("%q", head)
					}
					if strings.Contains(head, basic+"\r\n") != (i == 1) {
						t.Errorf("request %d: %q", i+1, head)
					}
				}
			})
		})
	}
}

// socksProxy is a SOCKS5 server, RFC 1928, for one CONNECT.
func socksProxy(t *testing.T, user, password string, reply byte) func(c net.Conn) bool {
	return func(c net.Conn) bool {
		b := make([]byte, 512)
		read := func(n int) []byte { io.ReadFull(c, b[:n]); return b[:n] }
		methods := read(int(read(2)[1]))
		want := byte(0)
		if user != "" {
			want = 2
		}
		if !strings.Contains(string(methods), string(want)) {
			c.Write([]byte{5, 0xff})
			return false
		}
		c.Write([]byte{5, want})
		if user != "" {
			u := string(read(int(read(2)[1])))
			p := string(read(int(read(1)[0])))
			if u != user || p != password {
				c.Write([]byte{1, 1})
				return false
			}
			c.Write([]byte{1, 0})
		}
		head := read(5)
		if head[1] != 1 || head[3] != 3 {
			t.Errorf("request %x", head)
		}
		if host := string(read(int(head[4]))); host != "vpn" {
			t.Errorf("host %q", host)
		}
		read(2)
		c.Write([]byte{5, reply, 0, 1, 0, 0, 0, 0, 0, 0})
		return reply == 0
	}
}

func TestSOCKSProxy(t *testing.T) {
	for _, tt := range []struct {
		name, proxy, user, password string
		reply                       byte
		ok                          bool
	}{
		{"open", "socks5://proxy:3128", "", "", 0, true},
		{"remote names", "socks5h://proxy:3128", "", "", 0, true},
		{"with a password", "socks5://bob:secret@proxy:3128", "bob", "secret", 0, true},
		{"wrong password", "socks5://bob:wrong@proxy:3128", "bob", "secret", 0, false},
		{"no password", "socks5://proxy:3128", "bob", "secret", 0, false},
		{"refused", "socks5://proxy:3128", "", "", 2, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ts := startServer(&Server{})
				defer ts.stop()
				if _, err := dialThrough(t, ts, tt.proxy, socksProxy(t, tt.user, tt.password, tt.reply)); (err == nil) != tt.ok {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestProxyURL(t *testing.T) {
	for in, want := range map[string]string{
		"http://p": "p:80", "http://p:3128": "p:3128", "socks5://p": "p:1080", "socks5h://[::1]:9": "[::1]:9",
		"https://p": "", "http://": "", "ftp://p": "",
	} {
		u, _ := url.Parse(in)
		p, err := newProxy(new(Dialer), u)
		if (err == nil) != (want != "") || err == nil && p.addr != want {
			t.Errorf("%s: %+v, %v", in, p, err)
		}
	}
	boom := errors.New("boom")
	d := &Dialer{Proxy: func(string) (*url.URL, error) { return nil, boom }}
	if _, err := d.DialContext(t.Context(), "vpn"); !errors.Is(err, boom) {
		t.Error(err)
	}
}
