package demanddial

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// An Interface is a tunnel.Link that is always there: it dials when it is written to, or at once if Persistent, takes
// calls that the far side dialled, and dials again. Serve it as any Link: router.ServeLink(ctx, i), stack.Serve(ctx, i).
//
//	              a packet, Persistent, Connect                a link is open, Up has run
//	┌────► Down ─────────────────────────────────► Dialing ─────────────────────────────────► Up ─────┐
//	│       ▲ │                                     │ ▲ │                                     ▲ │      │
//	│       │ │                   all attempts fail │ │ └── the far side calls first ─────────┘ │      │
//	│       │ │ Enable(false),                      │ │                                         │      │
//	│       │ │ hours end, ...                      │ │ a reason is over and it is Persistent,  │      │
//	│       │ ▼                                     ▼ │ Connect                                 │      │
//	│       └──────────────── Unreachable ────────────┘ ◄─────── ended, and there is a reason ────┘      │
//	│    no reason is left        │                                                                     │
//	│                             └──── the far side calls ────► Up                                     │
//	└──────────────────────────────── idle, Disconnect, the far side hung up ───────────────────────────┘
//
// Only Serve's goroutine changes the state. The state is that of a set of facts (see facts.state), so what holds in a
// state cannot disagree with why it was entered.
//
// Set the fields before the first call and leave them then. An Interface must not be copied.
type Interface struct {
	Name    string   // also the user name by which the far side calls this end
	Domains []string // besides the Set's own, those in which a caller of this name is this interface
	User    string   // by which this end calls; needed where both ends dial, to tell calls that cross apart

	Dial      func(ctx context.Context, to string) (tunnel.Link, error) // returns an open link; nil only answers. An error with Permanent() true is not tried again by itself
	To        []string                                                  // tried in order; nil means one call with ""
	KeepOrder bool                                                      // begins with the first of To always, not with the one that worked last
	NoAnswer  bool                                                      // only calls: a call of the far side is refused
	Host      bool                                                      // this end is a host and no router: only packets for its own addresses are let in

	// Up is called with each link before its packets flow: configure the host. nil does nothing.
	Up func(ctx context.Context, l tunnel.Link) error

	// Exclude is called with each address of a destination before that is dialled, and with the outer address of a far side
	// that calls if Routes cover it, and keeps them outside the tunnel: tun.Device.Exclude, or a func that knows that they
	// are outside already. Without, a Set refuses what Routes cover: an address when it is added, a name at each dial, a
	// call when it is there.
	Exclude func(dst netip.Addr) error

	// Lookup finds the addresses of a destination's name, for Exclude and to compare them with Routes; net.Resolver's
	// LookupNetIP is such a func. nil leaves names to Dial, and unlooked at.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	Table       tunnel.RouteTable // where Routes are put, and withdrawn from while unreachable; nil means a Set's Router's
	Routes      []Route
	NameServers []netip.Addr // name servers in the place of those the far side names

	Persistent   bool
	Disabled     bool                            // starts disabled: see Enable
	IdleTimeout  time.Duration                   // of a call this end dialled; 0 means 5 minutes, negative never; a Persistent interface is never idle
	AnsweredIdle time.Duration                   // of a call this end answered; 0 means never: it is the caller's, or Grant.IdleTimeout's
	Demand       func(packet []byte) bool        // may dial, and counts as use; nil means all
	In, Out      func(packet []byte) bool        // pass; nil means all
	Hours        func(time.Time) bool            // when it may dial, asked about full minutes; nil means always
	HoursCut     bool                            // the end of Hours also ends a call that was dialled
	DeadPeer     time.Duration                   // how long the far side may be silent before the link is lost, for links that have SetSilence, as *ppp.Conn; 0 leaves it to the link
	RedialLost   bool                            // dials again, without a packet, when a link it dialled was lost rather than hung up
	Attempts     int                             // per demand; 0 means 3, negative for ever
	Timeout      time.Duration                   // of one call to Dial, and of Up; 0 means 1 minute
	Backoff      func(attempt int) time.Duration // between attempts; nil means 10 s, doubling to 5 min

	// LockOut is how long nothing is dialled by itself after a demand has failed: the first time, again as much more
	// each further time, and at most. 0 means 10 minutes and 6 hours, and no lock-out if Persistent: the next attempt is
	// then Backoff away. A negative first means none. What succeeds, or is done by hand, begins anew.
	LockOut [2]time.Duration

	Hold    int           // bytes of packets kept while dialling; 0 means 64 KiB
	HoldFor time.Duration // how long each is kept; 0 means 30 s
	MaxMTU  int           // 0 means 1400

	// Reject answers packets that cannot be delivered, on the terms of Write; from is the link that they came by, nil the
	// host. nil means the Reject of a Set's Router, and without one drops them silently.
	Reject func(from tunnel.PacketWriter, bufs [][]byte, offset int)

	Logger *slog.Logger // nil is silent

	// What others leave for Serve's goroutine.
	inbox    inbox
	serving  atomic.Bool
	closed   atomic.Bool
	disabled atomic.Int32 // see enabled
	suspends atomic.Bool  // by a Set

	// What Serve's goroutine leaves for others.
	live atomic.Pointer[live] // nil: not connected
	use  atomic.Int64         // unix nanoseconds of the last packet that counts
	n    counters
	mu   sync.Mutex
	waiting
	watched

	wired wiring // by a Set
}

