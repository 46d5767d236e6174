package tunnel

import (
	"net/netip"

	"github.com/dialway/dialway/internal/packet"
)

// From returns the writer for what arrives from via: a packet passes if its source routes back to via; it goes
// to Local's next hop if there is one, else, with LinkToLink, to the link it is routed to, else to Uplink. The writer may
// be used by several goroutines at once. It fails when Uplink does.
//
// If via has Addrs, as a Link has, ICMP errors about its packets are sent back from there.
func (r *Router) From(via PacketWriter) PacketWriter { return &from{router: r, via: via} }

type from struct {
	router *Router
	via    PacketWriter
	errors limiter // ICMP errors to via: one far side's do not use up another's

	prefixes []netip.Prefix // ServeLink's
}

// Write routes what the far side sent.
func (f *from) Write(bufs [][]byte, offset int) (n int, err error) {
	r := f.router
	if r.Routes == nil {
		return 0, errNoRoutes
	}
	b := r.borrow(offset)
	mtu := mtuOf(f.via)
	counted := forwards(r.Uplink)
	var src, dst netip.Addr // of the packet before: flows come in runs
	var allowed bool
	var next step
	for _, buf := range bufs {
		h, ok := b.parse(buf)
		if !ok {
			continue
		}
		if h.src != src {
			src, allowed = h.src, sourceAllowed(r.Routes, h.src, f.via)
		}
		if !allowed {
			if hop := f.onLink(h); hop != nil {
				b.aim(hop, f.via)
				b.add(h)
			} else {
				b.stats.BadSource++
			}
			continue
		}
		if h.dst != dst {
			dst, next = h.dst, f.next(h.dst, counted)
		}
		if next.hop == nil {
			if !next.answer {
				b.stats.Dropped++
				continue
			}
			b.stats.NoRoute++
			f.answer(b, problemNoRoute, 0, h)
			continue
		}
		if next.isHop && !countHop(h) && !f.isOurs(h.dst) {
			b.stats.Dropped++
			f.answer(b, problemHopsOver, 0, h)
			continue
		}
		b.aim(next.hop, next.from)
		if !b.fits(h) {
			if !b.fragment(h) {
				f.answer(b, problemTooBig, b.mtu, h)
			}
			continue
		}
		if !next.local {
			clampMSS(h, mtu, b.mtu)
		}
		b.add(h)
	}
	return r.giveBack(b)
}

var allRouters = netip.AddrFrom16([16]byte{0xff, 2, 15: 2}) // on the link: RFC 4291 section 2.7.1

// onLink returns the Receiver of what the far side's link-local address says.
func (f *from) onLink(h header) PacketWriter {
	if !h.src.Is6() || !h.src.IsLinkLocalUnicast() {
		return nil // most of what is refused, and it shall cost nothing
	}
	dst := h.dst
	if !isHeardOnLink(h.src, dst, addrsOf(f.via)) {
		return nil
	}
	if !dst.IsMulticast() {
		dst = allRouters
	}
	hop := f.router.local(dst)
	if _, ok := hop.(Receiver); !ok {
		return nil
	}
	return hop
}

// A step is where a packet of a link goes.
type step struct {
	hop    PacketWriter
	from   PacketWriter // given to a Receiver
	local  bool
	isHop  bool // the Router counts a hop
	answer bool // without hop: the sender is told that there is no route
}

// next decides by destination. counted says that Uplink counts its hop itself.
func (f *from) next(dst netip.Addr, counted bool) step {
	r := f.router
	if hop := r.local(dst); hop != nil {
		return f.receiver(step{hop: hop, local: true})
	}
	if staysOnLink(dst) || staysOnHost(dst) {
		return step{}
	}
	if r.LinkToLink {
		switch hop := r.Routes.Lookup(dst); hop {
		case nil, r.Uplink:
		case f.via:
			// RFC 4443 section 3.1: over a point-to-point link a packet is not sent back where it came from. Two routers
			// whose default routes point at each other do not spin.
			return step{answer: true}
		default:
			return f.receiver(step{hop: hop, isHop: true})
		}
	}
	if r.Uplink == nil {
		return step{answer: r.LinkToLink}
	}
	return step{hop: r.Uplink, isHop: !counted}
}

// receiver makes a Receiver be told who sends.
func (f *from) receiver(s step) step {
	if _, ok := s.hop.(Receiver); ok {
		s.from = f.via
	}
	return s
}

// local returns the next hop of Local for dst.
func (r *Router) local(dst netip.Addr) PacketWriter {
	switch t := r.Local.(type) {
	case nil:
		return nil
	case *Table:
		return t.exact(dst)
	default:
		// Which routes of a foreign table are exact cannot be asked.
		if dst.IsLinkLocalUnicast() {
			return nil
		}
		return t.Lookup(dst)
	}
}

// forwards reports whether w counts the hop itself.
func forwards(w PacketWriter) bool {
	h, ok := w.(interface{ Forwards() bool })
	return ok && h.Forwards()
}

// countHop lowers the hop limit; false means that there is none left, and leaves the packet as it is.
func countHop(h header) bool {
	if h.dst.Is4() {
		p := packet.IPv4(h.ip)
		if p.TTL() <= 1 {
			return false
		}
		p.DecrementTTL()
		return true
	}
	p := packet.IPv6(h.ip)
	if p.HopLimit() <= 1 {
		return false
	}
	p.DecrementHopLimit()
	return true
}

// isOurs reports whether a is this end's address on the link: a packet for it has arrived, and is no hop.
func (f *from) isOurs(a netip.Addr) bool {
	for _, x := range addrsOf(f.via) {
		if x == a {
			return true
		}
	}
	return false
}

func addrsOf(w PacketWriter) []netip.Addr {
	if l, ok := w.(interface{ Addrs() []netip.Addr }); ok {
		return l.Addrs()
	}
	return nil
}
