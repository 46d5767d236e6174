package ppp

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/internal/latectx"
)

// A Conn is one end of a PPP link. It is a tunnel.Link. It must be served from the start: between Open and Serve
// nothing is answered, and a link that nobody serves dies.
//
// Its phases are RFC 1661's (section 3.2), with the transport's binding between authentication and network:
//
//	           LCP up                  proved, granted        Bind        NCP up and Bound
//	establish ───────▶ authenticate ──────────────────▶ network ─────────────────────────▶ open
//	    │                   │                              │                                 │
//	    └───────────────────┴─────── end, peer's goodbye ──┴─────────────────────────────────┤
//	                                                                                         ▼
//	                                            dead ◀── LCP finished, 2 s, transport gone ── terminate
type Conn struct {
	fc     FrameConn
	call   Call
	cfg    *Config
	server bool
	log    *slog.Logger
	rand   io.Reader // crypto/rand but in tests

	ctx    latectx.Context    // ends with the session
	stop   context.CancelFunc // of what runs beside R for the link, rather than for a method; nil: nothing has
	beside sync.WaitGroup
	over   sync.WaitGroup // until all is done, the pool's addresses given back

	r      sync.Mutex  // held by whoever is R
	unused *time.Timer // ends an open link that nobody serves

	// What other goroutines leave for R, who looks after each wake: first the thing, then woken, then the deadline.
	woken   atomic.Bool
	regran  atomic.Bool                     // SetGrant, SetSilence
	asked   atomic.Pointer[TerminatedError] // Terminate
	answer  atomic.Pointer[decision]        // of the Authenticator
	secret  atomic.Pointer[newSecret]       // of Config.Retry
	pooled  atomic.Pointer[assignment]      // of the AddrPool
	silence atomic.Int64                    // SetSilence
	lasts   atomic.Pointer[timeRemaining]   // SendTimeRemaining
	posted  postbox                         // of a method's work beside R

	// What R leaves for other goroutines.
	out     atomic.Pointer[egress] // nil: nothing may be sent
	grant   atomic.Pointer[Grant]  // without keys
	info    atomic.Pointer[agreed]
	expect  atomic.Pointer[[]netip.Prefix] // Expect's; nil: the far side is no router
	give    atomic.Pointer[[]netip.Prefix] // Give's
	got     atomic.Pointer[[]netip.Prefix] // Own's
	stray   atomic.Pointer[func(netip.Addr)]
	ended   atomic.Bool
	lastTx  atomic.Int64 // unix nanoseconds of the last packet that counts as use
	txPkts  atomic.Uint64
	txBytes atomic.Uint64
	txDrops atomic.Uint64
	rxPkts  atomic.Uint64
	rxBytes atomic.Uint64
	rxDrops atomic.Uint64

	link
}

// A link is the part of a Conn that belongs to R.
type link struct {
	to         func(bufs [][]byte, offset int) (int, error) // Serve's; nil: nobody serves
	phase      phase
	ids        byte
	bindCalled bool
	gaveUp     bool  // the far side said goodbye before LCP was open
	settled    bool  // the other NCP has had its time
	restarts   uint8 // how often LCP went down and began again
	echoes     uint8 // sent since lastRx

	err     error // why it ends; the first reason counts
	armed   time.Time
	lcp     lcp
	ipcp    ipcp
	ipv6cp  ipv6cp
	client  string // texts of Identification
	byeText string // of the far side's Terminate-Request

	auth       authState
	addr       addrState
	networkErr error // why a network protocol did not open

	opening  context.Context // Open's; nil: not opening
	phaseBy  time.Time       // LCP must be open, an NCP, or the goodbye be over
	settleBy time.Time       // the other NCP gets no more time
	endAt    time.Time       // Grant.SessionTimeout
	lastRx   time.Time       // anything
	lastUse  time.Time       // a packet
	echoAt   time.Time
	idleBy   time.Time     // when to look whether the link is idle
	answers  *bucket       // before authentication: answers to what a peer may send without end
	inRate   *bucket       // nil until a Grant limits
	outRate  *sharedBucket // likewise

	early   *earlyFrames // nil: none
	scratch []byte       // a packet's data while it is built
	frame   []byte       // a frame while it is written
	src     *srcCache
	strayAt int64     // when OnStray's func was called last, unix seconds
	echo    [1][]byte // a packet that is answered on the link
}

type phase uint8

const (
	phaseNew phase = iota
	phaseEstablish
	phaseAuthenticate
	phaseNetwork
	phaseOpen
	phaseTerminate
	phaseDead
)

func (p phase) String() string {
	return [...]string{"start", "LCP", "authentication", "network", "open", "goodbye", "end"}[p]
}

// Client makes the end that dialled. The Conn owns fc.
func Client(fc FrameConn, call Call, config *Config) *Conn { return newConn(fc, call, config, false) }

// Server makes the end that was called. The Conn owns fc.
func Server(fc FrameConn, call Call, config *Config) *Conn { return newConn(fc, call, config, true) }

