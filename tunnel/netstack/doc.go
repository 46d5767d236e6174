// Package netstack is a user-space IP stack: a program dials and listens through a tunnel without root.
//
//	c, err := dialer.DialContext(ctx, "vpn.example.com") // an *sstp.Dialer
//	...
//	ns := new(netstack.Stack)
//	defer ns.Close()
//	go ns.Serve(ctx, c)
//	client := &http.Client{Transport: &http.Transport{DialContext: ns.DialContext}}
//
// A [Stack] is a host of its own inside the program: it has the addresses and name servers that the link was given, its own
// ports, TCP with SACK and CUBIC, UDP and ICMP, IPv4 and IPv6. [Stack.Serve] joins it to one link, such as a *ppp.Conn or a
// demanddial.Interface, which dials again. As a tunnel.PacketIO it stands in the place of the system's TUN device in a
// tunnel.Router with many links; with Forward it takes what they send to the rest of the world and dials it again from this
// host, as a VPN server without root does.
//
// The stack is gVisor's; this module exists so that those who do not need it do not have its dependencies. Nothing of it
// stands in an exported signature. It keeps real time and its goroutines wait in ways of their own, so it does not run in a
// bubble of testing/synctest.
package netstack
