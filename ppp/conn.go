package ppp

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// A Conn is one end of a PPP link. It is a tunnel.Link. It must be served from the start: between Open and Serve
// nothing is answered, and a link that nobody serves dies.
type Conn struct {
	fc     FrameConn
	call   Call
	config *Config
	server bool
}

// Client makes the end that dialled. The Conn owns fc.
func Client(fc FrameConn, call Call, config *Config) *Conn {
	return &Conn{fc: fc, call: call, config: config}
}

// Server makes the end that was called. The Conn owns fc.
func Server(fc FrameConn, call Call, config *Config) *Conn {
	return &Conn{fc: fc, call: call, config: config, server: true}
}

// Open runs LCP, authentication and the network protocols, and returns when packets may flow: a network protocol is
// open and the transport is Bound. ctx bounds it, not the link. An error is a *NegotiationError, an *AuthError, a
// *TerminatedError or the transport's; the link is then closed.
func (c *Conn) Open(ctx context.Context) error { return errors.ErrUnsupported }

// Serve hands the far side's packets to to until the link ends or ctx does; then it says goodbye, closes the link and
// returns why, never nil. Its goroutine is the link's: it answers keepalives and runs the timers. One call at a time.
//
// The buffers are to's until it returns, [:offset] is scratch, and nothing of them may be kept. Sources are checked:
// only packets from Prefixes (or what Expect says) pass, and at a client only those for this end's addresses.
func (c *Conn) Serve(ctx context.Context, to func(bufs [][]byte, offset int) (n int, err error)) error {
	return errors.ErrUnsupported
}

// Expect widens what may come from the far side to these sources, for any destination: the far side is a router. Call
// it before Serve.
func (c *Conn) Expect(prefixes []netip.Prefix) {}

// Write sends packets; it may be called from any goroutine, never waits, and drops what Grant.Out does not pass and
// what the queue does not take. The buffers are Write's until it returns.
func (c *Conn) Write(bufs [][]byte, offset int) (n int, err error) { return 0, errors.ErrUnsupported }

// Addrs returns this end's addresses.
func (c *Conn) Addrs() []netip.Addr { return nil }

// Prefixes returns what the far side is sent, and may send from: at a server its address and Grant.Prefixes, at a
// client everything.
func (c *Conn) Prefixes() []netip.Prefix { return nil }

// DNS returns the name servers the far side named.
func (c *Conn) DNS() []netip.Addr { return nil }

// NBNS returns the NetBIOS name servers the far side named.
func (c *Conn) NBNS() []netip.Addr { return nil }

// MTU returns the largest packet Write takes.
func (c *Conn) MTU() int { return 0 }

// Context ends with the session; context.Cause says why. What accompanies a session hangs on it.
func (c *Conn) Context() context.Context { return context.Background() }

// Info returns what was agreed; it does not change after Open.
func (c *Conn) Info() Info { return Info{} }

// Stats returns the counters; it may be called at any time, also after the end.
func (c *Conn) Stats() Stats { return Stats{} }

// Grant returns what the far side was given, without its keys; nil if this end did not authenticate it.
func (c *Conn) Grant() *Grant { return nil }

// SetGrant replaces time-outs, rates and filters of the Grant at once; the rest of g is ignored.
func (c *Conn) SetGrant(g *Grant) {}

// SendTimeRemaining tells the far side how long the session will last (RFC 1570 section 2.2).
func (c *Conn) SendTimeRemaining(d time.Duration, message string) error { return errors.ErrUnsupported }

// Close is Terminate(UserRequest, "").
func (c *Conn) Close() error { return nil }

// Terminate starts the goodbye and returns; it may be called at any time, from any goroutine. Serve returns when the
// goodbye is over.
func (c *Conn) Terminate(cause Cause, reason string) {}
