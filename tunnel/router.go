package tunnel

import (
	"context"
	"errors"
	"log/slog"
)

// A Router moves packets between the host and any number of links.
type Router struct {
	Routes     RouteTable   // where packets from the host go, and who may send from an address; required
	Uplink     PacketWriter // takes what links send and Local does not; nil drops it
	Local      RouteTable   // from links, asked first for broadcast, multicast and its exact addresses; nil means none
	LinkToLink bool         // links reach each other by Routes without passing the host
	Logger     *slog.Logger // nil is silent
}

// Serve routes what dev reads until ctx ends or dev fails, and closes dev. It may run once per queue of a device.
func (r *Router) Serve(ctx context.Context, dev PacketIO) error { return errors.ErrUnsupported }

// ServeLink routes l's Prefixes to l, serves l into From(l), and removes the routes when l ends.
func (r *Router) ServeLink(ctx context.Context, l Link) error { return errors.ErrUnsupported }

// Write routes packets by destination, as if Serve had read them.
func (r *Router) Write(bufs [][]byte, offset int) (n int, err error) {
	return 0, errors.ErrUnsupported
}

// From returns the writer for what arrives from via: a packet passes if its source routes back to via; it goes
// to Local's next hop if there is one, else to Uplink.
func (r *Router) From(via PacketWriter) PacketWriter { return nil }

// Stats returns the counts so far.
func (r *Router) Stats() Stats { return Stats{} }

// Stats counts packets, by fate.
type Stats struct{ Routed, NoRoute, BadSource, Malformed, TooBig, Dropped uint64 }
