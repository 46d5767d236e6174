package demanddial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// A dialRun is one attempt, on a goroutine of its own.
type dialRun struct{ cancel context.CancelCauseFunc }

// dialIfWanted begins an attempt if there is a reason for one and none against it.
func (e *engine) dialIfWanted(now time.Time) {
	demand := e.takeDemand()
	if e.Dial == nil || e.dial != nil || e.setting != nil || len(e.calls) > 0 {
		return
	}
	switch {
	case !e.retryAt.IsZero():
		if now.Before(e.retryAt) {
			return
		}
	case demand, e.wants, e.hand, e.Persistent && !e.resigned:
	default:
		return
	}
	wants := e.wants || !e.retryAt.IsZero()
	e.retryAt, e.wants = time.Time{}, false
	if r := e.reasons(now); r != 0 && !e.hand {
		e.wants = wants && r == NoResources // until there is a port
		return
	}
	if !e.wired.ports.take(e.Interface) {
		e.f.noPort, e.wants = true, wants
		e.note(errNoPort, e.peer)
		e.hand = false
		e.answer(&UnreachableError{Name: e.Name, Reasons: NoResources})
		return
	}
	e.attempt++
	ctx, cancel := context.WithCancelCause(e.ctx)
	d := &dialRun{cancel}
	e.dial = d
	order, attempt := e.order(), e.attempt
	e.beside.Go(func() {
		defer cancel(nil)
		e.dialOut(ctx, d, order, attempt)
	})
}

// order returns the destinations in the order of trying.
func (e *engine) order() []string {
	if len(e.To) == 0 {
		return []string{""}
	}
	order := slices.Clone(e.To)
	if n := slices.Index(order, e.last); n > 0 && !e.KeepOrder {
		order = slices.Insert(slices.Delete(order, n, n+1), 0, e.last)
	}
	return order
}

// dialOut tries the destinations, and becomes the call of the one that answers.
func (e *engine) dialOut(ctx context.Context, d *dialRun, order []string, attempt int) {
	var errs []error
	for _, to := range order {
		e.log.Debug("dialling", "to", to, "attempt", attempt)
		l, err := e.dialOne(ctx, to)
		if err == nil {
			c := newCall(e.ctx, l)
			c.dialled, c.to, c.name = true, to, e.User
			e.later(func() { e.opened(d, c) })
			e.runCall(c)
			e.wired.ports.give(e.Interface)
			return
		}
		if len(order) > 1 {
			err = fmt.Errorf("%s: %w", to, err)
		}
		errs = append(errs, err)
		if ctx.Err() != nil || permanent(err) {
			break
		}
	}
	err := errs[0]
	if len(errs) > 1 {
		err = errors.Join(errs...)
	}
	e.wired.ports.give(e.Interface)
	e.later(func() { e.dialFailed(d, err) })
}

// dialOne makes one call.
func (e *engine) dialOne(ctx context.Context, to string) (tunnel.Link, error) {
	e.n.dials.Add(1)
	ctx, cancel := context.WithTimeout(ctx, orDefault(e.Timeout, defaultTimeout))
	defer cancel()
	var l tunnel.Link
	err := e.keepOutside(ctx, to)
	if err == nil {
		if l, err = e.Dial(ctx, to); err == nil && l == nil {
			err = errors.New("demanddial: Dial returned no link and no error")
		}
	}
	if err != nil {
		e.n.failed.Add(1)
	}
	return l, err
}

// keepOutside sees to it that the way to a destination does not lead through the tunnel that goes there. What Set.Add finds
// in addresses is found here in names, whose addresses may be others each time.
func (e *engine) keepOutside(ctx context.Context, to string) error {
	if a, ok := literal(to); ok {
		if e.Exclude != nil {
			return e.outside(to, a)
		}
		return nil // Set.Add has looked
	}
	if e.Lookup == nil || to == "" {
		return nil
	}
	addrs, err := e.Lookup(ctx, hostOf(to))
	if err != nil {
		return fmt.Errorf("demanddial: look %s up: %w", to, err)
	}
	for _, a := range addrs {
		if err := e.outside(to, a.Unmap()); err != nil {
			return err
		}
	}
	return nil
}

// outside keeps an address outside the tunnel, or says that Routes lead into it.
func (i *Interface) outside(who string, a netip.Addr) error {
	if i.Exclude != nil {
		if err := i.Exclude(a); err != nil {
			return fmt.Errorf("demanddial: keep %v outside the tunnel: %w", a, err)
		}
		return nil
	}
	for _, r := range i.Routes {
		if r.Prefix.Contains(a) {
			return fmt.Errorf("demanddial: %s is %v, which the route %v of interface %s itself covers: the tunnel would go through itself; set Exclude", who, a, r.Prefix, i.Name)
		}
	}
	return nil
}

