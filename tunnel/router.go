package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
)

// A Router moves packets between the host and any number of links. It is a router of RFC 1812 and RFC 8200 as far as a
// packet does not pass the host's own stack:
//
//	           Serve, Write                        From(link)
//	host ────────────► Routes ──► link     link ──► source routes back to link?
//	                                                  ├─ broadcast, multicast, exact ──► Local
//	                                                  ├─ LinkToLink, a route ──────────► another link
//	                                                  └─ else ─────────────────────────► Uplink
//
// What does not fit the next hop's MTU is fragmented (IPv4 without DF) or answered by ICMP, and the MSS of TCP SYNs is
// lowered to what fits both ways. A hop is counted from link to link and towards an Uplink that does not count it
// itself (see Uplink); a packet that has none left is answered by Time Exceeded. ICMP errors are limited in rate, and
// nothing is answered that RFC 1812 section 4.3.2.7 and RFC 4443 section 2.4(e) do not let answer.
//
// Set the fields before the first call and leave them then. A Router must not be copied.
type Router struct {
	Routes RouteTable // where packets from the host go, and who may send from an address; required

	// Uplink takes what links send and Local does not; nil drops it. If it has a method Forwards() bool that is true,
	// as a device of the kernel has, it lowers hop limits itself; towards any other the Router is a hop.
	Uplink PacketWriter

	// Local is asked first about what links send, for broadcast, multicast and exact addresses: of a *Table only the
	// routes to single addresses count. nil means none.
	//
	// What a link-local IPv6 address sends goes to Receivers only, who are told by which link: to those of the groups that
	// it is for, such as ff02::2 and ff02::1:2, and of ff02::2 if it is for this end's own link-local address.
	Local RouteTable

	LinkToLink bool         // links reach each other by Routes without passing the host
	Logger     *slog.Logger // nil is silent

	batches sync.Pool // of *batch
	counts  counters
	toHost  limiter // ICMP errors
	toLinks limiter // of Reject
}

var errNoRoutes = errors.New("tunnel: Router.Routes is nil")

// headroom is left in front of packets that are read: enough for the headers of any link here.
const headroom = 32

// Serve routes what dev reads until ctx ends or dev fails, and closes dev. It may run once per queue of a device. The
// error is never nil.
func (r *Router) Serve(ctx context.Context, dev PacketIO) error {
	defer dev.Close()
	if r.Routes == nil {
		return errNoRoutes
	}
	stop := context.AfterFunc(ctx, func() { dev.Close() })
	defer stop()
	n := max(dev.BatchSize(), 1)
	bufs, views, sizes := make([][]byte, n), make([][]byte, n), make([]int, n)
	size := 0
	for {
		mtu := dev.MTU()
		if mtu > size || size == 0 { // an administrator may raise it at any time
			size = max(mtu, 1500)
			for i := range bufs {
				bufs[i] = make([]byte, headroom+size)
			}
		}
		n, err := dev.Read(bufs, sizes, headroom)
		for i := range n {
			views[i] = bufs[i][:headroom+sizes[i]]
		}
		if n > 0 {
			r.fromHost(views[:n], headroom, dev, mtu)
		}
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("tunnel: device: %w", err)
		}
	}
}

// ServeLink routes l's Prefixes to l, serves l into From(l), and removes the routes when l ends. It returns what l.Serve
// returns. Prefixes are read once: an address that changes while the link lives is not followed.
func (r *Router) ServeLink(ctx context.Context, l Link) (err error) {
	if r.Routes == nil {
		l.Close()
		return errNoRoutes
	}
	// Links wait in Serve, many of them, and each frame of the stack is memory: what is done once has its own, and this one
	// keeps nothing but f.
	f := r.route(l)
	defer f.unroute(&err)
	return l.Serve(ctx, f.Write)
}

// route routes a link's Prefixes to it.
func (r *Router) route(l Link) *from {
	f := &from{router: r, via: l, prefixes: l.Prefixes()}
	for _, p := range f.prefixes {
		r.Routes.Insert(p, l, 0)
	}
	if r.Logger != nil {
		r.Logger.Debug("link routed", "prefixes", f.prefixes, "mtu", l.MTU())
	}
	return f
}

// unroute undoes route.
func (f *from) unroute(err *error) {
	for _, p := range f.prefixes {
		f.router.Routes.Delete(p, f.via)
	}
	if log := f.router.Logger; log != nil {
		log.Debug("link ended", "prefixes", f.prefixes, "err", *err)
	}
}

// Write routes packets by destination, as if Serve had read them. ICMP errors about them go to Uplink. n is how many
// were routed; what is wrong with a next hop is no error of the Router.
func (r *Router) Write(bufs [][]byte, offset int) (n int, err error) {
	if r.Routes == nil {
		return 0, errNoRoutes
	}
	return r.fromHost(bufs, offset, r.Uplink, mtuOf(r.Uplink)), nil
}

// fromHost routes what came from back, which may be nil, and whose packets are of mtu bytes at most.
func (r *Router) fromHost(bufs [][]byte, offset int, back PacketWriter, mtu int) int {
	b := r.borrow(offset)
	var src, dst netip.Addr // of the packet before: flows come in runs
	var stays bool
	var routed netip.Addr // where hop leads
	var hop PacketWriter
	for _, buf := range bufs {
		h, ok := b.parse(buf)
		if !ok {
			continue
		}
		if h.src != src || h.dst != dst {
			src, dst = h.src, h.dst
			stays = staysOnLink(src) || staysOnHost(src) || staysOnLink(dst) || staysOnHost(dst)
		}
		if stays {
			b.stats.Dropped++
			continue
		}
		if dst != routed {
			routed, hop = dst, r.Routes.Lookup(dst)
		}
		if hop == nil {
			b.stats.NoRoute++
			r.answerHost(b, back, problemNoRoute, 0, h)
			continue
		}
		b.aim(hop, nil)
		if !b.fits(h) {
			if !b.fragment(h) {
				r.answerHost(b, back, problemTooBig, b.mtu, h)
			}
			continue
		}
		clampMSS(h, mtu, b.mtu)
		b.add(h)
	}
	n, _ := r.giveBack(b)
	return n
}

// Stats returns the counts so far.
func (r *Router) Stats() Stats { return r.counts.load() }

// Stats counts the packets that came, by fate; each is in one count.
type Stats struct {
	Routed    uint64 // taken by the next hop, whole or in fragments
	NoRoute   uint64 // nowhere to go; answered, if it may be
	BadSource uint64 // from an address that does not belong to the link
	Malformed uint64 // no IP packet
	TooBig    uint64 // does not fit and must not be fragmented; answered, if it may be
	Dropped   uint64 // not taken by the next hop, or not for another link, or without hops left
}

// mtuOf returns the MTU of a next hop that has one, and 0 for any other.
func mtuOf(w PacketWriter) int {
	if m, ok := w.(interface{ MTU() int }); ok {
		return max(m.MTU(), 0)
	}
	return 0
}
