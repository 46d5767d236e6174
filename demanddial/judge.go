package demanddial

import "time"

// A Verdict is what becomes of a packet that is routed to an Interface.
type Verdict uint8

const (
	NoRoute  Verdict = iota // it is not routed to an Interface
	Passes                  // over the link that is up
	Waits                   // for the link that is being dialled
	Dials                   // makes the Interface dial, and waits
	Filtered                // dropped: by Out, or by Demand while there is no link
	Rejected                // answered by ICMP: the Interface is unreachable, or only answers
)

// String returns the name.
func (v Verdict) String() string {
	switch v {
	case NoRoute:
		return "no route"
	case Passes:
		return "passes"
	case Waits:
		return "waits"
	case Dials:
		return "dials"
	case Filtered:
		return "filtered"
	case Rejected:
		return "rejected"
	}
	return "unknown"
}

// judge decides about a packet, for Write and for Explain alike: the order is that of Windows' demand-dial routing (is it
// reachable, is it within the hours, does the filter let it dial), but that what Out drops does not dial either.
func (i *Interface) judge(f *facts, p []byte, at time.Time) Verdict {
	if i.Out != nil && !i.Out(p) {
		return Filtered
	}
	switch f.state(f.reasons(i.Hours, at)) {
	case Up:
		return Passes
	case Dialing:
		return Waits
	case Unreachable:
		return Rejected
	}
	switch {
	case i.Dial == nil || !f.served:
		return Rejected
	case i.Demand != nil && !i.Demand(p):
		return Filtered
	}
	return Dials
}
