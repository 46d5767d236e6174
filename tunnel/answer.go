package tunnel

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/internal/packet"
)

const (
	problemNoRoute  = packet.NoRoute
	problemTooBig   = packet.TooBig
	problemHopsOver = packet.HopsOver
)

// answer sends an ICMP error about h back over the link it came by, from this end's address there.
func (f *from) answer(b *batch, problem packet.Problem, mtu int, h header) {
	src := sourceOf(addrsOf(f.via), h.src)
	if src.IsValid() && packet.Answerable(h.ip) && f.errors.allow(linkErrors) {
		b.sendError(f.via, src, problem, mtu, h)
	}
}

// answerHost sends an ICMP error about h back to the host.
//
// It comes from the address that h was for, against RFC 1812 section 4.3.2.4, which wants one of ours: ours are also
// the host's, and a host discards what comes from its own addresses as forged. That address is also one whose packets
// come in by this device, so a check of the reverse path lets it through.
func (r *Router) answerHost(b *batch, back PacketWriter, problem packet.Problem, mtu int, h header) {
	if back != nil && packet.Answerable(h.ip) && r.toHost.allow(hostErrors) {
		b.sendError(back, h.dst, problem, mtu, h)
	}
}

// Reject answers packets that their next hop cannot deliver, on the terms of Write: an interface that would have to dial
// knows that only after the Router has handed them over. from is the link that they came by, as a Receiver is told; nil is
// the host.
func (r *Router) Reject(from PacketWriter, bufs [][]byte, offset int) {
	b := r.borrow(offset)
	for _, buf := range bufs {
		h, ok := b.parse(buf)
		if !ok {
			continue
		}
		b.stats.NoRoute++
		if from == nil {
			r.answerHost(b, r.Uplink, problemNoRoute, 0, h)
		} else if src := sourceOf(addrsOf(from), h.src); src.IsValid() && packet.Answerable(h.ip) && r.toLinks.allow(linkErrors) {
			b.sendError(from, src, problemNoRoute, 0, h)
		}
	}
	r.giveBack(b)
}

// minQuoted is an IP header and the first 8 bytes behind it, without which an error says nothing.
const minQuoted = 48

func (b *batch) sendError(to PacketWriter, src netip.Addr, problem packet.Problem, mtu int, h header) {
	if need := b.offset + packet.MaxError; cap(b.answer) < need {
		b.answer = make([]byte, 0, need)
	}
	quoted := h.ip
	// An error quotes no more than fits the link that it leaves by, which may be narrower than IPv6 allows.
	if most := mtuOf(to) - packet.ErrorHeaders; most >= minQuoted && len(quoted) > most {
		quoted = quoted[:most]
	}
	b.single[0] = packet.AppendError(b.answer[:b.offset], src, problem, mtu, quoted)
	to.Write(b.single[:], b.offset) // an error that is lost is lost: RFC 792 has no repetition
	b.single[0] = nil
}

// sourceOf returns which of addrs to answer dst from: one of its kind, and a link-local one only if there is no other.
func sourceOf(addrs []netip.Addr, dst netip.Addr) netip.Addr {
	var local netip.Addr
	for _, a := range addrs {
		switch {
		case a.Is4() != dst.Is4():
		case a.IsLinkLocalUnicast():
			local = a.WithZone("")
		default:
			return a
		}
	}
	return local
}

// A limiter keeps ICMP errors to a rate: RFC 1812 section 4.3.2.8, RFC 4443 section 2.4(f). The zero limiter is full.
type limiter struct {
	next atomic.Int64 // when the bucket is full again, in nanoseconds of the clock
}

// A rate is one error each interval on average, and burst at once.
type rate struct {
	interval time.Duration
	burst    int64
}

var (
	linkErrors = rate{10 * time.Millisecond, 50}
	hostErrors = rate{time.Millisecond, 200} // the host is trusted, and asks for many flows
)

func (l *limiter) allow(r rate) bool {
	for {
		now, next := time.Now().UnixNano(), l.next.Load()
		then, ok := admit(now, next, int64(r.interval), r.burst)
		if !ok {
			return false
		}
		if l.next.CompareAndSwap(next, then) {
			return true
		}
	}
}

// admit is the generic cell rate algorithm: next is when the bucket is full again, then the same after one more.
func admit(now, next, interval, burst int64) (then int64, ok bool) {
	if next < now || next > now+burst*interval { // the clock was set back
		next = now
	}
	if next+interval > now+burst*interval {
		return next, false
	}
	return next + interval, true
}
