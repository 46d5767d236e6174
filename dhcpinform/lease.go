package dhcpinform

import (
	"container/heap"
	"container/list"
	"crypto/rand"
	"encoding/binary"
	mrand "math/rand/v2"
	"net/netip"
	"time"
)

// A lease is one client of DHCP servers, with an identifier of its own: RFC 2131 section 4.4, Figure 5. All of it is under
// its pool's lock.
//
//	it is needed       a file remembers it
//	     │                     │ REQUEST of the address
//	     ▼ DISCOVER            ▼
//	┌ selecting ◄─────────── rebooting ──────────────────┐ ACK
//	│    │ OFFER: REQUEST   NAK, or no answer            │
//	│    ▼                                               │
//	│ requesting ──────────► selecting                   │
//	│    │ ACK              NAK, or no answer            │
//	│    ▼                                               │
//	│  probing ────────────► declined ──► selecting      │
//	│    │ nobody has it    DECLINE     10 s later       │
//	│    ▼                                               ▼
//	│  bound ◄───────────────────────────────────────────┘ ◄─┐ ACK
//	│    │ T1: RELEASE of one too many, REQUEST of others    │
//	│    ▼                                                   │
//	│ renewing ──────────────────────────────────────────────┤
//	│    │ T2: REQUEST to all servers                        │
//	│    ▼                                                   │
//	│ rebinding ─────────────────────────────────────────────┘
//	│    │ NAK (also of renewing), or its time is over: lost
//	▼    ▼
//	gone, or for the server's own end: selecting
type lease struct {
	slot  int
	id    []byte // client identifier
	state leaseState
	xid   uint32
	began time.Time // when the exchange began
	tries int
	due   time.Time // when something is to be done
	at    int       // in the heap

	addr   netip.Addr
	server netip.Addr     // its identifier
	to     netip.AddrPort // where it answered from
	length time.Duration
	t1, t2 time.Time
	ends   time.Time // zero: never, and so are t1 and t2

	user   string        // who has it, or had it last
	kept   bool          // it was in use when an earlier process ended
	active bool          // counted in LeasePool.asking
	naks   int           // in a row
	asked  time.Time     // when the REQUEST was sent first
	place  *list.Element // in the list of those that are free
}

type leaseState uint8

const (
	leaseSelecting leaseState = iota
	leaseRequesting
	leaseProbing
	leaseDeclined
	leaseRebooting
	leaseBound
	leaseRenewing
	leaseRebinding
	leaseGone
)

// holds reports whether the address is the client's.
func (l *lease) holds() bool {
	return l.state == leaseBound || l.state == leaseRenewing || l.state == leaseRebinding
}

const (
	leaseTries   = 4                // of a REQUEST, before all begins anew
	declinedWait = 10 * time.Second // RFC 2131 section 3.1, step 5
	spareTries   = 5                // of a DISCOVER that nobody waits for any more: two minutes
)

// begin starts an exchange.
func (l *lease) begin(s leaseState, now time.Time) {
	var x [4]byte
	rand.Read(x[:]) // nobody guesses it
	l.xid = binary.BigEndian.Uint32(x[:])
	l.state, l.began, l.tries = s, now, 0
}

// backoff is the wait before the next try: 4, 8, 16, 32, 64 seconds, a second more or less (RFC 2131 section 4.1).
func (l *lease) backoff() time.Duration {
	return 4*time.Second<<min(l.tries-1, 4) - time.Second + mrand.N(2*time.Second)
}

// again is the wait before a REQUEST of renewing or rebinding is repeated: half of what is left, but no less than a minute
// (RFC 2131 section 4.4.5), or for leases of minutes a sixteenth of them.
func again(left, all time.Duration) time.Duration {
	return min(max(left/2, min(time.Minute, all/16), time.Second), left)
}

// take notes what an ACK says.
func (l *lease) take(g granted, from netip.AddrPort, now time.Time) {
	l.addr, l.server, l.to, l.naks = g.addr, g.server, from, 0
	if g.forever {
		l.t1, l.t2, l.ends = time.Time{}, time.Time{}, time.Time{}
		return
	}
	// The time counts from when it was asked for: RFC 2131 section 4.4.5.
	l.length = g.time
	l.t1, l.t2, l.ends = now.Add(g.t1), now.Add(g.t2), now.Add(g.time)
}

// A granted is what a server's OFFER or ACK says of a lease. All other options are thrown away: what clients of the pool are
// told is not the DHCP server's business.
type granted struct {
	addr, server netip.Addr
	forever      bool
	time, t1, t2 time.Duration
}

// parseGranted reads an OFFER or ACK.
func parseGranted(m message) (g granted, ok bool) {
	g.addr = m.yiaddr()
	id, ok := m.option(optServer)
	secs, timed := m.option(optLeaseTime)
	if !ok || len(id) != 4 || !timed || len(secs) != 4 {
		return g, false
	}
	g.server = netip.AddrFrom4([4]byte(id))
	n := binary.BigEndian.Uint32(secs)
	g.forever = n == 0xffffffff // RFC 2131 section 3.3
	g.time = time.Duration(n) * time.Second
	// RFC 2131 section 4.4.5; what makes no sense is as good as not said.
	g.t1, g.t2 = m.seconds(optRenewal), m.seconds(optRebinding)
	if g.t2 <= 0 || g.t2 >= g.time {
		g.t2 = g.time * 7 / 8
	}
	if g.t1 <= 0 || g.t1 >= g.t2 {
		g.t1 = min(g.time/2, g.t2)
	}
	return g, n > 0 && isHostAddr(g.addr)
}

// isHostAddr reports whether an address can be given to a host.
func isHostAddr(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && a.As4()[0] < 240 && a.As4()[0] != 0
}

func (m message) yiaddr() netip.Addr { return netip.AddrFrom4([4]byte(m[atYIAddr:])) }

// seconds returns a time option; zero if it is not there.
func (m message) seconds(code byte) time.Duration {
	if d, ok := m.option(code); ok && len(d) == 4 {
		return time.Duration(binary.BigEndian.Uint32(d)) * time.Second
	}
	return 0
}

// leases is a heap of leases, the one that is due first in front. One that is never due is not in it.
type leases []*lease

func (h leases) Len() int           { return len(h) }
func (h leases) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h leases) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }
func (h *leases) Push(x any)        { l := x.(*lease); l.at = len(*h); *h = append(*h, l) }
func (h *leases) Pop() any {
	l := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	l.at = -1
	return l
}

// schedule says when something is to be done with l; zero: never.
func (h *leases) schedule(l *lease, due time.Time) {
	if l.at >= 0 {
		heap.Remove(h, l.at)
	}
	if l.due = due; !due.IsZero() {
		heap.Push(h, l)
	}
}
