package radius_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/radius"
)

// A VPN server whose accounts, accounting and administration are RADIUS'. The Config and the Handler fit an sstp.Server.
func Example() {
	secret := radius.Secret("a long shared secret")
	sessions := new(ppp.Sessions)
	aaa := &radius.Client{Targets: []radius.Target{
		{Addr: "10.0.0.5", Secret: secret},
		{Addr: "10.0.0.6", Secret: secret},
	}}
	acct := &radius.Accounting{Client: aaa, Interim: 10 * time.Minute, Spool: "/var/spool/vpn"}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go acct.Serve(ctx) // until ctx and the sessions have ended

	admin := &radius.Dynamic{Sessions: sessions, Clients: radius.Secrets{netip.MustParsePrefix("10.0.0.0/24"): secret}.Find}
	pc, err := net.ListenPacket("udp", ":3799")
	if err != nil {
		log.Fatal(err)
	}
	go admin.Serve(pc)
	defer admin.Close()

	config := &ppp.Config{Authenticator: aaa, Sessions: sessions, Addr: netip.MustParseAddr("10.8.0.1")}
	handler := func(ctx context.Context, c *ppp.Conn) error {
		acct.Start(c) // returns at once
		return c.Serve(ctx, func(packets [][]byte, offset int) (int, error) { return len(packets), nil })
	}
	_, _ = config, handler
}

// Ask one question by hand.
func ExampleClient_Exchange() {
	c := &radius.Client{Targets: []radius.Target{{Addr: "10.0.0.5", Secret: "a long shared secret"}}}
	defer c.Close()
	p := &radius.Packet{Code: radius.AccessRequest}
	p.Add(radius.UserName, []byte("alice"))
	p.Add(radius.UserPassword, []byte("secret")) // hidden on the wire
	reply, err := c.Exchange(context.Background(), p)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply.Code)
}

// A RADIUS server with one account.
func ExampleServer() {
	srv := &radius.Server{
		Clients: radius.Secrets{netip.MustParsePrefix("10.0.0.0/24"): "a long shared secret"}.Find,
		Authenticator: ppp.PasswordFunc(func(ctx context.Context, user string) (ppp.Secret, error) {
			if user != "alice" {
				return "", ppp.ErrNoUser
			}
			return "secret", nil
		}),
		Account: func(ctx context.Context, r *radius.Record) error {
			log.Print(r.Status, r.User, r.Time, r.Stats.RxBytes, r.Stats.TxBytes)
			return nil
		},
	}
	for _, addr := range []string{":1812", ":1813"} {
		pc, err := net.ListenPacket("udp", addr)
		if err != nil {
			log.Fatal(err)
		}
		go srv.Serve(pc)
	}
	select {}
}

// A RADIUS server by RadSec: access servers are known by certificates of one authority, and one name is not let in any more.
func ExampleServer_ServeTLS() {
	cert, err := tls.LoadX509KeyPair("server.pem", "server.key")
	if err != nil {
		log.Fatal(err)
	}
	ca, err := os.ReadFile("ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(ca)
	srv := &radius.Server{
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{cert},
			ClientCAs:    authorities,
			VerifyConnection: func(s tls.ConnectionState) error {
				if s.PeerCertificates[0].Subject.CommonName == "stolen.example.com" {
					return errors.New("that one was stolen")
				}
				return nil
			},
		},
		Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			log.Print(req.User, " at ", radius.ConnectionState(ctx).PeerCertificates[0].Subject)
			return req.CheckPassword("secret")
		}),
	}
	l, err := net.Listen("tcp", ":2083")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(srv.ServeTLS(l))
}

// A VPN server that asks by RadSec, and obeys Disconnect and CoA requests that come back over the same connection.
func ExampleTarget_radSec() {
	cert, err := tls.LoadX509KeyPair("vpn.pem", "vpn.key")
	if err != nil {
		log.Fatal(err)
	}
	sessions := new(ppp.Sessions)
	aaa := &radius.Client{
		Targets: []radius.Target{{Addr: "radius.example.com", TLS: &tls.Config{Certificates: []tls.Certificate{cert}}}}, // port 2083
		Dynamic: &radius.Dynamic{Sessions: sessions},
	}
	defer aaa.Close()
	_ = &ppp.Config{Authenticator: aaa, Sessions: sessions}
}

// A proxy: users of example.com are known to two servers elsewhere, all others here.
func ExampleProxy() {
	partner := &radius.Client{Targets: []radius.Target{
		{Addr: "192.0.2.5", Secret: "the partner's secret", Weight: 3},
		{Addr: "192.0.2.6", Secret: "the partner's secret"},
	}}
	waiting := &radius.Accounting{Client: partner, Relay: true, Spool: "/var/spool/radius/partner"}
	go waiting.Serve(context.Background())

	proxy := &radius.Proxy{
		Realms: map[string]*radius.Realm{
			"example.com": {Client: partner, Strip: true, Spool: waiting},
			"":            {}, // stays here
		},
		Edit: func(p *radius.Packet, realm string) {
			if p.Code == radius.AccessRequest {
				p.Add(radius.ConnectInfo, []byte("by way of us"))
			}
		},
	}
	journal := &radius.Journal{Name: "/var/log/radius/accounting.jsonl"}
	srv := &radius.Server{
		Clients:       radius.Secrets{netip.MustParsePrefix("10.0.0.0/24"): "a long shared secret"}.Find,
		Handler:       proxy.Handle,
		Authenticator: ppp.PasswordFunc(func(ctx context.Context, user string) (ppp.Secret, error) { return "", ppp.ErrNoUser }),
		Account:       journal.Account,
	}
	// The way back: what the partner asks of the access server that has one of its users.
	proxy.Back = func(nas netip.Addr) (radius.Target, bool) {
		return radius.Target{Addr: netip.AddrPortFrom(nas, 3799).String(), Secret: "a long shared secret"}, true
	}
	back := &radius.Dynamic{
		Clients: radius.Secrets{netip.MustParsePrefix("192.0.2.0/28"): "the partner's secret"}.Find,
		Handler: proxy.Handle,
	}
	requests, err := net.ListenPacket("udp", ":3799")
	if err != nil {
		log.Fatal(err)
	}
	go back.Serve(requests)

	pc, err := net.ListenPacket("udp", ":1812")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(srv.Serve(pc))
}

// Accounting in a file, which may be renamed at any time.
func ExampleJournal() {
	journal := &radius.Journal{Name: "/var/log/radius/accounting.jsonl"}
	defer journal.Close()
	srv := &radius.Server{
		Clients: radius.Secrets{netip.MustParsePrefix("10.0.0.0/24"): "a long shared secret"}.Find,
		Account: journal.Account,
	}
	pc, err := net.ListenPacket("udp", ":1813")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(srv.Serve(pc))
}
