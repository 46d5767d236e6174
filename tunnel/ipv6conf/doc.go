// Package ipv6conf configures the ends of links for IPv6. PPP agrees on link-local addresses only (RFC 5072); all else comes
// by router advertisement (RFC 4861, RFC 4862, name servers by RFC 8106, routes by RFC 4191) and by DHCPv6 (RFC 8415), which
// also delegates prefixes to routers.
//
// A [Server] advertises and answers to the far sides of its links; a [Client] is the link of an end that asks and is told:
//
//	Client ── link ── Router.From ── Local ff02::2/128, ff02::1:2/128 ──► Server
//	  │                                                                    │
//	  ├── addresses, name servers, delegated prefixes                      └── routes of what it has delegated
//	  └── Router or stack
//
// Nothing here trusts a far side with more than its own link: what it says is heard from its link-local address only, what
// it may send from is what it was given, and what it can make an end keep or send is bounded.
package ipv6conf
