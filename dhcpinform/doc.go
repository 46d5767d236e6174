// Package dhcpinform configures hosts that have their address already: the DHCPINFORM of RFC 2131 section 3.4, by which
// a remote-access client learns what IPCP cannot say, such as its domain, its search list and its routes.
//
// A [Client] asks over the link that it wraps. At the other end of the link a [Responder] answers itself, or a [Relay]
// passes the question on to DHCP servers; both are next hops of a tunnel.Router's Local:
//
//	Client ── link ── Router.From ── Local 255.255.255.255/32, own address ──┬─► Responder
//	                                                                         └─► Relay ── UDP ──► DHCP servers
//
// A [LeasePool] is the other way to use DHCP servers: it leases from them the addresses that clients of the VPN get, by RFC
// 2131 section 4.4 in whole.
//
// Messages of others are never decoded and made again: a relay changes the bytes that it has to and no others.
package dhcpinform