func newConn(fc FrameConn, call Call, config *Config, server bool) *Conn {
	if config == nil {
		config = new(Config)
	}
	c := &Conn{fc: fc, call: call, cfg: config, server: server, rand: crand.Reader}
	c.over.Add(1)
	if c.call.ID == "" {
		var b [8]byte
		c.random(b[:])
		c.call.ID = hex.EncodeToString(b[:])
	}
	c.log = cmp.Or(config.Logger, silent)
	return c
}

// silent is the Logger of a Config that has none.
var silent = slog.New(slog.DiscardHandler)

// Addrs returns this end's addresses: the IPv4 address and the IPv6 link-local one, where they were agreed, and the single
// addresses that Own was told.
func (c *Conn) Addrs() (addrs []netip.Addr) {
	i := c.Info()
	for _, a := range [...]netip.Addr{i.Local, i.Local6} {
		if a.IsValid() {
			addrs = append(addrs, a)
		}
	}
	for _, p := range load(&c.got) {
		if p.IsSingleIP() {
			addrs = append(addrs, p.Addr())
		}
	}
	return addrs
}

// PeerAddrs returns the far side's addresses: the IPv4 address and the IPv6 link-local one, where they were agreed.
func (c *Conn) PeerAddrs() (addrs []netip.Addr) {
	i := c.Info()
	for _, a := range [...]netip.Addr{i.Peer, i.Peer6} {
		if a.IsValid() {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// ID returns Call.ID. Both ends of an SSTP session have the same: it is the nonce that the server made.
func (c *Conn) ID() string { return c.call.ID }

// Outer returns the far side's address outside the link, which carries it; invalid where the transport has none.
func (c *Conn) Outer() netip.Addr { return c.call.Remote.Addr() }

// DNS returns the name servers the far side named.
func (c *Conn) DNS() []netip.Addr {
	if i := c.info.Load(); i != nil {
		return i.servers.dns()
	}
	return nil
}

// NBNS returns the NetBIOS name servers the far side named.
func (c *Conn) NBNS() []netip.Addr {
	if i := c.info.Load(); i != nil {
		return i.servers.nbns()
	}
	return nil
}

// MTU returns the largest packet Write takes.
func (c *Conn) MTU() int { return c.Info().MTU }

// Context ends with the session; context.Cause says why. What accompanies a session hangs on it.
func (c *Conn) Context() context.Context { return &c.ctx }

// Info returns what was agreed; it does not change after Open, and is empty before but for the Call.
func (c *Conn) Info() Info {
	if i := c.info.Load(); i != nil {
		return i.Info
	}
	return Info{Call: &c.call}
}

// Stats returns the counters; it may be called at any time, also after the end.
func (c *Conn) Stats() Stats {
	// What a transport's queue has taken and dropped later was counted as sent: ask for it first.
	var dropped, bytes uint64
	if q, ok := c.fc.(dropper); ok {
		dropped, bytes = q.Dropped()
	}
	return Stats{
		RxPackets: c.rxPkts.Load(), RxBytes: c.rxBytes.Load(),
		TxPackets: sub(c.txPkts.Load(), dropped), TxBytes: sub(c.txBytes.Load(), bytes),
		RxDropped: c.rxDrops.Load(), TxDropped: c.txDrops.Load() + dropped,
	}
}

// sub is a-b: a sender counts when WriteFrames has returned, so b may be ahead.
func sub(a, b uint64) uint64 { return a - min(a, b) }

// Grant returns what the far side was given, without its keys; nil if this end did not authenticate it.
func (c *Conn) Grant() *Grant { return c.grant.Load() }

// SetGrant replaces time-outs, rates and filters of the Grant at once; the rest of g is ignored. Without a Grant it does
// nothing.
func (c *Conn) SetGrant(g *Grant) {
	for {
		old := c.grant.Load()
		if old == nil || g == nil {
			return
		}
		n := *old
		n.SessionTimeout, n.IdleTimeout, n.Interim = g.SessionTimeout, g.IdleTimeout, g.Interim
		n.RateIn, n.RateOut, n.In, n.Out = g.RateIn, g.RateOut, g.In, g.Out
		if c.grant.CompareAndSwap(old, &n) {
			break
		}
	}
	c.regran.Store(true)
	c.poke()
}

// Close is Terminate(UserRequest, "").
func (c *Conn) Close() error {
	c.Terminate(UserRequest, "")
	return nil
}

// Terminate starts the goodbye and returns; it may be called at any time, from any goroutine. Serve returns when the
// goodbye is over.
func (c *Conn) Terminate(cause Cause, reason string) {
	c.terminate(&TerminatedError{Cause: cause, Reason: reason})
}

func (c *Conn) terminate(why *TerminatedError) {
	c.asked.CompareAndSwap(nil, why)
	c.poke()
	if c.ended.Load() || !c.r.TryLock() {
		return // R is at work and will see it
	}
	// Nobody serves: the goodbye has a goroutine of its own.
	go func() {
		defer c.r.Unlock()
		c.run()
	}()
}

// poke wakes R, who then looks for what was left.
func (c *Conn) poke() {
	c.woken.Store(true)
	c.fc.SetReadDeadline(longAgo)
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// closedError is what calls on an ended link return.
func (c *Conn) closedError() error {
	if err := context.Cause(&c.ctx); err != nil {
		return err
	}
	return net.ErrClosed
}