// outer returns the outer address of a call that Routes cover, unless it was looked at before it was dialled.
func (i *Interface) outer(c *call) (a netip.Addr, covered bool) {
	if _, lit := literal(c.to); c.dialled && (lit || i.Lookup != nil) || i.Exclude == nil && i.wired.table == nil {
		return a, false // or nobody has said that Table is the system's, by which the call goes as well
	}
	x, ok := tunnel.As[interface{ Outer() netip.Addr }](c.link)
	if !ok {
		return a, false
	}
	a = x.Outer().Unmap().WithZone("")
	return a, slices.ContainsFunc(i.Routes, func(r Route) bool { return r.Prefix.Contains(a) })
}

// hostOf returns a destination without its port.
func hostOf(to string) string {
	if host, _, err := net.SplitHostPort(to); err == nil {
		return host
	}
	return to
}

// literal returns the address of a destination that is one: 192.0.2.1, 192.0.2.1:443, 2001:db8::1, [2001:db8::1]:443.
func literal(to string) (netip.Addr, bool) {
	to = hostOf(to)
	if n := len(to); n > 2 && to[0] == '[' && to[n-1] == ']' {
		to = to[1 : n-1]
	}
	a, err := netip.ParseAddr(to)
	return a.Unmap(), err == nil
}

// opened has a call that this end dialled.
func (e *engine) opened(d *dialRun, c *call) {
	if e.dial != d || e.over != nil {
		c.refuse(errHungUp) // nobody wants it any more
		return
	}
	e.dial, e.loseAt = nil, time.Time{}
	e.accept(c)
}

// dialFailed has an attempt that did not succeed.
func (e *engine) dialFailed(d *dialRun, err error) {
	if e.dial != d || e.over != nil {
		return
	}
	e.dial, e.loseAt = nil, time.Time{}
	now := time.Now()
	if len(e.calls) > 0 {
		e.log.Debug("dial failed, while the far side has called", "err", err)
		return
	}
	e.note(err, "")
	tries := orDefault(e.Attempts, defaultTries)
	if e.Persistent && e.LockOut == [2]time.Duration{} {
		tries = 1 // it has no lock-out that is worth more attempts before
	}
	if !permanent(err) && (tries < 0 || e.attempt < tries) {
		e.retryAt = now.Add(e.backoff(e.attempt))
		e.log.Info("dial failed", "attempt", e.attempt, "err", err, "again", e.retryAt)
		return
	}
	e.fail(now, err)
}

// fail makes the Interface unreachable for a time: a demand came to nothing.
func (e *engine) fail(now time.Time, err error) {
	e.failures++
	e.attempt, e.wants, e.hand = 0, false, false
	e.takeDemand()
	e.resigned = e.Persistent && permanent(err)
	wait := e.lockOut(e.failures, permanent(err))
	if e.Persistent && e.LockOut == [2]time.Duration{} && !permanent(err) {
		wait = jitter(e.backoff(e.failures))
	}
	e.f.locked = time.Time{}
	if wait > 0 {
		e.f.locked = now.Add(wait)
	}
	e.f.failing = e.Persistent && !e.resigned
	e.log.Warn("unreachable", "err", err, "failures", e.failures, "until", e.f.locked)
	e.answer(err)
}

const (
	firstLockOut = 10 * time.Minute
	longLockOut  = 6 * time.Hour
)

// lockOut returns how long nothing is dialled after the nth failure in a row: the first time, as much more each further
// time, at most (KB193834 has the defaults). A refusal for good is not tried again sooner than by default, whatever is
// configured: it would lock the account.
func (i *Interface) lockOut(n int, forGood bool) time.Duration {
	first, most := orDefault(i.LockOut[0], firstLockOut), orDefault(i.LockOut[1], longLockOut)
	if forGood {
		first, most = max(first, firstLockOut), max(most, firstLockOut)
	}
	if first < 0 {
		return 0
	}
	if n > int(most/first) {
		return most
	}
	return min(first*time.Duration(n), most)
}

const (
	firstBackoff = 10 * time.Second
	longBackoff  = 5 * time.Minute
)

// backoff returns the time between two attempts.
func (i *Interface) backoff(attempt int) time.Duration {
	if i.Backoff != nil {
		return max(i.Backoff(attempt), 0)
	}
	d := firstBackoff
	for n := 1; n < attempt && d < longBackoff; n++ {
		d *= 2
	}
	return min(d, longBackoff)
}

// abortDial gives an attempt, or the wait for the next, up.
func (e *engine) abortDial(why error) {
	if e.dial != nil {
		e.dial.cancel(why)
		e.dial, e.loseAt = nil, time.Time{}
	}
	e.retryAt, e.attempt, e.wants = time.Time{}, 0, false
}
