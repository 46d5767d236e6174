// Package demanddial provides links that connect when traffic needs them, and again when they break.
//
// An [Interface] is a [tunnel.Link] that is always there. Routes lead to it; the first packet dials and waits until the
// far side answers, a silent link is hung up, and the next packet dials again. A Persistent one is the client that
// connects again whenever the connection breaks:
//
//	vpn := &demanddial.Interface{
//		Name:       "vpn",
//		Dial:       func(ctx context.Context, to string) (tunnel.Link, error) { return dialer.DialContext(ctx, to) },
//		To:         []string{"vpn1.example.com", "vpn2.example.com"},
//		Up:         stack.Configure,
//		Persistent: true,
//	}
//	err := stack.Serve(ctx, vpn)
//
// A [Set] is the interfaces of a router that connects whole networks, as Windows' Routing and Remote Access does: each
// site has an interface for the other, whose name is the user name by which the other calls. A caller of such a name is
// that router and its call is the interface; any other is a remote-access client.
//
//	set := &demanddial.Set{Router: router, Domains: []string{"EXAMPLE", "example.com"}}
//	err := set.Add(&demanddial.Interface{
//		Name: "DD_NewYork", User: "DD_Seattle", To: []string{"157.60.234.17"}, Dial: dial,
//		Routes: []demanddial.Route{{Prefix: netip.MustParsePrefix("172.16.2.0/24")}},
//	})
//	go set.Serve(ctx)
//	server.Handler = func(ctx context.Context, c *ppp.Conn) error { return set.Answer(ctx, c.Info().User, c) }
//
// States, reasons, lock-out and the names of things follow [MS-RRASM] (sections 2.2.1.1.2, 2.2.1.2.81 to 84, 3.1.4.13)
// and Microsoft's description of demand-dial routing; where those say nothing, such as about both ends dialling at once,
// the rule is written where it is followed.
package demanddial
