// Package dialway is the root of a library that puts a complete SSTP VPN endpoint into another program: client and
// server, with a PPP stack of its own in user space. It has no pppd, no kernel PPP and runs no other program,
// but resolvconf if it is told to set the host's resolver.
//
// The packages:
//
//   - [github.com/dialway/dialway/sstp] makes sessions over TLS: Server and Dialer.
//   - [github.com/dialway/dialway/ppp] is PPP itself: a session is a *ppp.Conn; who may connect is an Authenticator.
//   - [github.com/dialway/dialway/tunnel] moves packets between sessions and the host: Router, Table, Link.
//   - [github.com/dialway/dialway/tunnel/tun] is the system's TUN device, [github.com/dialway/dialway/tunnel/netstack]
//     a user-space stack that needs no root.
//   - [github.com/dialway/dialway/demanddial] has links that dial when traffic wants them: a client that comes back, the
//     routers of two sites.
//   - [github.com/dialway/dialway/ppp/access], [github.com/dialway/dialway/ppp/eap] and
//     [github.com/dialway/dialway/radius] are Authenticators: accounts and policies, EAP, RADIUS.
//   - [github.com/dialway/dialway/dhcpinform] tells clients what IPCP cannot say;
//     [github.com/dialway/dialway/tunnel/register] makes their names known;
//     [github.com/dialway/dialway/tunnel/ipv6conf] gives them IPv6: addresses, name servers, prefixes for their networks.
//
// A whole server:
//
//	dev, err := tun.Open(tun.Config{Name: "vpn0"})
//	if err != nil {
//		log.Fatal(err)
//	}
//	if err := dev.SetAddrs(netip.MustParsePrefix("10.8.0.1/24")); err != nil {
//		log.Fatal(err)
//	}
//	rt := &tunnel.Router{Uplink: dev, Routes: new(tunnel.Table)}
//	go rt.Serve(ctx, dev)
//	srv := &sstp.Server{
//		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
//		PPP: &ppp.Config{
//			Authenticator: ppp.PasswordFunc(func(ctx context.Context, user string) (ppp.Secret, error) {
//				if password, ok := passwords[user]; ok {
//					return password, nil
//				}
//				return "", ppp.ErrNoUser
//			}),
//			Addr: netip.MustParseAddr("10.8.0.1"),
//			Pool: &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24")}},
//		},
//		Handler: func(ctx context.Context, c *ppp.Conn) error { return rt.ServeLink(ctx, c) },
//	}
//	log.Fatal(srv.ListenAndServe())
package dialway
