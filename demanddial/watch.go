package demanddial

import (
	"context"
	"iter"
	"net/netip"
	"time"

	"github.com/dialway/dialway/internal/hours"
)

// watched is the Status for others. Interface.mu guards it.
type watched struct {
	status  *Status        // nil before Serve
	changed chan struct{}  // closed at the next change; nil: nobody watches
	known   []netip.Prefix // routes to the far side of the call in use
}

// report is what the engine has told.
type report struct {
	err        error
	peer       string
	rev        int // of err and peer, which cannot be compared
	told       told
	opens      time.Time // when Hours next begin
	opensKnown bool
}

type told struct {
	state   State
	reasons Reason
	rev     int
	next    time.Time
	byHand  Reason
}

// note records the outcome of the last attempt or call.
func (e *engine) note(err error, peer string) {
	e.err, e.peer = err, peer
	e.rev++
}

// tell publishes the Status if it has changed.
func (e *engine) tell(now time.Time, s State, r Reason) {
	if s != Unreachable {
		r = 0
	}
	t := told{s, r, e.rev, e.nextAttempt(now, s, r), e.byHand * toReason(s == Up)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.status != nil && t == e.told {
		return
	}
	st := &Status{State: s, Reasons: r, Err: e.err, Peer: e.peer, Since: now, Next: t.next, ByHand: t.byHand}
	if e.status != nil && e.status.State == s {
		st.Since = e.status.Since
	}
	if s != Up {
		st.Peer = ""
	}
	if e.status == nil || e.status.State != s || e.status.Reasons != r {
		e.log.Debug("state", "is", s, "reasons", r, "err", e.err)
	}
	e.told, e.status = t, st
	if e.changed != nil {
		close(e.changed)
		e.changed = nil
	}
}

// week is how far ahead the begin of Hours is looked for, and a day more for clocks that are changed.
const week = 8 * 24 * time.Hour

// nextAttempt returns Status.Next.
func (e *engine) nextAttempt(now time.Time, s State, r Reason) (next time.Time) {
	switch {
	case s == Dialing:
		return e.retryAt
	case s != Unreachable || r&(Disabled|Paused|NoResources) != 0:
		return time.Time{}
	}
	next = e.f.locked
	if r&OutOfHours != 0 {
		if !e.opensKnown {
			opens, ok := hours.NextChange(e.Hours, now, week)
			if !ok {
				opens = time.Time{}
			}
			e.opens, e.opensKnown = opens, true
		}
		if e.opens.After(next) || e.opens.IsZero() {
			next = e.opens
		}
	}
	return next
}

// Status returns the state now.
func (i *Interface) Status() Status {
	st, _ := i.watch(false)
	return st
}

// watch returns the Status, and a channel that is closed when it changes.
func (i *Interface) watch(more bool) (st Status, changed chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.status != nil {
		st = *i.status
	} else if !i.enabled() {
		st.State, st.Reasons = Unreachable, Disabled
	}
	st.Counters = i.n.load()
	if more {
		if i.changed == nil {
			i.changed = make(chan struct{})
		}
		changed = i.changed
	}
	return st, changed
}

// Watch yields the Status now and on every change until ctx ends; a loop that is slow misses what was in between, never
// the latest.
func (i *Interface) Watch(ctx context.Context) iter.Seq[Status] {
	return func(yield func(Status) bool) {
		for {
			st, changed := i.watch(true)
			if !yield(st) {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}
