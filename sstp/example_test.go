package sstp_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
)

// A VPN server with one account. A real Handler hands the packets to a tunnel.Router; this one answers nobody.
func ExampleServer() {
	cert, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
	if err != nil {
		log.Fatal(err)
	}
	srv := &sstp.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(ctx context.Context, user string) (ppp.Secret, error) {
				if user != "alice" {
					return "", ppp.ErrNoUser
				}
				return "secret", nil
			}),
			Addr: netip.MustParseAddr("10.8.0.1"),
			Pool: &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24")}},
		},
		Handler: func(ctx context.Context, c *ppp.Conn) error {
			return c.Serve(ctx, func(packets [][]byte, offset int) (int, error) { return len(packets), nil })
		},
		Logger: slog.Default(),
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		srv.Shutdown(ctx) // every client is told
	})
	if err := srv.ListenAndServe(); err != sstp.ErrServerClosed {
		log.Fatal(err)
	}
}

// The web site and the VPN on one port: the site keeps its own http.Server.
func ExampleServer_HTTPListener() {
	cert, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
	if err != nil {
		log.Fatal(err)
	}
	srv := &sstp.Server{
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{cert},
			NextProtos:   []string{"h2", "http/1.1"}, // browsers get HTTP/2
		},
		PPP:     &ppp.Config{ /* ... */ },
		Handler: func(ctx context.Context, c *ppp.Conn) error { return nil /* ... */ },
	}
	site := &http.Server{
		Handler:           http.FileServer(http.Dir("www")),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	go site.Serve(srv.HTTPListener())
	log.Fatal(srv.ListenAndServe())
}

// A client. What comes out of Serve usually goes to a TUN device or a user-space network stack.
func ExampleDialer() {
	d := &sstp.Dialer{PPP: &ppp.Config{User: "alice", Password: "secret"}}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := d.DialContext(ctx, "vpn.example.com")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("my address is", c.Info().Local)
	err = c.Serve(context.Background(), func(packets [][]byte, offset int) (int, error) {
		for _, p := range packets {
			fmt.Printf("a packet of %d bytes\n", len(p[offset:]))
		}
		return len(packets), nil
	})
	log.Print(err)
}

// Client and server in one test, without network or root.
func Example() {
	srv := sstptest.NewServer(&sstp.Server{
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
			Addr:          netip.MustParseAddr("10.8.0.1"),
			Pool:          &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24")}},
		},
	})
	defer srv.Close()
	c, err := srv.Dialer(&ppp.Config{User: "alice", Password: "secret"}).DialContext(context.Background(), srv.Addr())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Info().User, c.Info().Local, c.Info().Peer, c.Info().Auth)
	c.Close()
	// Output: alice 10.8.0.2 10.8.0.1 MS-CHAPv2
}
