package ppp

import (
	"crypto/tls"
	"net/netip"
)

// A Call says how a far side reached this end. It is known before authentication and does not change after.
type Call struct {
	ID       string         // unique in this process and its restarts; empty: one is made
	Tunnel   string         // "SSTP", "L2TP", "serial"
	Local    netip.AddrPort // outer addresses
	Remote   netip.AddrPort
	Called   string               // what was asked for: TLS server name, number
	Calling  string               // empty means Remote's address
	NAS      string               // the access server that asks by RADIUS; empty is this process
	Tags     map[string]string    // of the transport: sstp gives "correlation", "tenant", "path"; untrusted, bounded text
	TLS      *tls.ConnectionState // nil without TLS
	Verified bool                 // the transport has proved who the far side is: a client may use PAP
}
