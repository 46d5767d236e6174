package dhcpinform_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"
	"slices"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

// A client asks, and the server at the other end of its link answers itself.
func Example() {
	server, client := tunneltest.Pipe(netip.MustParsePrefix("10.8.0.1/32"), netip.MustParsePrefix("10.8.0.2/32"))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	responder := &dhcpinform.Responder{Options: func(client netip.Addr, via tunnel.PacketWriter) *dhcpinform.Options {
		return &dhcpinform.Options{Domain: "vpn.test", Routes: []dhcpinform.Route{{Prefix: netip.MustParsePrefix("10.88.0.0/16")}}}
	}}
	rt := &tunnel.Router{Routes: new(tunnel.Table), Local: new(tunnel.Table)}
	rt.Local.Insert(netip.MustParsePrefix("255.255.255.255/32"), responder, 0)
	go rt.ServeLink(ctx, server)

	c := &dhcpinform.Client{Link: client} // in the place of client, everywhere
	go c.Serve(ctx, func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
	o, err := c.Inform(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(o.Domain, o.Routes[0].Prefix, o.Server)
	// Output: vpn.test 10.88.0.0/16 10.8.0.1
}

// A server passes what its clients ask to two DHCP servers. The name of the session tells them who asks.
func ExampleRelay() {
	var device tunnel.PacketIO = new(tunneltest.Device) // tun.Open, or a *netstack.Stack
	rt := &tunnel.Router{Routes: new(tunnel.Table), Local: new(tunnel.Table), Uplink: device}
	relay := &dhcpinform.Relay{
		Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:67"), netip.MustParseAddrPort("192.0.2.2:67")},
		Addr:    netip.MustParseAddr("10.8.0.1"),
		Agent: func(client netip.Addr, via tunnel.PacketWriter) dhcpinform.AgentInfo {
			return dhcpinform.AgentInfo{CircuitID: client.String()}
		},
		Next: device, // what else is sent to 10.8.0.1
	}
	rt.Local.Insert(netip.MustParsePrefix("255.255.255.255/32"), relay, 0)
	rt.Local.Insert(netip.MustParsePrefix("10.8.0.1/32"), relay, 0)

	// A server's Handler routes the link that the relay has wrapped.
	handle := func(ctx context.Context, l tunnel.Link) error { return rt.ServeLink(ctx, relay.Link(l)) }
	_ = handle

	pc, err := net.ListenPacket("udp4", "10.8.0.1:67") // netstack's ListenPacket, without root
	if err != nil {
		return
	}
	relay.Serve(context.Background(), pc)
}

// A server whose clients get addresses of the network that it is in, leased from the DHCP server there.
func ExampleLeasePool() {
	pc, err := dhcpinform.ListenInterface("eth0") // Linux, as root
	if err != nil {
		return
	}
	pool := &dhcpinform.LeasePool{
		InUse: dhcpinform.ProbeARP("eth0"),
		Lost:  func(a netip.Addr, err error) { log.Print(err) }, // ends the session: Sessions.Addr(a).Terminate
		File:  "/var/lib/vpn/leases",
	}
	ctx, stop := context.WithCancel(context.Background()) // stops when the sessions have ended
	defer stop()
	go pool.Serve(ctx, pc)
	own, err := pool.Own(ctx) // ppp.Config.Addr; pool is its Pool
	fmt.Println(own, err)
}

// Through a relay agent's socket, which needs no root but port 67, the servers may be anywhere.
func ExampleLeasePool_relay() {
	pool := &dhcpinform.LeasePool{
		Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:67")},
		Addr:    netip.MustParseAddr("10.8.0.1"),
	}
	pc, err := net.ListenPacket("udp4", "10.8.0.1:67")
	if err != nil {
		return
	}
	pool.Serve(context.Background(), pc)
}

// A server tells its clients what their groups are for.
func ExampleResponder() {
	everybody := &dhcpinform.Options{Domain: "vpn.test"}
	engineers := &dhcpinform.Options{Domain: "eng.vpn.test", Routes: []dhcpinform.Route{{Prefix: netip.MustParsePrefix("10.88.0.0/16")}}}
	responder := &dhcpinform.Responder{
		Options: func(client netip.Addr, via tunnel.PacketWriter) *dhcpinform.Options {
			// The session, also where its link is wrapped.
			if c, ok := tunnel.As[*ppp.Conn](via); ok && c.Grant() != nil && slices.Contains(c.Grant().Groups, "engineers") {
				return engineers
			}
			return everybody
		},
	}
	local := new(tunnel.Table) // Router.Local
	local.Insert(netip.MustParsePrefix("255.255.255.255/32"), responder, 0)
}
