package sstp

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/proxy"
)

// reach connects to the server, through a proxy where there is one.
func (d *dial) reach(ctx context.Context) (net.Conn, error) {
	target := net.JoinHostPort(d.host, d.port)
	var via *url.URL
	if d.Proxy != nil {
		var err error
		if via, err = d.Proxy(target); err != nil {
			return nil, fmt.Errorf("sstp: choosing a proxy: %w", err)
		}
	}
	if via == nil {
		return d.dialNet(ctx, target)
	}
	p, err := newProxy(d.Dialer, via)
	if err != nil {
		return nil, err
	}
	return p.reach(ctx, target)
}

// A httpOrSOCKS is a proxy.
type httpOrSOCKS struct {
	d    *Dialer
	url  *url.URL
	addr string
}

// newProxy checks a proxy's URL.
func newProxy(d *Dialer, u *url.URL) (*httpOrSOCKS, error) {
	port := u.Port()
	switch u.Scheme {
	case "http":
		if port == "" {
			port = "80"
		}
	case "socks5", "socks5h": // names are resolved by the proxy in both cases
		if port == "" {
			port = "1080"
		}
	default:
		return nil, fmt.Errorf("sstp: proxy scheme %q is none of http, socks5", u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("sstp: proxy %q has no host", u.Redacted())
	}
	return &httpOrSOCKS{d: d, url: u, addr: net.JoinHostPort(u.Hostname(), port)}, nil
}

// reach returns a connection to target through the proxy. ctx bounds it.
func (p *httpOrSOCKS) reach(ctx context.Context, target string) (net.Conn, error) {
	talk := p.socks
	if p.url.Scheme == "http" {
		talk = p.connect
	}
	nc, err := talk(ctx, target)
	if err != nil {
		return nil, fmt.Errorf("sstp: proxy %s: %w", p.url.Redacted(), err)
	}
	return nc, nil
}

// dial connects to the proxy. Until done is called, ctx closes the connection.
func (p *httpOrSOCKS) dial(ctx context.Context) (nc net.Conn, done func() bool, err error) {
	if nc, err = p.d.dialNet(ctx, p.addr); err != nil {
		return nil, nil, err
	}
	return nc, context.AfterFunc(ctx, func() { nc.Close() }), nil
}

// socks asks a SOCKS5 proxy, RFC 1928 and RFC 1929. The connection stays the one that was dialled, so that the layers
// above know what it is.
func (p *httpOrSOCKS) socks(ctx context.Context, target string) (net.Conn, error) {
	var auth *proxy.Auth
	if u := p.url.User; u != nil {
		password, _ := u.Password()
		auth = &proxy.Auth{User: u.Username(), Password: password}
	}
	d, err := proxy.SOCKS5("tcp", p.addr, auth, nil)
	if err != nil {
		return nil, err
	}
	over, ok := d.(interface {
		DialWithConn(ctx context.Context, c net.Conn, network, address string) (net.Addr, error)
	})
	if !ok {
		return nil, errors.New("SOCKS5 dialer cannot use a connection")
	}
	nc, done, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	if _, err = over.DialWithConn(ctx, nc, "tcp", target); err != nil {
		done()
		nc.Close()
		return nil, err
	}
	if !done() {
		return nil, context.Cause(ctx)
	}
	return nc, nil
}

// connect asks an HTTP proxy, RFC 9110 section 9.3.6 and [MS-SSTP] section 4.5. Credentials are sent when the proxy
// asks for Basic: on the same connection if the proxy keeps it, on a new one otherwise.
func (p *httpOrSOCKS) connect(ctx context.Context, target string) (net.Conn, error) {
	var credentials string
	nc, done, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	for {
		a, err := p.ask(nc, target, credentials)
		if err == nil && a.code/100 == 2 {
			if !done() {
				return nil, context.Cause(ctx)
			}
			return nc, nil
		}
		if err == nil && (a.code != 407 || credentials != "" || !a.basic || p.url.User == nil) {
			err = &HTTPError{Code: a.code, Proxy: true}
		}
		if err != nil || !a.keep {
			done()
			nc.Close()
		}
		if err != nil {
			return nil, err
		}
		password, _ := p.url.User.Password()
		credentials = base64.StdEncoding.EncodeToString([]byte(p.url.User.Username() + ":" + password)) // RFC 7617
		if a.keep {
			continue
		}
		if nc, done, err = p.dial(ctx); err != nil {
			return nil, err
		}
	}
}

// An answer is a proxy's to CONNECT.
type answer struct {
	code  int
	basic bool // it asks for Basic
	keep  bool // the connection can take another request
}

// ask sends one CONNECT and reads the answer, with its body, if it is not the one that opens the tunnel.
func (p *httpOrSOCKS) ask(nc net.Conn, target, credentials string) (a answer, err error) {
	b := fmt.Appendf(nil, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", target, target)
	b = append(b, "SSTPVERSION: 1.0\r\n"...) // lets a proxy's owner tell SSTP apart, [MS-SSTP] section 4.5
	if credentials != "" {
		b = append(b, "Proxy-Authorization: Basic "+credentials+"\r\n"...)
	}
	if _, err := nc.Write(append(b, "\r\n"...)); err != nil {
		return a, err
	}
	b, err = readHead(nc, nil, nil)
	if err != nil {
		return a, fmt.Errorf("no answer to CONNECT: %w", err)
	}
	h, err := parseHead(b)
	if err != nil {
		return a, err
	}
	if a.code, err = statusCode(h.start); err != nil || a.code/100 == 2 {
		return a, err
	}
	a.basic = h.challenges("Basic")
	a.keep = drain(nc, h)
	return a, nil
}

// maxProxyBody is how much of a proxy's error page is read to keep the connection.
const maxProxyBody = 64 << 10

// drain reads the body of an answer, and reports whether the connection goes on behind it.
func drain(r io.Reader, h head) bool {
	n, err := strconv.ParseUint(string(h.get("Content-Length")), 10, 32)
	if err != nil || n > maxProxyBody || h.get("Transfer-Encoding") != nil || closes(h) {
		return false
	}
	_, err = io.CopyN(io.Discard, r, int64(n))
	return err == nil
}

// closes says whether an answer's sender is going to close the connection, RFC 9112 section 9.3.
func closes(h head) bool {
	if !bytes.HasPrefix(bytes.ToUpper(h.start), []byte("HTTP/1.1")) {
		return true
	}
	for _, name := range []string{"Connection", "Proxy-Connection"} {
		if strings.EqualFold(string(h.get(name)), "close") {
			return true
		}
	}
	return false
}

// challenges says whether the answer asks for credentials of this scheme. There may be a field for each scheme.
func (h head) challenges(scheme string) bool {
	for value := range h.all("Proxy-Authenticate") {
		for c := range strings.SplitSeq(string(value), ",") {
			s, _, _ := strings.Cut(strings.TrimSpace(c), " ")
			if strings.EqualFold(s, scheme) {
				return true
			}
		}
	}
	return false
}
