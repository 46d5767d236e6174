// Package radius implements RADIUS (RFC 2865, 2866, 2869, 3162, 3579, 5080, 5176, 5997, and RadSec: 6613, 6614) for an access server and for
// what answers it.
//
// A [Client] asks servers; it is a [ppp.Authenticator], so a VPN server that keeps its accounts elsewhere is
//
//	srv := &sstp.Server{PPP: &ppp.Config{Authenticator: &radius.Client{
//		Targets: []radius.Target{{Addr: "10.0.0.5:1812", Secret: secret}},
//	}}}
//
// A packet's secrets (User-Password, the MPPE keys) are in clear in a [Packet] and hidden on the wire: each server and
// each access server has a secret of its own.
//
// RADIUS over UDP is protected by MD5, which is broken: replies to an Access-Request need a Message-Authenticator
// (CVE-2024-3596), unless [Target.Unsigned] says that a server is too old to send one. Passwords are as safe as the
// shared secret and the network between; keep that network private, or ask by RadSec: [Target.TLS] and [Server.ServeTLS],
// with certificates at both ends.
package radius
