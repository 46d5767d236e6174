// Package tunnel moves IP packets between links and the host.
//
// Everything that takes packets is a [PacketWriter], and a route leads to a PacketWriter: a session, an interface that
// dials when it is written to, a responder, the host's device, the [Router] itself. There is no hook list and no
// filter chain.
//
// A [Link] is an open session, such as a *ppp.Conn. A [PacketIO] is the host's side: package tun has the system's TUN
// device, package netstack a user-space stack that needs no root. A [Router] joins them by a [RouteTable].
package tunnel
