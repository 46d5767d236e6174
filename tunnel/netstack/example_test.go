package netstack_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"

	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/netstack"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

// Two stacks at the ends of a tunnel: a web server behind one, a client on the other. In a program the link is a *ppp.Conn,
// which sstp.Dialer.DialContext returns and sstp.Server hands to its Handler.
func Example() {
	ctx := context.Background()
	near, far := tunneltest.Pipe(netip.MustParsePrefix("10.8.0.2/32"), netip.MustParsePrefix("10.8.0.1/32"))

	server := new(netstack.Stack)
	defer server.Close()
	go server.Serve(ctx, far)
	l, err := server.Listen("tcp", ":80")
	if err != nil {
		fmt.Println(err)
		return
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "hello, %s", host)
	}))

	client := new(netstack.Stack)
	defer client.Close()
	go client.Serve(ctx, near)
	web := &http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
	resp, err := web.Get("http://10.8.0.1/")
	if err != nil {
		fmt.Println(err) // if the tunnel broke, this is why
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s\n", body)
	// Output: hello, 10.8.0.2
}

// A VPN server without root: what clients send to the rest of the world is dialled again from this program.
func ExampleStack_forward() {
	ns := &netstack.Stack{
		Forward: func(ctx context.Context, network string, src, dst netip.AddrPort) (net.Conn, error) {
			if network == "ping" {
				return nil, nil // answer them all
			}
			if dst.Addr().IsPrivate() {
				return nil, fmt.Errorf("%v may not reach %v", src, dst)
			}
			return new(net.Dialer).DialContext(ctx, network, dst.String())
		},
	}
	defer ns.Close()
	if err := ns.SetAddrs(netip.MustParseAddr("10.8.0.1")); err != nil {
		fmt.Println(err)
		return
	}
	rt := &tunnel.Router{Uplink: ns, Routes: new(tunnel.Table)}
	ctx, stop := context.WithCancel(context.Background())
	routed := make(chan error)
	go func() { routed <- rt.Serve(ctx, ns) }()
	// An sstp.Server's Handler returns rt.ServeLink(ctx, c) for each session.
	stop()
	fmt.Println(<-routed)
	// Output: context canceled
}