// A Route is a prefix behind an Interface.
type Route struct {
	Prefix    netip.Prefix
	Metric    int
	Connected bool // there only while connected: does not dial
}

// wiring is what a Set gives an Interface whose fields are nil.
type wiring struct {
	table  tunnel.RouteTable
	reject func(from tunnel.PacketWriter, bufs [][]byte, offset int)
	logger *slog.Logger
	ports  *ports
	turn   *sync.Mutex // to put routes into table
}

// A live is the link in use, published for Write. It is not changed.
type live struct {
	link  tunnel.Link
	timed bool // an idle time-out wants to know of use
}

var _ tunnel.Link = (*Interface)(nil)

const (
	defaultMTU     = 1400
	defaultIdle    = 5 * time.Minute
	defaultTries   = 3
	defaultTimeout = time.Minute
	defaultHold    = 64 << 10
	defaultHoldFor = 30 * time.Second
)

// Addrs returns this end's addresses on the present link; nil without.
func (i *Interface) Addrs() []netip.Addr {
	if l := i.live.Load(); l != nil {
		return l.link.Addrs()
	}
	return nil
}

// Prefixes returns nil: Routes are put in Table.
func (i *Interface) Prefixes() []netip.Prefix { return nil }

// DNS returns NameServers, or the name servers of the present link.
func (i *Interface) DNS() []netip.Addr {
	if l := i.live.Load(); i.NameServers == nil && l != nil {
		return l.link.DNS()
	}
	return i.NameServers
}

// MTU returns the present link's, else MaxMTU.
func (i *Interface) MTU() int {
	most := orDefault(i.MaxMTU, defaultMTU)
	if l := i.live.Load(); l != nil {
		if mtu := l.link.MTU(); mtu > 0 {
			return min(mtu, most)
		}
	}
	return most
}

// Close ends Serve for good.
func (i *Interface) Close() error {
	if i.closed.CompareAndSwap(false, true) {
		close(i.inbox.gone())
		i.inbox.wake()
	}
	return nil
}

func (i *Interface) table() tunnel.RouteTable {
	if i.Table != nil {
		return i.Table
	}
	return i.wired.table
}

// reject answers packets by ICMP, if somebody can.
func (i *Interface) reject(from tunnel.PacketWriter, bufs [][]byte, offset int) {
	if len(bufs) == 0 {
		return
	}
	i.n.rejected.Add(uint64(len(bufs)))
	switch {
	case i.Reject != nil:
		i.Reject(from, bufs, offset)
	case i.wired.reject != nil:
		i.wired.reject(from, bufs, offset)
	}
}

// rejectHeld answers packets that waited in vain.
func (i *Interface) rejectHeld(list []held) {
	for len(list) > 0 {
		var bufs [][]byte
		from := list[0].from
		for len(list) > 0 && list[0].from == from {
			bufs = append(bufs, list[0].buf)
			list = list[1:]
		}
		i.reject(from, bufs, headroom)
	}
}

func (i *Interface) logger() *slog.Logger {
	l := i.Logger
	if l == nil {
		l = i.wired.logger
	}
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l.With("interface", i.Name)
}

func orDefault[T int | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}
