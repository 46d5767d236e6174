// Quickstart is a whole VPN in one program, in a few seconds, without root and without a network: it starts a web page
// and an SSTP server, dials the server, and fetches the page and 64 MiB through the tunnel. Both ends have a network stack
// inside the program.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel/netstack"
)

const usage = `quickstart shows a whole VPN in one program: server, client, and 64 MiB through the tunnel. It needs no root, no
arguments and no network.

  go run ./examples/quickstart`

const (
	user     = "alice"
	password = ppp.Secret("correct horse battery staple")
	page     = "Hello from the far side of an SSTP tunnel.\n"
)

var (
	network = netip.MustParsePrefix("10.8.0.0/24")
	server  = netip.MustParseAddr("10.8.0.1")
)

func main() {
	cli.Main(func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		if err := cli.Parse(cli.Flags("quickstart", usage, stderr), args); err != nil {
			return err
		}
		return run(ctx, stdout, 64<<20)
	})
}

// run does all of it, with size bytes to fetch.
func run(ctx context.Context, stdout io.Writer, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out := &steps{w: stdout, began: time.Now()}

	addr, pin, stop, err := startServer(ctx, out, size)
	if err != nil {
		return err
	}
	defer stop()

	link, err := dial(ctx, out, addr, pin)
	if err != nil {
		return err
	}
	out.say("up", "we are %v, the server is %v, MTU %d", link.Info().Local, link.Info().Peer, link.MTU())
	ns := new(netstack.Stack)
	defer ns.Close()
	served := make(chan error, 1)
	serving, hangUp := context.WithCancel(ctx)
	go func() { served <- ns.Serve(serving, link) }()
	defer func() {
		hangUp()
		<-served
		s := link.Stats()
		out.say("goodbye", "%d packets sent, %d received", s.TxPackets, s.RxPackets)
	}()
	return fetch(ctx, out, ns, size)
}

// startServer starts an SSTP server on a free port of this machine, and behind it a stack with a web server. It returns
// where it listens and the fingerprint of its certificate.
func startServer(ctx context.Context, out *steps, size int64) (addr string, pin [32]byte, stop func(), err error) {
	cert, err := cli.SelfSigned("localhost")
	if err != nil {
		return "", pin, nil, err
	}
	pin = sha256.Sum256(cert.Certificate[0])
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", pin, nil, err
	}
	ns := new(netstack.Stack)
	srv := &sstp.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{*cert}},
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(_ context.Context, name string) (ppp.Secret, error) {
				if name != user {
					return "", ppp.ErrNoUser
				}
				return password, nil
			}),
			Addr: server,
			Pool: &ppp.Pool{Prefixes: []netip.Prefix{network}, Exclude: []netip.Prefix{netip.PrefixFrom(server, 32)}},
		},
		Handler: func(ctx context.Context, c *ppp.Conn) error {
			if err := ns.Configure(ctx, c); err != nil {
				return err
			}
			page, err := ns.Listen("tcp", netip.AddrPortFrom(server, 80).String())
			if err != nil {
				return err
			}
			web := &http.Server{Handler: site(size)}
			defer web.Close()
			go web.Serve(page)
			return ns.Serve(ctx, c)
		},
		Logger: slog.New(out.handler("server")),
	}
	go srv.Serve(l)
	out.say("server", "an SSTP server with one account on %v, certificate %x...", l.Addr(), pin[:8])
	return l.Addr().String(), pin, func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		srv.Shutdown(bye)
		ns.Close()
	}, nil
}

// site has a page and a file of size bytes that look like noise. The file's hash follows it, as a trailer.
func site(size int64) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, page) })
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Sha256")
		hash := sha256.New()
		io.Copy(io.MultiWriter(w, hash), io.LimitReader(rand.NewChaCha8([32]byte{1}), size))
		w.Header().Set("Sha256", hex.EncodeToString(hash.Sum(nil)))
	})
	return mux
}

// dial dials, and says each step as it happens.
func dial(ctx context.Context, out *steps, addr string, pin [32]byte) (*ppp.Conn, error) {
	log := slog.New(out.handler("client"))
	d := &sstp.Dialer{
		Pins: [][32]byte{pin}, // nobody signed the certificate: the client knows it by its fingerprint
		TLSConfig: &tls.Config{VerifyConnection: func(s tls.ConnectionState) error {
			out.say("TLS", "%s, %s", tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite))
			return nil
		}},
		PPP: &ppp.Config{User: user, Password: password, Logger: log},
		NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				out.say("TCP", "connected to %s", addr)
			}
			return c, err
		},
		Logger: log,
	}
	return d.DialContext(ctx, addr)
}

// fetch gets the page and the file through the tunnel, and checks the file.
func fetch(ctx context.Context, out *steps, ns *netstack.Stack, size int64) error {
	web := &http.Client{Transport: &http.Transport{DialContext: ns.DialContext, DisableKeepAlives: true}}
	get := func(path string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, "GET", "http://"+server.String()+path, nil)
		if err != nil {
			return nil, err
		}
		resp, err := web.Do(r)
		if err == nil && resp.StatusCode != http.StatusOK {
			resp.Body.Close()
			err = fmt.Errorf("quickstart: %s: %s", path, resp.Status)
		}
		return resp, err
	}
	resp, err := get("/")
	if err != nil {
		return err
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(text) != page {
		return fmt.Errorf("quickstart: the page is %q, %v", text, err)
	}
	out.say("page", "http://%v/ says: %s", server, text[:len(text)-1])

	began := time.Now()
	if resp, err = get("/file"); err != nil {
		return err
	}
	defer resp.Body.Close()
	hash := sha256.New()
	bar := &progress{out: out, size: size}
	n, err := io.Copy(io.MultiWriter(hash, bar), resp.Body)
	took := time.Since(began)
	if err != nil {
		return err
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); n != size || sum != resp.Trailer.Get("Sha256") {
		return fmt.Errorf("quickstart: %d of %d bytes with hash %s, want %s", n, size, sum, resp.Trailer.Get("Sha256"))
	}
	out.say("file", "%s in %.1f s, %.0f Mbit/s, SHA-256 %x... is right", bytes(size), took.Seconds(), float64(size)*8/1e6/took.Seconds(), hash.Sum(nil)[:8])
	return nil
}
