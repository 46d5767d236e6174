// Package sstp implements the Secure Socket Tunneling Protocol, [MS-SSTP]: it makes PPP links over TLS, as a server
// and as a client.
//
// A session is one type at both ends, [ppp.Conn], which is a tunnel.Link. A [Server] looks like net/http's: Serve,
// Shutdown, Close, a Handler; what is not SSTP on the same port goes to HTTPListener. A [Dialer] looks like
// tls.Dialer.
//
// # Order of opening
//
// TCP, TLS, the HTTP preface (SSTP_DUPLEX_POST), Call Connect Request and Ack; then PPP's LCP and authentication; then
// Call Connected with the crypto binding, which ties the authentication to the certificate of this TLS connection;
// then PPP's network protocols. The session is up when a network protocol is open and the binding has been checked.
// No packet passes before that.
package sstp
