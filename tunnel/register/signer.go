package register

import (
	"context"
	"net/netip"
)

// A Signer signs updates and holds the answers to it. A *Key is one.
//
// GSS-TSIG (RFC 3645), which Windows' "secure only" zones want, is one that somebody else writes, since it needs Kerberos:
// its Sign keeps a security context for each server, makes it when there is none by TKEY messages to that server (RFC 2930,
// mode 3, over TCP), and gives each message a TSIG record whose algorithm is gss-tsig. and whose MAC is GSS_GetMIC's. Of
// Windows, the last TKEY answer's signature leaves out the request's MAC and its length ([MS-GSSA] section 2.2).
type Signer interface {
	// Sign returns msg, an update to server, with its signature, in memory of its own. verify says whether an answer to it
	// is signed as it must be; it is called with each datagram that looks like the answer, and may be called several times.
	// What it cannot believe is an error: the exchange then waits for another answer. A *SignatureError ends it.
	Sign(ctx context.Context, server netip.AddrPort, msg []byte) (signed []byte, verify func(answer []byte) error, err error)
}
