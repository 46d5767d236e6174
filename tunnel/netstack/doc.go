// Package netstack is a user-space IP stack: a program dials and listens through a tunnel without root.
//
//	ns := new(netstack.Stack)
//	defer ns.Close()
//	go ns.Serve(ctx, conn) // a *ppp.Conn, or anything else that is a tunnel.Link
//	client := &http.Client{Transport: &http.Transport{DialContext: ns.DialContext}}
//
// A [Stack] outlives its links: after a link has ended the next Serve goes on, and flows survive if the address is the
// same. It is also a tunnel.PacketIO, so that a Router can have it in the place of a TUN device; with Forward set it then
// ends the flows of the Router's clients, and dials them again from the host.
//
// It is a module of its own, since it brings gVisor along.
package netstack
