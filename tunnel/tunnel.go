package tunnel

import (
	"context"
	"net/netip"
)

// A PacketWriter takes IP packets, a batch at a time, from any goroutine; it must be comparable (a pointer).
//
// bufs[i][offset:] is one packet. The buffers are the callee's until Write returns and are worth nothing
// after: it may rewrite them, and [:offset], and keeps none. It never waits for a far side: what cannot be
// taken now is dropped and counted. n is packets, never bytes. An error means that no later Write succeeds.
// A PacketWriter with a method MTU() int is never handed more than that by a Router.
type PacketWriter interface {
	Write(bufs [][]byte, offset int) (n int, err error)
}

// A Receiver is a next hop that is also told who sent: for what came by a link a Router calls Receive, on the terms of
// Write, instead of Write. from is what was given to Router.From.
type Receiver interface {
	PacketWriter
	Receive(from PacketWriter, bufs [][]byte, offset int) (n int, err error)
}

// A PacketIO is the host's side: a TUN device, a user-space stack, an embedder's queue. One that forwards packets and
// counts the hop itself, as a kernel does, says so by a method Forwards() bool (see Router.Uplink).
type PacketIO interface {
	PacketWriter
	Read(bufs [][]byte, sizes []int, offset int) (n int, err error) // waits for one packet at least; packet i is bufs[i][offset:][:sizes[i]]
	BatchSize() int                                                 // most packets one Read returns; never changes
	MTU() int                                                       // largest packet Read returns now
	Close() error                                                   // makes Read return an error that is net.ErrClosed or os.ErrClosed
}

// A Link is an open point-to-point session that carries IP packets.
type Link interface {
	PacketWriter

	// Serve hands what the far side sends to to, in the terms of PacketWriter.Write, until the link ends or ctx
	// does; then it says goodbye, closes the link and returns why. Its goroutine is the link's: it answers
	// keepalives and runs the timers, so a link that nobody serves dies. One call at a time.
	Serve(ctx context.Context, to func(bufs [][]byte, offset int) (n int, err error)) error

	Addrs() []netip.Addr      // this end's addresses
	Prefixes() []netip.Prefix // what the far side is sent, and may send from
	DNS() []netip.Addr        // name servers the far side named
	MTU() int                 // largest packet Write takes
	Close() error             // starts the goodbye and returns; Serve returns when it is over
}

// A RouteTable says where packets for a destination go.
type RouteTable interface {
	Lookup(dst netip.Addr) PacketWriter                    // nil: no route; called per packet by many goroutines, never blocks or allocates
	Insert(dst netip.Prefix, via PacketWriter, metric int) // several routes may lead to one prefix: the lowest metric is used, among equals the newest
	Delete(dst netip.Prefix, via PacketWriter) bool        // removes only the route through via, so an old session never removes its successor's
}
