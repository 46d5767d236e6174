package tun_test

import (
	"context"
	"log"
	"net/netip"
	"os"

	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tun"
)

// A server's host side: one device with the server's address, a Router with the sessions behind it.
func Example() {
	dev, err := tun.Open(tun.Config{Name: "vpn0", Queues: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	if err := dev.SetAddrs(netip.MustParsePrefix("10.8.0.1/24")); err != nil {
		log.Fatal(err)
	}
	rt := &tunnel.Router{Uplink: dev, Routes: new(tunnel.Table)}
	for _, q := range dev.Queues() {
		go rt.Serve(context.Background(), q)
	}
	// The Handler of an sstp.Server returns rt.ServeLink(ctx, c) for each session.
}

// A client's host side: everything goes through the tunnel but what carries it.
func ExampleDevice_Exclude() {
	client := func(ctx context.Context, link tunnel.Link, server netip.Addr) error {
		dev, err := tun.Open(tun.Config{})
		if err != nil {
			return err
		}
		defer dev.Close()
		if err := dev.Exclude(server); err != nil {
			return err
		}
		if err := dev.Configure(ctx, link); err != nil {
			return err
		}
		table := dev.Routes(new(tunnel.Table))
		for _, half := range []string{"0.0.0.0/1", "128.0.0.0/1"} { // the default route of the system stays
			table.Insert(netip.MustParsePrefix(half), link, 0)
		}
		rt := &tunnel.Router{Uplink: dev, Routes: table}
		go rt.Serve(ctx, dev)
		return rt.ServeLink(ctx, link)
	}
	_ = client
}

// A mobile system hands in descriptors, the first when a link has told what to establish, and another when that changes.
func ExampleDevice_Swap() {
	dev, err := tun.FromFile(nil, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	rt := &tunnel.Router{Uplink: dev, Routes: new(tunnel.Table)}
	go rt.Serve(context.Background(), dev) // waits for a descriptor

	establish := func(addrs []netip.Addr, mtu int) (fd uintptr, err error) { return 0, os.ErrInvalid } // VpnService.Builder
	up := func(ctx context.Context, l tunnel.Link) error {                                             // for demanddial.Interface.Up
		fd, err := establish(l.Addrs(), l.MTU())
		if err != nil {
			return err
		}
		return dev.Swap(os.NewFile(fd, "tun"), l.MTU())
	}
	_ = up
}

// Clients with addresses of the LAN at eth0 are found by its hosts while their sessions last.
func ExampleDevice_Neighbors() {
	dev, err := tun.Open(tun.Config{Name: "vpn0"})
	if err != nil {
		log.Fatal(err)
	}
	routes, err := dev.Neighbors(dev.Routes(new(tunnel.Table)), "eth0")
	if err != nil {
		log.Fatal(err)
	}
	rt := &tunnel.Router{Uplink: dev, Routes: routes}
	rt.Serve(context.Background(), dev) // and each session by ServeLink
}
