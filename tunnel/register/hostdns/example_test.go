package hostdns_test

import (
	"context"
	"log"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/tunnel/register"
	"github.com/dialway/dialway/tunnel/register/hostdns"
)

// A client has the tunnel's names resolved while it is connected.
func Example() {
	ctx := context.Background()
	var client *dhcpinform.Client // around the link, and served

	r := &hostdns.Resolver{Device: "vpn0"}
	if err := r.Recover(ctx); err != nil { // a process that was killed
		log.Print(err)
	}
	if client != nil {
		(&register.Registrar{Resolver: r}).Run(ctx, client, nil)
	}
}
