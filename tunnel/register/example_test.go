package register_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/register"
)

// A client that is connected registers its name for as long as it is. It has to end the Run before the link.
func ExampleRegistrar() {
	var link tunnel.Link // a *ppp.Conn, say
	serve := func(ctx context.Context, l tunnel.Link) error { return nil }

	text, err := os.ReadFile("ddns.key")
	if err != nil {
		return
	}
	key, err := register.ParseKey(string(text))
	if err != nil {
		log.Fatal(err)
	}
	client := &dhcpinform.Client{Link: link, Hostname: "pc1"}
	r := &register.Registrar{Host: "pc1", Signer: key, NetBIOS: true}

	ctx, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	registering, leave := context.WithCancelCause(ctx)
	left := make(chan error, 1)
	go func() {
		left <- r.Run(registering, client, func(s register.Status) {
			for _, rec := range s.Records {
				fmt.Println(rec.Kind, rec.Name, rec.Addr, rec.Err)
			}
		})
	}()
	leave(serve(context.Background(), client)) // when the link has ended, nothing can be removed through it
	<-left
}

// A server removes what its clients leave in DNS, and registers those by the names of their users that do not do it.
func ExampleTracker() {
	key := &register.Key{Name: "ddns-key", Secret: "0123456789abcdef"}
	tracker := &register.Tracker{Registrar: &register.Registrar{
		Domain: "vpn.example.com",
		Server: netip.MustParseAddrPort("192.0.2.53:53"),
		Signer: key,
	}}
	rt := &tunnel.Router{Routes: new(tunnel.Table)}

	// In a server's Handler, where link is the session and user its name.
	handle := func(ctx context.Context, link tunnel.Link, user string) error {
		end := tracker.Begin(ctx, user, link.Prefixes())
		defer end()
		return rt.ServeLink(ctx, link)
	}
	_ = handle
	tracker.Close(context.Background()) // when the server has ended
}

func ExampleParseKey() {
	k, err := register.ParseKey(`key "ddns-key" { algorithm hmac-sha256; secret "MDEyMzQ1Njc4OWFiY2RlZg=="; };`)
	fmt.Println(k.Name, k.Algorithm, k.Secret, err)
	// Output: ddns-key hmac-sha256 REDACTED <nil>
}
