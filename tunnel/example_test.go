package tunnel_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"

	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

// A Router joins the host's device and any number of links.
func ExampleRouter() {
	var device tunnel.PacketIO = new(tunneltest.Device) // tun.Open, or a *netstack.Stack
	rt := &tunnel.Router{Uplink: device, Routes: new(tunnel.Table)}

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go rt.Serve(ctx, device)

	// A server's Handler, or what has dialled, gives each link to ServeLink on the link's own goroutine.
	handle := func(ctx context.Context, l tunnel.Link) error { return rt.ServeLink(ctx, l) }
	_ = handle
}

// A Receiver behind Router.Local is told which link a packet came by, and finds the session that it may wrap.
func ExampleAs() {
	type session interface{ ID() string } // as *ppp.Conn
	var from tunnel.PacketWriter          // what Receive is given
	if s, ok := tunnel.As[session](from); ok {
		fmt.Println(s.ID())
	}
}

func ExampleTable() {
	office, backup := new(tunneltest.Device), new(tunneltest.Device) // anything that takes packets
	var t tunnel.Table
	t.Insert(netip.MustParsePrefix("172.16.0.0/16"), office, 10)
	t.Insert(netip.MustParsePrefix("172.16.0.0/16"), backup, 20)

	dst := netip.MustParseAddr("172.16.2.9")
	fmt.Println(t.Lookup(dst) == office)
	t.Delete(netip.MustParsePrefix("172.16.0.0/16"), office)
	fmt.Println(t.Lookup(dst) == backup)
	// Output:
	// true
	// true
}

func ExampleParseRule() {
	r, err := tunnel.ParseRule("tcp 10.0.0.0/8 > 172.16.2.0/24:22-23")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Dst, r.DstPort)
	// Output: 172.16.2.0/24 [22 23]
}
