package demanddial

import (
	"errors"
	"fmt"
)

// An UnreachableError says why an Interface neither dials nor answers.
type UnreachableError struct {
	Name    string // of the Interface
	Reasons Reason
	Err     error // of the last attempt, where that is a reason
}

// Error returns the reasons.
func (e *UnreachableError) Error() string {
	s := fmt.Sprintf("demanddial: interface %s is unreachable: %v", e.Name, e.Reasons)
	if e.Err != nil {
		s += fmt.Sprintf(": %v", e.Err)
	}
	return s
}

// Unwrap returns Err.
func (e *UnreachableError) Unwrap() error { return e.Err }

// A RefusedError refuses a caller whose kind is switched off, or who may not call this Interface.
type RefusedError struct {
	User   string // as authenticated
	Router bool   // the caller is a router; else a remote-access client
	Why    string
}

// Error returns who was refused and why.
func (e *RefusedError) Error() string {
	kind := "remote-access client"
	if e.Router {
		kind = "router"
	}
	return fmt.Sprintf("demanddial: %s %q is refused: %s", kind, e.User, e.Why)
}

var (
	errHungUp   = errors.New("demanddial: hung up by hand")
	errIdle     = errors.New("demanddial: idle")
	errHours    = errors.New("demanddial: the hours are over")
	errLoser    = errors.New("demanddial: both ends dialled at once, and the other call stays")
	errReplaced = errors.New("demanddial: replaced by a newer call")
	errRedial   = errors.New("demanddial: redialled")
	errNoPort   = errors.New("demanddial: all ports are in use")
)

// permanent reports whether there is no point in dialling again with the same credentials: trying could lock an account.
// It is asked by method, since this package knows no protocol.
func permanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}

// lost reports whether a link broke, rather than being hung up by the far side. Who does not say is taken to have broken.
func lost(err error) bool {
	var l interface{ Lost() bool }
	return !errors.As(err, &l) || l.Lost()
}
