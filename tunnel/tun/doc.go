// Package tun makes the system's TUN device a tunnel.PacketIO, and gives it addresses and routes.
//
// On Linux it opens /dev/net/tun with segmentation offload, so that one read brings up to 64 KiB of a TCP stream or of
// datagrams as packets and one write takes as many, without a copy, and sets addresses and routes by netlink. A descriptor
// that a mobile system has opened is taken over by FromFile. On other systems Open says errors.ErrUnsupported.
//
//	dev, err := tun.Open(tun.Config{Name: "vpn0"})
//	...
//	rt := &tunnel.Router{Uplink: dev, Routes: dev.Routes(new(tunnel.Table))}
//	go rt.Serve(ctx, dev)
//
// One device serves any number of sessions: packets find theirs by the Router's table. With several queues a Router serves
// each on a goroutine of its own. A client keeps the way to its server outside the tunnel by Exclude.
//
// Clients with addresses of a network that this host is in are found there by Neighbors.
//
// What a device sets it takes back: addresses and its own routes go with it, even when the process is killed, and host
// routes that Exclude made are removed by Close or, after a crash, by the next Open; neighbors by the next Neighbors.
package tun
