package demanddial

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// A call is an open link, dialled by either end, from when it is offered to the engine until its Serve has returned:
//
//	offered ──► accepted ──► serving ──► over
//	   │            │ decided    start        closed by this end (why), or by the far side
//	   └────────────┴───────────────────────► refused, withdrawn
type call struct {
	link    tunnel.Link
	ctx     context.Context // of its Serve
	cancel  context.CancelCauseFunc
	dialled bool   // by this end
	to      string // then the destination
	name    string // with which the caller authenticated
	id      string // that both ends know; empty: there is none
	opened  time.Time

	by      *engine       // that accepted it, if the far side dialled
	detach  func() bool   // then frees it of that engine's context
	taken   atomic.Bool   // by the engine, or by the one who offered it and thought better
	decided chan error    // nil: accepted
	start   chan struct{} // closed: serve now

	// The engine's.
	started bool
	since   time.Time // it is in use
	closeAt time.Time // it lost against another call, and is kept this long in case that one ends
	why     error     // this end has hung up
}

func newCall(ctx context.Context, l tunnel.Link) *call {
	c := &call{link: l, opened: time.Now(), decided: make(chan error, 1), start: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	if x, ok := tunnel.As[interface{ ID() string }](l); ok {
		c.id = x.ID()
	}
	return c
}

func (c *call) refuse(why error) {
	if c.taken.CompareAndSwap(false, true) {
		c.decided <- why
	}
}

// later makes f run on Serve's goroutine, if it is still the same Serve.
func (e *engine) later(f func()) {
	e.inbox.post(func(now *engine) {
		if now == e {
			f()
		}
	})
}

// runCall waits for the engine's decision and serves the link until it ends, on the caller's goroutine.
func (e *engine) runCall(c *call) error {
	defer c.cancel(nil)
	select {
	case err := <-c.decided:
		if err != nil {
			c.link.Close()
			return err
		}
	case <-c.ctx.Done():
		if c.taken.CompareAndSwap(false, true) {
			c.link.Close()
			return context.Cause(c.ctx)
		}
		if err := <-c.decided; err != nil {
			c.link.Close()
			return err
		}
	}
	return e.serveCall(c)
}

// serveCall serves a call that was accepted.
func (e *engine) serveCall(c *call) (err error) {
	defer func() { e.later(func() { e.ended(c, err) }) }()
	select {
	case <-c.start:
	case <-c.ctx.Done():
		c.link.Close()
		return context.Cause(c.ctx)
	}
	return c.link.Serve(c.ctx, e.inward)
}

// inward takes what the far side of any call sends: while two are open, packets may still come by the one that is about
// to be closed.
func (e *engine) inward(bufs [][]byte, offset int) (n int, err error) {
	if e.In == nil {
		return e.receive(bufs, offset)
	}
	for len(bufs) > 0 && err == nil {
		run, sent := 0, 0
		for run < len(bufs) && e.In(packetOf(bufs[run], offset)) {
			run++
		}
		if run > 0 {
			sent, err = e.receive(bufs[:run], offset)
			n += sent
		}
		if run < len(bufs) {
			e.n.filtered.Add(1)
			run++
		}
		bufs = bufs[run:]
	}
	return n, err
}

// receive hands packets on.
func (e *engine) receive(bufs [][]byte, offset int) (int, error) {
	if l := e.live.Load(); l != nil && l.timed {
		e.used(bufs, offset)
	}
	sum(&e.n.rxPackets, &e.n.rxBytes, bufs, offset)
	n, err := e.to(bufs, offset)
	if err != nil {
		e.later(func() { e.broken = err })
	}
	return n, err
}

// accept takes a call in. It is in use once Up has run, or waits as the loser of two.
func (e *engine) accept(c *call) bool {
	if !c.taken.CompareAndSwap(false, true) {
		return false // who offered it has given up
	}
	e.tellLink(c)
	e.calls = append(e.calls, c)
	c.decided <- nil
	e.settle(time.Now())
	return true
}

// tellLink tells a link how long its far side may be silent, that it is a router, and from where it may send.
func (e *engine) tellLink(c *call) {
	if x, ok := tunnel.As[interface{ SetSilence(d time.Duration) }](c.link); ok && e.DeadPeer > 0 {
		x.SetSilence(e.DeadPeer)
	}
	x, ok := tunnel.As[interface{ Expect(prefixes []netip.Prefix) }](c.link)
	if !ok || e.Host || len(e.Routes) == 0 {
		return
	}
	prefixes := make([]netip.Prefix, len(e.Routes))
	for n, r := range e.Routes {
		prefixes[n] = r.Prefix
	}
	x.Expect(prefixes)
}

// A setup is Exclude and Up at work, on a goroutine of their own.
type setup struct {
	call   *call
	cancel context.CancelFunc
}

// settle makes the call in use that should be, and the others wait for their end.
func (e *engine) settle(now time.Time) {
	best := e.best()
	for _, c := range e.calls {
		if c != best {
			e.begin(c) // a link that nobody serves dies, and its packets still count
		}
	}
	switch {
	case best == nil, e.setting != nil && e.setting.call == best:
		return
	case best == e.current:
		e.retireOthers(best, now)
		return
	}
	e.dropSetup()
	outer, covered := e.outer(best)
	if e.Up == nil && !covered {
		e.putInUse(best, now)
		return
	}
	ctx, cancel := context.WithTimeout(best.ctx, orDefault(e.Timeout, defaultTimeout))
	s := &setup{best, cancel}
	e.setting = s
	e.beside.Go(func() {
		defer cancel()
		var err error
		if covered {
			err = e.outside("the far side", outer)
		}
		if err == nil && e.Up != nil {
			err = e.Up(ctx, best.link)
		}
		e.later(func() { e.wasSetUp(s, err) })
	})
}

// dropSetup gives an Up that is under way up.
func (e *engine) dropSetup() {
	if e.setting != nil {
		e.setting.cancel()
		e.setting = nil
	}
}

// wasSetUp has Up's answer.
func (e *engine) wasSetUp(s *setup, err error) {
	if e.setting != s || e.over != nil {
		return
	}
	e.setting = nil
	now := time.Now()
	if err == nil {
		e.putInUse(s.call, now)
		return
	}
	e.log.Warn("call is hung up: the host could not be prepared for it", "err", err)
	e.hangUpCall(s.call, err)
	e.note(err, s.call.to)
	switch {
	case len(e.calls) > 0:
		e.settle(now)
	case s.call.dialled:
		e.fail(now, err)
	}
}

// begin lets a call's Serve run.
func (e *engine) begin(c *call) {
	if !c.started {
		c.started = true
		close(c.start)
	}
}

// use1 puts a call in use: routes first, then what was held, then whatever else comes.
func (e *engine) putInUse(c *call, now time.Time) {
	e.current, c.since, c.closeAt, e.loseAt = c, now, time.Time{}, time.Time{}
	e.byHand = 0
	if e.hand {
		e.byHand = e.overridden
	}
	e.hand, e.overridden = false, 0
	e.succeeded()
	if c.dialled {
		e.last = c.to
	} else {
		e.n.answered.Add(1)
		if e.dial != nil && !mayWin(e.User, e.Name) {
			e.loseAt = now.Add(grace) // the far side may have it up already, and may have sent by it
		}
	}
	e.retryAt, e.attempt, e.wants = time.Time{}, 0, false
	e.f.up, e.f.dialing, e.f.byHand = true, false, false
	e.note(nil, c.to)
	e.watchOneWay(c, now)
	e.routeTo(c)
	e.syncRoutes(true, true)
	e.deliver(&live{c.link, e.idleTime(c) > 0}, e.f, now)
	e.begin(c)
	e.retireOthers(c, now)
	e.log.Info("connected", "dialled", c.dialled, "to", c.to, "addrs", c.link.Addrs(), "overrides", e.byHand)
	e.answer(nil)
}

// ended has a call that is over.
func (e *engine) ended(c *call, err error) {
	if e.over == nil && e.remove(c) {
		e.after(c, err, time.Now())
	}
}

// remove forgets a call; false: it was forgotten before.
func (e *engine) remove(c *call) bool {
	for n, x := range e.calls {
		if x != c {
			continue
		}
		e.calls = append(e.calls[:n:n], e.calls[n+1:]...)
		if e.setting != nil && e.setting.call == c {
			e.dropSetup()
		}
		if e.current == c {
			e.current, e.loseAt = nil, time.Time{}
			e.f.up = false
			e.f.dialing = e.connecting() || len(e.calls) > 0
			e.retract(e.f)
			e.routeTo(nil)
		}
		return true
	}
	return false
}
