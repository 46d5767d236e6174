package radius

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	mrand "math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/dialway/dialway/ppp"
)

// Accounting reports sessions (RFC 2866). Start never waits for a server: records are spooled and sent by Serve. Set
// Client; the rest may be zero. It must not be copied once it is used.
//
// A record in a directory outlives the process at once, and the machine's power as soon as it has been sent once without an
// answer; one that Forward has taken outlives both.
type Accounting struct {
	Client   *Client
	Interim  time.Duration // between updates where a Grant says nothing; 0 sends none
	Spool    string        // directory that keeps records over outages and restarts, one Accounting's alone; empty keeps them in memory
	MaxSpool int           // records kept; 0 means 10,000 in memory and 100,000 in a directory. Of too many, updates go first, then the oldest
	Relay    bool          // it has no sessions of its own, but what Forward takes: no On and Off are sent
	Logger   *slog.Logger  // nil is silent

	mu     sync.Mutex
	spool  spool
	active int           // sessions
	wake   chan struct{} // room for one: there is something new
	run    string        // Acct-Session-Id of On and Off

	_ [0]func()
}

// Start reports c until its Context ends: Start, Interim, Stop with counters and cause. Call it in a Handler. It returns
// at once, and needs no goroutine.
func (a *Accounting) Start(c *ppp.Conn) {
	a.mu.Lock()
	a.active++
	a.mu.Unlock()
	s := &reported{a: a, conn: c, last: time.Now()}
	s.due = s.interval()
	a.put(a.record(c, statusStart))
	s.mu.Lock()
	s.timer = time.AfterFunc(lookEvery, s.look)
	s.mu.Unlock()
	context.AfterFunc(c.Context(), s.stop)
}

// lookEvery is how often a session is asked whether it is time for an update: CoA may change the interval.
const lookEvery = 15 * time.Second

// A reported is a session that has had its Start.
type reported struct {
	a    *Accounting
	conn *ppp.Conn

	mu    sync.Mutex
	over  bool
	timer *time.Timer
	last  time.Time     // of the last record
	due   time.Duration // after it
}

// interval is how long until the next update; 0: there is none. Up to a tenth is taken off, so that sessions that began
// together do not report together (RFC 2869 section 2.1).
func (s *reported) interval() time.Duration {
	d := s.a.Interim
	if g := s.conn.Grant(); g != nil && g.Interim > 0 {
		d = g.Interim
	}
	return d - time.Duration(mrand.Float64()*0.1*float64(d))
}

// look sends an update if it is time.
func (s *reported) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	now := time.Now()
	d := s.interval()
	if s.due == 0 || d == 0 || d > s.due+s.due/5 || s.due > d+d/5 { // it has changed by more than the draw
		s.due = d
	}
	if s.due > 0 && now.Sub(s.last) >= s.due {
		s.last, s.due = now, d
		s.a.put(s.a.record(s.conn, statusInterim))
	}
	s.timer.Reset(lookEvery)
}

func (s *reported) stop() {
	s.mu.Lock()
	s.over = true
	s.timer.Stop()
	s.mu.Unlock()
	s.a.put(s.a.record(s.conn, statusStop))
	s.a.mu.Lock()
	s.a.active--
	s.a.mu.Unlock()
	s.a.poke()
}

// record makes an accounting request of a session as it is now.
func (a *Accounting) record(c *ppp.Conn, status uint32) *Packet {
	info, now := c.Info(), time.Now()
	p := a.event(status, now, info.Call)
	p.addText(UserName, cmp.Or(info.User, info.Claimed)) // RFC 3579 section 2.1: EAP's Identity, where there is no better one
	addCall(p, info.Call)
	addRAS(p, info.Call, info.Client, false)
	addSession(p, &info, c.Grant())
	if status == statusStart {
		return p
	}
	st := c.Stats()
	p.addUint32(AcctSessionTime, uint32(max(0, now.Sub(info.Opened)/time.Second)))
	// RFC 2866 section 5.3: input is what came from the user.
	addCount(p, AcctInputOctets, AcctInputGigawords, st.RxBytes)
	addCount(p, AcctOutputOctets, AcctOutputGigawords, st.TxBytes)
	p.addUint32(AcctInputPackets, uint32(st.RxPackets))
	p.addUint32(AcctOutputPackets, uint32(st.TxPackets))
	if status == statusStop {
		p.addUint32(AcctTerminateCause, uint32(causeOf(c)))
	}
	return p
}

// boot makes On or Off, whose Acct-Session-Id is this run's: every record must have one (RFC 2866 section 5.5).
func (a *Accounting) boot(status uint32, now time.Time) *Packet {
	a.mu.Lock()
	if a.run == "" {
		a.run = "run-" + strconv.FormatInt(now.UnixNano(), 36)
	}
	run := a.run
	a.mu.Unlock()
	p := a.event(status, now, nil)
	p.addText(AcctSessionID, run)
	return p
}

// event makes the part that On and Off have, too.
func (a *Accounting) event(status uint32, now time.Time, call *ppp.Call) *Packet {
	p := &Packet{Code: AccountingRequest}
	p.addUint32(AcctStatusType, status)
	a.Client.addNAS(p, call)
	p.addUint32(EventTimestamp, uint32(now.Unix()))
	return p
}

// addSession adds what was agreed and granted.
func addSession(p *Packet, info *ppp.Info, g *ppp.Grant) {
	if a := info.Peer.Unmap(); a.Is4() {
		p.Add(FramedIPAddress, a.AsSlice())
	}
	p.addUint32(AcctAuthentic, 1) // RADIUS
	// RFC 2548 section 2.7.4
	if n := map[ppp.AuthProtocol]uint32{ppp.PAP: 1, ppp.CHAP: 2, ppp.MSCHAPv2: 4, ppp.EAP: 5}[info.Auth]; n != 0 {
		p.addVendorUint32(Microsoft, msAcctAuthType, n)
	}
	if info.EAPType != 0 {
		p.addVendorUint32(Microsoft, msAcctEAPType, uint32(info.EAPType))
	}
	if g == nil {
		return
	}
	for _, v := range g.Class { // RFC 2865 section 5.25: unmodified
		p.Add(Class, v)
	}
	for _, x := range g.Prefixes {
		if x.IsValid() && x.Addr().Is6() {
			a := DelegatedIPv6Prefix
			if x.Bits() == 64 {
				a = FramedIPv6Prefix
			}
			p.Add(a, appendIPv6Prefix(nil, x))
		}
	}
}

// addCount adds a counter of 64 bits, RFC 2869 sections 5.1 and 5.2.
func addCount(p *Packet, low, high Attr, n uint64) {
	p.addUint32(low, uint32(n))
	if n>>32 != 0 {
		p.addUint32(high, uint32(n>>32))
	}
}

// causeOf says why a session ended, by RFC 2866 section 5.10.
func causeOf(c *ppp.Conn) ppp.Cause {
	var e *ppp.TerminatedError
	if errors.As(context.Cause(c.Context()), &e) && e.Cause != 0 {
		return e.Cause
	}
	return ppp.NASError
}

// Pending is how many records wait.
func (a *Accounting) Pending() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.spool.queue)
}

func (a *Accounting) log() *slog.Logger {
	if a.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return a.Logger
}
