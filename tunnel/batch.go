package tunnel

import (
	"net/netip"
	"sync/atomic"

	"github.com/dialway/dialway/internal/packet"
)

// A batch is what one Write needs of its own. The Router lends them out, since a From writer is used by several
// goroutines at once.
type batch struct {
	router *Router
	offset int

	// The group: consecutive packets for one next hop.
	out  [][]byte
	hop  PacketWriter
	from PacketWriter // not nil: hop is a Receiver
	mtu  int          // of hop; 0 means no limit

	stats Stats
	err   error // Uplink's

	fragments []byte
	views     [][]byte
	answer    []byte
	single    [1][]byte
}

// A header is a packet under way. buf ends where the packet does.
type header struct {
	src, dst netip.Addr
	buf      []byte
	ip       []byte // buf[offset:]
}

func (r *Router) borrow(offset int) *batch {
	b, _ := r.batches.Get().(*batch)
	if b == nil {
		b = &batch{router: r}
	}
	b.offset = offset
	return b
}

// giveBack sends the last group, counts, and returns how many packets were routed and what the Uplink said.
func (r *Router) giveBack(b *batch) (int, error) {
	b.flush()
	n, err := int(b.stats.Routed), b.err
	r.counts.add(&b.stats)
	b.hop, b.from, b.mtu, b.stats, b.err = nil, nil, 0, Stats{}, nil
	r.batches.Put(b)
	return n, err
}

// parse reads the header of what stands in buf behind the offset, and cuts off what follows the packet, such as the
// padding of a link (RFC 1661 section 2).
func (b *batch) parse(buf []byte) (h header, ok bool) {
	if len(buf) > b.offset {
		ip := buf[b.offset:]
		switch ip[0] >> 4 {
		case 4:
			if p, ok := packet.ParseIPv4(ip); ok {
				return header{p.Src(), p.Dst(), buf[:b.offset+len(p)], p}, true
			}
		case 6:
			if p, ok := packet.ParseIPv6(ip); ok {
				return header{p.Src(), p.Dst(), buf[:b.offset+len(p)], p}, true
			}
		}
	}
	b.stats.Malformed++
	return header{}, false
}

// aim makes hop the next hop of what is added next. from is given for a Receiver.
func (b *batch) aim(hop, from PacketWriter) {
	if hop == b.hop && from == b.from {
		return
	}
	b.flush()
	b.hop, b.from, b.mtu = hop, from, mtuOf(hop)
}

func (b *batch) fits(h header) bool { return b.mtu == 0 || len(h.ip) <= b.mtu }

func (b *batch) add(h header) { b.out = append(b.out, h.buf) }

// flush hands the group on.
func (b *batch) flush() {
	if len(b.out) == 0 {
		return
	}
	n := b.write(b.out)
	b.stats.Routed += uint64(n)
	b.stats.Dropped += uint64(len(b.out) - n)
	clear(b.out)
	b.out = b.out[:0]
}

// write gives bufs to the next hop and returns how many it took.
func (b *batch) write(bufs [][]byte) int {
	var n int
	var err error
	if b.from != nil {
		n, err = b.hop.(Receiver).Receive(b.from, bufs, b.offset)
	} else {
		n, err = b.hop.Write(bufs, b.offset)
	}
	if err != nil {
		if b.hop == b.router.Uplink {
			b.err = err
		}
		if l := b.router.Logger; l != nil {
			l.Debug("next hop failed", "err", err)
		}
	}
	return min(max(n, 0), len(bufs))
}

// fragment sends h, which does not fit, in fragments. false means that it must not, and that its sender is to be told.
func (b *batch) fragment(h header) bool {
	p, ok := packet.ParseIPv4(h.ip)
	if !ok || p.DF() { // RFC 8200 section 4.5: only the source of an IPv6 packet fragments it
		b.stats.TooBig++
		return false
	}
	b.flush() // order
	size := packet.FragmentsSize(p, b.mtu, b.offset)
	if size > len(b.fragments) {
		b.fragments = make([]byte, size)
	}
	b.views = packet.AppendFragments(b.views[:0], b.fragments, p, b.mtu, b.offset)
	if n := b.write(b.views); n == len(b.views) && n > 0 {
		b.stats.Routed++
	} else {
		b.stats.Dropped++ // a datagram that lacks a fragment is lost
	}
	return true
}

// clampMSS lowers the MSS of a SYN to what fits into the path it came by and the one it goes.
func clampMSS(h header, from, to int) {
	if from == 0 || to != 0 && to < from {
		from = to
	}
	if from != 0 {
		packet.ClampMSS(h.ip, from)
	}
}

// counters are the Router's Stats, added to once for each batch.
type counters struct {
	routed, noRoute, badSource, malformed, tooBig, dropped atomic.Uint64
}

func (c *counters) add(s *Stats) {
	c.routed.Add(s.Routed)
	for _, x := range [...]struct {
		to *atomic.Uint64
		n  uint64
	}{{&c.noRoute, s.NoRoute}, {&c.badSource, s.BadSource}, {&c.malformed, s.Malformed}, {&c.tooBig, s.TooBig}, {&c.dropped, s.Dropped}} {
		if x.n != 0 {
			x.to.Add(x.n)
		}
	}
}

func (c *counters) load() Stats {
	return Stats{
		Routed: c.routed.Load(), NoRoute: c.noRoute.Load(), BadSource: c.badSource.Load(),
		Malformed: c.malformed.Load(), TooBig: c.tooBig.Load(), Dropped: c.dropped.Load(),
	}
}
