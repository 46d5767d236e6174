package demanddial

import (
	"net/netip"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// waiting is what Write knows while there is no link. Interface.mu guards it.
type waiting struct {
	facts  facts
	queue  []held
	size   int  // of the queue, in bytes
	demand bool // a packet wants the Interface to dial
}

// A held packet waits for a link.
type held struct {
	buf  []byte              // headroom, then the packet
	from tunnel.PacketWriter // the link it came by; nil: the host
	at   time.Time
}

// headroom is left in front of packets that are held: enough for the headers of any link here.
const headroom = 32

// hold decides about packets that come while there is no link.
func (i *Interface) hold(from tunnel.PacketWriter, bufs [][]byte, offset int) (n int, err error) {
	if i.closed.Load() {
		return 0, errClosed
	}
	now := time.Now()
	i.mu.Lock()
	if l := i.live.Load(); l != nil { // it has come up meanwhile, and what was held is before these
		i.mu.Unlock()
		return i.pass(l, bufs, offset), nil
	}
	var refused [][]byte
	asked := i.demand
	for _, b := range bufs {
		if len(b) <= offset {
			continue
		}
		switch i.judge(&i.facts, packetOf(b, offset), now) {
		case Dials:
			i.demand = true
			n += i.keep(from, b[offset:], now)
		case Waits, Passes: // Passes: a link is about to be published
			n += i.keep(from, b[offset:], now)
		case Filtered:
			i.n.filtered.Add(1)
		case Rejected:
			refused = append(refused, b)
		}
	}
	wake := i.demand && !asked
	i.mu.Unlock()
	if wake {
		i.inbox.wake()
	}
	i.reject(from, refused, offset)
	return n, nil
}

// keep copies a packet into the queue. What does not fit is dropped: the first packets are those that somebody waits
// for, and what follows them will be repeated.
func (i *Interface) keep(from tunnel.PacketWriter, p []byte, now time.Time) int {
	if i.size+len(p) > orDefault(i.Hold, defaultHold) {
		i.n.dropped.Add(1)
		return 0
	}
	if i.size == 0 {
		i.inbox.wake() // somebody must watch its age
	}
	b := make([]byte, headroom+len(p))
	copy(b[headroom:], p)
	i.queue = append(i.queue, held{b, from, now})
	i.size += len(p)
	i.n.held.Add(1)
	return 1
}

// deliver publishes a link: what was held goes first, and no Write passes it by.
func (i *Interface) deliver(l *live, f facts, now time.Time) {
	i.mu.Lock()
	stale := i.takeOlder(now.Add(-orDefault(i.HoldFor, defaultHoldFor)))
	rest := i.takeOlder(now.Add(time.Hour))
	i.facts = f
	i.use.Store(now.UnixNano())
	if len(rest) > 0 {
		bufs := make([][]byte, len(rest))
		for n := range rest {
			bufs[n] = rest[n].buf
		}
		i.send(l, bufs, headroom)
	}
	i.live.Store(l)
	i.mu.Unlock()
	i.rejectHeld(stale)
}

// takeOlder takes those packets out of the queue that came before a time.
func (i *Interface) takeOlder(than time.Time) (list []held) {
	n := 0
	for n < len(i.queue) && i.queue[n].at.Before(than) {
		i.size -= len(i.queue[n].buf) - headroom
		n++
	}
	list, i.queue = i.queue[:n:n], i.queue[n:]
	if len(i.queue) == 0 {
		i.queue = nil // an Interface that holds nothing costs nothing
	}
	return list
}

// settleHeld tells Write the facts, and answers what waits in vain: all of it when nothing is dialled any more, else what
// is too old. It returns when the next packet will be too old; zero: none waits.
func (i *Interface) settleHeld(f facts, now time.Time) (next time.Time) {
	patience := orDefault(i.HoldFor, defaultHoldFor)
	i.mu.Lock()
	i.facts = f
	var vain []held
	if f.dialing || f.up {
		vain = i.takeOlder(now.Add(-patience + 1)) // of just that age, too
	} else if !i.demand {
		vain = i.takeOlder(now.Add(time.Hour))
	}
	if len(i.queue) > 0 {
		next = i.queue[0].at.Add(patience)
	}
	i.mu.Unlock()
	i.rejectHeld(vain)
	return next
}

// retract takes the link back from Write, which holds packets, or drops them, by the facts from now on.
func (i *Interface) retract(f facts) {
	i.mu.Lock()
	i.facts = f
	i.live.Store(nil)
	i.mu.Unlock()
}

// takeDemand reports whether a packet has wanted the Interface to dial since the last call.
func (i *Interface) takeDemand() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	wanted := i.demand
	i.demand = false
	return wanted
}

// snapshot returns the facts as Write sees them now, and the routes to the far side of the call in use.
func (i *Interface) snapshot() (facts, []netip.Prefix) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.facts, i.known
}
