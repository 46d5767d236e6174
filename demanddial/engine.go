package demanddial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/dialway/dialway/internal/hours"
)

// An engine is one Serve. Everything in it belongs to Serve's goroutine, but for what is given to others when they start.
type engine struct {
	*Interface
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelCauseFunc
	to     func(bufs [][]byte, offset int) (int, error)
	beside sync.WaitGroup // dials, calls, Up
	over   error          // Serve is ending, and why
	broken error          // to has failed

	f facts

	calls   []*call      // open, and not hung up by this end
	current *call        // the one in use
	setting *setup       // Up is under way
	crossed time.Time    // when two calls met last
	dial    *dialRun     // Dial is under way
	loseAt  time.Time    // when it is given up, since what it makes would not stay
	attempt int          // of the present demand, those made
	retryAt time.Time    // when the next is made; zero: none waits
	wants   bool         // dial without a packet, once
	hand    bool         // by Connect
	waiters []chan error // in Connect

	overridden Reason // by the Connect that is under way
	byHand     Reason // by the one that made the present call

	failures int  // demands that failed since the last success
	short    int  // calls in a row that ended soon
	resigned bool // a Persistent interface was told that there is no point in trying
	stopped  bool // a Persistent interface was hung up by hand

	last    string // the destination that worked
	inHours bool
	hoursAt time.Time // when to ask Hours again

	oneWay oneWay

	routing
	report
}

// Serve runs the Interface until ctx ends or it is closed: it dials, takes calls, and hands to to what the far side of
// the link in use sends. It returns when every link it had is closed; the error is never nil. One call at a time.
func (i *Interface) Serve(ctx context.Context, to func(bufs [][]byte, offset int) (n int, err error)) error {
	if !i.serving.CompareAndSwap(false, true) {
		return errors.New("demanddial: Serve of an interface that is served")
	}
	defer i.serving.Store(false)
	if len(i.Routes) > 0 && i.table() == nil {
		return fmt.Errorf("demanddial: interface %s has Routes and no Table", i.Name)
	}
	e := &engine{Interface: i, log: i.logger(), to: to}
	e.ctx, e.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	defer e.cancel(nil)
	e.f.served = true
	return e.run(ctx)
}

func (e *engine) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		for _, f := range e.inbox.take() {
			f(e)
		}
		switch {
		case ctx.Err() != nil:
			return e.end(fmt.Errorf("demanddial: %w: %w", net.ErrClosed, context.Cause(ctx)))
		case e.closed.Load():
			return e.end(errClosed)
		case e.broken != nil:
			return e.end(fmt.Errorf("demanddial: the packets' taker failed: %w", e.broken))
		}
		now := time.Now()
		e.lookAround(now)
		e.hangUpDue(now)
		e.dialIfWanted(now)
		if next := e.publish(now); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
		case <-e.inbox.wakes():
		case <-timer.C:
		}
	}
}

// end hangs everything up and waits for it.
func (e *engine) end(why error) error {
	e.over = why
	for _, f := range e.inbox.take() {
		f(e)
	}
	e.hangUp(why)
	e.f = facts{}
	e.takeDemand()
	e.err = why
	e.publish(time.Now())
	e.cancel(why)
	e.beside.Wait()
	return why
}

// lookAround brings the facts up to date with what others, and the time, have changed.
func (e *engine) lookAround(now time.Time) {
	if off := !e.enabled(); off != e.f.disabled {
		if e.f.disabled = off; off {
			e.hangUp(&UnreachableError{Name: e.Name, Reasons: Disabled})
		} else {
			e.forgive() // enabling is done by hand
		}
	}
	e.f.paused = e.stopped || e.suspends.Load()
	if e.f.noPort && e.wired.ports.free() {
		e.f.noPort = false
	}
	if !e.f.locked.IsZero() && !now.Before(e.f.locked) {
		e.f.locked = time.Time{}
	}
	e.f.failing = e.Persistent && e.failures > 0 && !e.resigned
	if e.Hours != nil && !now.Before(e.hoursAt) {
		was := e.inHours
		e.inHours = e.Hours(now)
		e.hoursAt, _ = hours.NextChange(e.Hours, now, time.Hour) // an edge far away is looked for again in an hour
		if was && !e.inHours && e.HoursCut {
			e.cutDialled(now)
		}
		if was != e.inHours {
			e.opensKnown = false
		}
	}
	if r := e.reasons(now); e.busy() && !e.f.up && r != 0 && (!e.hand || e.suspends.Load()) {
		why := &UnreachableError{Name: e.Name, Reasons: r}
		e.abortDial(why)
		e.hand = false
		e.answer(why)
	}
}

// reasons are what keeps the Interface from dialling by itself now.
func (e *engine) reasons(now time.Time) Reason { return e.f.reasons(e.Hours, now) }

// busy reports whether the Interface is dialling, or about to dial again.
func (e *engine) busy() bool { return e.dial != nil || !e.retryAt.IsZero() }

// connecting reports whether a link may be there soon.
func (e *engine) connecting() bool { return e.busy() || e.setting != nil }

// succeeded forgets failures.
func (e *engine) succeeded() {
	e.failures, e.resigned, e.stopped = 0, false, false
	e.f.locked, e.f.failing = time.Time{}, false
}

// forgive forgets failures, and that links did not last: somebody has done something about it by hand.
func (e *engine) forgive() {
	e.succeeded()
	e.short = 0
}

// answer tells those who wait in Connect.
func (e *engine) answer(err error) {
	for _, w := range e.waiters {
		w <- err // has room
	}
	e.waiters = nil
}

// publish tells others what has become of it all, and returns when there is something to do next; zero: when somebody
// asks.
func (e *engine) publish(now time.Time) (next time.Time) {
	e.f.up = e.current != nil
	e.f.dialing = !e.f.up && e.connecting()
	e.f.byHand = e.hand
	r := e.reasons(now)
	s := e.f.state(r)
	e.syncRoutes(e.f.routed(e.Dial != nil, s), e.f.up)
	next = e.settleHeld(e.f, now)
	e.tell(now, s, r)
	for _, t := range []time.Time{e.retryAt, e.f.locked, e.hoursAt, e.idleAt(), e.loseAt, e.oneWay.at} {
		next = earlier(next, t)
	}
	for _, c := range e.calls {
		next = earlier(next, c.closeAt)
	}
	return next
}

// earlier returns the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// jitter makes a time up to a fifth shorter or longer: many clients of one server do not come back at once.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d - d/5 + rand.N(2*d/5+1)
}

// between returns a time at random.
func between(least, most time.Duration) time.Duration { return least + rand.N(most-least) }

// addrPrefix is the prefix of an address alone.
func addrPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
