// Package sstp implements the Secure Socket Tunneling Protocol, [MS-SSTP]: it makes PPP links over TLS, as a server
// and as a client.
//
// A session is one type at both ends, [ppp.Conn], which is a tunnel.Link. A [Server] looks like net/http's: Serve,
// Shutdown, Close, a Handler; what is not SSTP on the same port goes to HTTPListener. A [Dialer] looks like
// tls.Dialer.
//
//	d := &sstp.Dialer{PPP: &ppp.Config{User: "alice", Password: "secret"}}
//	c, err := d.DialContext(ctx, "vpn.example.com")
//	...
//	err = c.Serve(ctx, device.Write) // and c.Write for the other direction
//
// # Order of opening
//
// TCP, TLS, the HTTP preface (SSTP_DUPLEX_POST), Call Connect Request and Ack; then PPP's LCP and authentication; then
// Call Connected with the crypto binding, which ties the authentication to the certificate of this TLS connection;
// then PPP's network protocols. The session is up when a network protocol is open and the binding has been checked.
// No packet passes before that.
//
// # What binds
//
// The binding proves to a server that whoever authenticated is the end of its own TLS connection, if the method yields
// keys: MS-CHAPv2 and EAP. With PAP and CHAP-MD5 it proves only that the client saw the right certificate. To a client
// it proves nothing: verify the server's certificate, or pin it.
//
// # What is not implemented
//
// Authentication of HTTP proxies other than Basic; TLS client certificates of SSTP's own (section 3.3.7.3's bypass of
// the authentication by a cookie).
//
// [MS-SSTP]: https://learn.microsoft.com/openspecs/windows_protocols/ms-sstp/
package sstp
