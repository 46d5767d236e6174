package demanddial_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"time"

	"github.com/dialway/dialway/demanddial"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel"
)

// A client that connects again whenever its connection breaks, and shows its state.
func ExampleInterface() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d := &sstp.Dialer{PPP: &ppp.Config{User: "alice", Password: "secret"}}
	vpn := &demanddial.Interface{
		Name:       "vpn",
		To:         []string{"vpn1.example.com", "vpn2.example.com:8443"},
		Dial:       func(ctx context.Context, to string) (tunnel.Link, error) { return d.DialContext(ctx, to) },
		Persistent: true,
		Host:       true,
	}
	go func() {
		for st := range vpn.Watch(ctx) {
			log.Printf("%v since %v, by %s: %v", st.State, st.Since, st.Peer, st.Err)
		}
	}()
	rt := &tunnel.Router{Routes: new(tunnel.Table)}
	log.Print(rt.ServeLink(ctx, vpn)) // or a netstack.Stack's Serve
}

// The router of an office: the other office calls by the name of the interface, anybody else is a client.
func ExampleSet() {
	rt := &tunnel.Router{Routes: new(tunnel.Table)} // with a device as Uplink
	offices := &demanddial.Set{Router: rt, Domains: []string{"EXAMPLE", "example.com"}}
	pool := &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24")}}
	d := &sstp.Dialer{PPP: &ppp.Config{User: "DD_Seattle", Password: "secret", Pool: pool}}
	err := offices.Add(&demanddial.Interface{
		Name: "DD_NewYork", User: "DD_Seattle", To: []string{"157.60.234.17"},
		Dial:   func(ctx context.Context, to string) (tunnel.Link, error) { return d.DialContext(ctx, to) },
		Routes: []demanddial.Route{{Prefix: netip.MustParsePrefix("172.16.2.0/24"), Metric: 1}},
	})
	if err != nil {
		log.Fatal(err) // everything that is wrong
	}
	go offices.Serve(context.Background())
	srv := &sstp.Server{
		Handler: func(ctx context.Context, c *ppp.Conn) error { return offices.Answer(ctx, c.Info().User, c) },
	}
	fmt.Println(srv.Handler != nil, offices.Match(`EXAMPLE\dd_newyork`).Name, offices.Match(`EVIL\DD_NewYork`) == nil)
	// Output: true DD_NewYork true
}

// What would become of a packet.
func ExampleSet_Explain() {
	hours, err := demanddial.ParseHours("Mon-Fri 08:00-18:00 UTC")
	if err != nil {
		log.Fatal(err)
	}
	set := &demanddial.Set{Router: &tunnel.Router{Routes: new(tunnel.Table)}}
	if err := set.Add(&demanddial.Interface{
		Name: "DD_NewYork", User: "DD_Seattle", Hours: hours,
		Dial:   func(context.Context, string) (tunnel.Link, error) { return nil, context.Canceled },
		Routes: []demanddial.Route{{Prefix: netip.MustParsePrefix("172.16.2.0/24")}},
	}); err != nil {
		log.Fatal(err)
	}
	packet := []byte{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 172, 16, 1, 7, 172, 16, 2, 7}
	for _, hour := range []int{12, 20} {
		d := set.Explain(packet, time.Date(2026, 3, 16, hour, 0, 0, 0, time.UTC))
		fmt.Println(d.Verdict)
		for _, why := range d.Why {
			fmt.Println(" ", why)
		}
	}
	// Output:
	// dials
	//   172.16.2.7 is routed to interface DD_NewYork by 172.16.2.0/24, metric 0
	//   DD_NewYork is Disconnected
	//   it is within the dial-out hours
	//   any packet may dial
	//   it dials
	// no route
	//   172.16.2.0/24 would lead to interface DD_NewYork, but that is unreachable, and its routes are withdrawn: out of hours
	//   172.16.2.7 is routed nowhere
}

// The steps of the wizard.
func ExampleWizard() {
	w := demanddial.Wizard{
		Name: "DD_NewYork", Connection: "VPN", VPN: "automatic", To: []string{"157.60.234.17"},
		RoutePackets: true, AddUser: true,
		Routes:         []demanddial.Route{{Prefix: netip.MustParsePrefix("172.16.2.0/24"), Metric: 1}},
		DialInPassword: "one", DialInPasswordAgain: "one",
		User: "DD_Seattle", Domain: "example.com", Password: "two", PasswordAgain: "tow",
	}
	_, _, err := w.Finish(func(c demanddial.Credentials) func(context.Context, string) (tunnel.Link, error) {
		d := &sstp.Dialer{PPP: &ppp.Config{User: c.User, Password: c.Password}}
		return func(ctx context.Context, to string) (tunnel.Link, error) { return d.DialContext(ctx, to) }
	})
	for _, p := range demanddial.Problems(err) {
		fmt.Println(p.Field, "of", p.Interface+":", p.Err)
	}
	// Output: PasswordAgain of DD_NewYork: it differs from the first
}
