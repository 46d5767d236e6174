// Package ppp implements the Point-to-Point Protocol in user space over any transport of frames: the link
// control protocol (RFC 1661, RFC 1570), authentication by PAP (RFC 1334), CHAP (RFC 1994), MS-CHAPv2 (RFC 2759) and,
// with methods that others bring, EAP (RFC 3748), IPCP (RFC 1332, RFC 1877) and IPV6CP (RFC 5072). There is no pppd and
// no kernel PPP behind it.
//
// [Client] and [Server] make the two ends of a link on a [FrameConn]. Open runs the phases, Serve hands the far side's
// packets on and Write sends packets to it. A *Conn is a tunnel.Link without knowing the word. Package sstp makes
// such links over TLS; [NewStream] makes a FrameConn of any byte stream.
//
// # Who runs
//
// A session has one goroutine while it is idle, called R here: the one that calls Open and Serve. It owns the protocol
// state and every timer; a timer is a read deadline. Write may be called from any goroutine. Authenticator and
// AddrPool may take long, so each of their calls has a goroutine of its own while R goes on reading.
//
// # Who may do what
//
// A server does not start without an Authenticator unless NoAuth says so. A client that was given credentials refuses
// a server that asks for none, and refuses PAP and CHAP-MD5 over a transport that has not proved who the server is.
// No packet passes before authentication, the binding of the transport and the network protocol are through; then
// only packets whose source the far side was given.
package ppp
