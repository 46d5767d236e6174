// Package packet reads and rewrites IP packets in place: header views whose lengths are checked once, checksums, the
// walk along IPv6 extension headers, ICMP errors, fragments and the TCP MSS.
//
// Nothing here allocates, keeps what it is given, or panics on any input. RFC 791, RFC 8200, RFC 792, RFC 4443,
// RFC 9293.
package packet
