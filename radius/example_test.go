package radius_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"
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
