package demanddial

import (
	"strings"
	"time"
)

// A State is one of four, [MS-RRASM] section 2.2.1.1.2; see the diagram above Interface.
type State uint8

const (
	Down State = iota
	Dialing
	Up
	Unreachable
)

// String returns the name.
func (s State) String() string {
	switch s {
	case Down:
		return "Disconnected"
	case Dialing:
		return "Connecting"
	case Up:
		return "Connected"
	case Unreachable:
		return "Unreachable"
	}
	return "unknown"
}

// A Reason is a set of reasons for Unreachable, [MS-RRASM] section 2.2.1.2.82.
type Reason uint8

const (
	NoResources Reason = 1 << iota // all ports of the Set are in use
	Disabled                       // by Enable
	DialFailed                     // the last attempt failed, as Status.Err says
	Paused                         // by Set.Pause, or a Persistent interface by Disconnect
	OutOfHours
)

var reasonNames = [...]string{"no resources", "disabled", "previous attempt failed", "paused", "out of hours"}

// String returns the names, joined by commas.
func (r Reason) String() string {
	var names []string
	for n, name := range reasonNames {
		if r&(1<<n) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// facts are what state and packets are decided by. Only Serve's goroutine changes them; Write and Explain read a copy.
type facts struct {
	served   bool
	up       bool
	dialing  bool // or between two attempts
	byHand   bool // and then hours and lock-out do not count
	disabled bool
	paused   bool
	noPort   bool
	locked   time.Time // nothing is dialled by itself before; zero: it may be
	failing  bool      // a Persistent interface has not succeeded since it failed: it dials by itself
}

// reasons returns what keeps an interface from dialling by itself at a time.
func (f *facts) reasons(hours func(time.Time) bool, at time.Time) (r Reason) {
	if f.noPort {
		r |= NoResources
	}
	if f.disabled {
		r |= Disabled
	}
	if at.Before(f.locked) {
		r |= DialFailed
	}
	if f.paused {
		r |= Paused
	}
	if hours != nil && !hours(at) {
		r |= OutOfHours
	}
	return r
}

// state returns the state that the facts are.
func (f *facts) state(r Reason) State {
	switch {
	case f.up:
		return Up
	case f.dialing && (r == 0 || f.byHand):
		return Dialing
	case r != 0:
		return Unreachable
	}
	return Down
}

// routed reports whether the routes that dial are in the table: not while unreachable, and not for an interface that
// cannot dial or, having failed, dials by itself.
func (f *facts) routed(canDial bool, s State) bool {
	return f.served && (f.up || canDial && s != Unreachable && !f.failing)
}

// A Status is an Interface's state and why.
type Status struct {
	State   State
	Reasons Reason // why Unreachable
	Err     error  // of the last attempt or call
	Peer    string // the destination, or "" for a call answered
	Since   time.Time
	Next    time.Time // when the next attempt is made, or allowed; zero: now, or nobody knows
	ByHand  Reason    // the reasons that a Connect overrode for the present call
	Counters
}
