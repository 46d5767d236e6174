// Package radius implements RADIUS (RFC 2865, 2866, 2869, 3162, 3579, 5080, 5176, 5997, 8559, and RadSec: 6613, 6614) for an
// access server, for what answers it, and for what stands between.
//
// A [Client] asks servers; it is a [ppp.Authenticator], so a VPN server that keeps its accounts elsewhere is
//
//	srv := &sstp.Server{PPP: &ppp.Config{Authenticator: &radius.Client{
//		Targets: []radius.Target{{Addr: "10.0.0.5:1812", Secret: secret}},
//	}}}
//
// A [Server] answers with any [ppp.Authenticator], so accounts and policies of package access, with EAP before them, are a
// RADIUS server; a [Journal] keeps accounting; a [Proxy], as its Handler, passes on what belongs elsewhere. [Accounting]
// reports sessions, [Dynamic] lets a server end and change them.
//
// A packet's secrets (User-Password, the MPPE keys) are in clear in a [Packet] and hidden on the wire: each server and
// each access server has a secret of its own.
//
// RADIUS over UDP is protected by MD5, which is broken: replies to an Access-Request need a Message-Authenticator
// (CVE-2024-3596), unless [Target.Unsigned] says that a server is too old to send one. Passwords are as safe as the
// shared secret and the network between; keep that network private, or ask by RadSec: [Target.TLS] and [Server.ServeTLS],
// with certificates at both ends.
package radius
