package demanddial

import (
	"context"
	"errors"
	"time"
)

// Connect dials as if by demand and waits until the Interface is up, or the demand has failed; ctx bounds the waiting.
//
// It overrides Hours and lock-out, forgets failures, and takes back the Disconnect of a Persistent interface; Status.ByHand
// tells what it overrode. It does not override Enable(false), Set.Pause or a want of ports: then it returns an
// *UnreachableError. What Hours or lock-out hold back stays so for everything that is not done by hand.
func (i *Interface) Connect(ctx context.Context) error {
	done := make(chan error, 1)
	i.inbox.post(func(e *engine) { e.connect(done) })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-i.inbox.gone():
		return errClosed
	}
}

func (e *engine) connect(done chan error) {
	now := time.Now()
	refuse := Disabled * toReason(!e.enabled())
	if e.suspends.Load() {
		refuse |= Paused
	}
	switch {
	case e.over != nil:
		done <- e.over
	case e.current != nil:
		done <- nil
	case e.Dial == nil:
		done <- errors.New("demanddial: interface " + e.Name + " only answers")
	case refuse != 0:
		done <- &UnreachableError{Name: e.Name, Reasons: refuse}
	default:
		if !e.hand {
			e.overridden = e.reasons(now) & (OutOfHours | DialFailed | Paused)
			e.log.Info("connect by hand", "overrides", e.overridden)
		}
		e.forgive()
		e.hand = true
		e.waiters = append(e.waiters, done)
		if !e.retryAt.IsZero() {
			e.retryAt, e.attempt = now, 0
		}
	}
}

func toReason(b bool) Reason {
	if b {
		return 1
	}
	return 0
}

// Disconnect hangs up, and gives up what is being dialled. The next packet dials again, but not for a Persistent
// interface: that stays down until Connect, Enable or a call of the far side.
func (i *Interface) Disconnect() {
	i.inbox.post(func(e *engine) {
		e.log.Info("disconnect by hand")
		e.hangUp(errHungUp)
		e.stopped = e.Persistent
	})
}

// Redial gives up the present link, or what is being dialled, and dials at once, forgetting back-off: the network has
// changed. The old link says its goodbye meanwhile, which nobody waits for. An Interface that has no link and wants none
// only forgets.
func (i *Interface) Redial() {
	i.inbox.post(func(e *engine) {
		stopped, active := e.stopped, len(e.calls) > 0 || e.busy()
		for len(e.calls) > 0 {
			e.hangUpCall(e.calls[len(e.calls)-1], errRedial)
		}
		e.abortDial(errRedial)
		e.forgive()
		e.stopped, e.wants = stopped, active
	})
}

// Enable is the administrative state: an Interface that is disabled hangs up, does not dial, and is no router's to Match.
// Enabling forgets failures. It may be called before Serve.
func (i *Interface) Enable(on bool) {
	state := int32(off)
	if on {
		state = isOn
	}
	i.disabled.Store(state)
	i.inbox.post(func(e *engine) {
		if on {
			e.forgive()
		}
	})
}

// States of Interface.disabled, whose zero means that the field Disabled holds.
const (
	isOn = 1
	off  = 2
)

func (i *Interface) enabled() bool {
	switch i.disabled.Load() {
	case isOn:
		return true
	case off:
		return false
	}
	return !i.Disabled
}

// suspend is a Set's: nothing is dialled and no call taken until it is taken back.
func (i *Interface) suspend(on bool) {
	i.suspends.Store(on)
	i.inbox.wake()
}
