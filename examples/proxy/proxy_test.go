package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/examples/internal/cli"
	"golang.org/x/net/proxy"
)

var silent = slog.New(slog.DiscardHandler)

// tunnelTo is a tunnel that leads every name to one server, but for those that do not exist.
func tunnelTo(addr string) dialFunc {
	return func(ctx context.Context, network, target string) (net.Conn, error) {
		if strings.HasPrefix(target, "nowhere") {
			return nil, &net.DNSError{Err: "no such host", Name: target, IsNotFound: true}
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
}

func echoServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	return l.Addr().String()
}

func TestSOCKSConnectsByNameAndAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go serveSOCKS(ctx, l, tunnelTo(echoServer(t)), silent)
	defer l.Close()
	d, err := proxy.SOCKS5("tcp", l.Addr().String(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"host.example.com:80", "192.0.2.1:80", "[2001:db8::1]:80"} {
		c, err := d.Dial("tcp", target)
		if err != nil {
			t.Fatal(target, err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, "hello")
		c.(interface{ CloseWrite() error }).CloseWrite()
		if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
			t.Errorf("%s: %q %v", target, b, err)
		}
		c.Close()
	}
	if c, err := d.Dial("tcp", "nowhere.example.com:80"); err == nil || !strings.Contains(err.Error(), "host unreachable") {
		t.Errorf("%v %v", c, err)
	}
}

func TestSOCKSRefusesWhatItDoesNotDo(t *testing.T) {
	for name, c := range map[string]struct{ send, want string }{
		"SOCKS4":        {"\x04\x01", ""},
		"a password":    {"\x05\x01\x02", "\x05\xff"},
		"BIND":          {"\x05\x01\x00\x05\x02\x00\x01\x01\x02\x03\x04\x00\x50", "\x05\x00\x05\x07"},
		"address type":  {"\x05\x01\x00\x05\x01\x00\x02", "\x05\x00\x05\x08"},
		"a cut request": {"\x05\x02\x00\x02\x05\x01\x00\x03\x09abc", "\x05\x00"},
	} {
		near, far := net.Pipe()
		got := make(chan string)
		go func() {
			near.Write([]byte(c.send))
			near.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			b, _ := io.ReadAll(near)
			near.Close()
			got <- string(b)
		}()
		go func() {
			if name == "a cut request" {
				time.AfterFunc(50*time.Millisecond, func() { far.Close() })
			}
			_, err := socks(t.Context(), far, nil)
			if err == nil {
				t.Errorf("%s is served", name)
			}
			far.Close()
		}()
		if b := <-got; !strings.HasPrefix(b, c.want) || c.want == "" && b != "" {
			t.Errorf("%s: answered %q, want %q", name, b, c.want)
		}
	}
}

func TestHTTPProxyForwardsAndConnects(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Host+r.URL.Path)
		if r.Header.Get("Proxy-Connection") != "" {
			t.Error("hop-by-hop headers are forwarded")
		}
	}))
	defer site.Close()
	p := httptest.NewServer(httpProxy(tunnelTo(site.Listener.Addr().String()), silent))
	defer p.Close()
	via, _ := url.Parse(p.URL)
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(via)}}
	get := func(u string) (int, string) {
		r, err := client.Get(u)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(b)
	}
	if code, body := get("http://intranet.example.com/a"); code != 200 || body != "intranet.example.com/a" {
		t.Errorf("%d %q", code, body)
	}
	if code, _ := get("http://nowhere.example.com/"); code != http.StatusBadGateway {
		t.Errorf("a host that does not exist: %d", code)
	}
	if r, err := http.Get(p.URL + "/"); err != nil || r.StatusCode != http.StatusBadRequest {
		t.Errorf("asked as a web server: %v %v", r, err)
	}

	c, err := net.Dial("tcp", p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	// The tunnelled request may come in one write with the CONNECT.
	io.WriteString(c, "CONNECT x.example.com:80 HTTP/1.1\r\nHost: x.example.com:80\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	r := bufio.NewReader(c)
	if resp, err := http.ReadResponse(r, &http.Request{Method: "CONNECT"}); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(resp.Body); string(b) != "x/b" {
		t.Errorf("through CONNECT: %q", b)
	}
}

func TestConfig(t *testing.T) {
	c, err := parse(strings.Fields("-server a -user b -password c"), io.Discard)
	if err != nil || c.socks != "localhost:1080" || c.http != "localhost:8080" {
		t.Errorf("%+v %v", c, err)
	}
	var usage cli.UsageError
	if _, err := parse([]string{"-socks", "", "-http", ""}, io.Discard); !errors.As(err, &usage) || !strings.Contains(err.Error(), "nobody could use") {
		t.Error(err)
	}
}
