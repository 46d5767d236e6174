package demanddial

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/dialway/dialway/internal/packet"
	"github.com/dialway/dialway/tunnel"
)

// A Decision is an explanation.
type Decision struct {
	Interface *Interface // nil: none, or none whose routes are there
	Route     Route
	Verdict   Verdict
	Dials     bool
	Why       []string // in the order of the checks
}

// A path is a route and the interface it leads to, as they are at some time.
type path struct {
	owned
	facts   facts
	reasons Reason
	there   bool // it is in the table
}

// Explain says what would become of a packet that the host, or a link, sends at a time, without doing it. What is up, being
// dialled, locked out or disabled is so as it is now; hours and lock-out are those of that time. It asks what Write asks. A
// Set that is not served is explained as if it had just begun to be.
func (s *Set) Explain(p []byte, at time.Time) (d Decision) {
	say := func(format string, args ...any) { d.Why = append(d.Why, fmt.Sprintf(format, args...)) }
	p, src, dst := addressesOf(p)
	switch {
	case p == nil:
		say("it is no IP packet")
		return d
	case !routable(src) || !routable(dst):
		say("%v to %v: such addresses are not routed", src, dst)
		return d
	}
	if hop := s.Router.Routes.Lookup(dst); hop != nil && !s.has(hop) {
		say("%v is routed to something that is no interface of this Set", dst)
		return d
	}
	best := s.best(dst, at, say)
	if best == nil {
		say("%v is routed nowhere", dst)
		return d
	}
	i := best.of
	d.Interface, d.Route = i, best.Route
	say("%v is routed to interface %s by %v, metric %d", dst, i.Name, best.Prefix, best.Metric)
	if len(p) > i.MTU() && !mayFragment(p) {
		say("it has %d bytes, %s takes %d, and it must not be fragmented: its sender is told", len(p), i.Name, i.MTU())
		d.Verdict = Rejected
		return d
	}
	d.Verdict = i.judge(&best.facts, p, at)
	d.Dials = d.Verdict == Dials
	s.reason(&d, best, p, say)
	return d
}

// reason adds what the verdict is due to, in the order in which it is asked.
func (s *Set) reason(d *Decision, b *path, p []byte, say func(string, ...any)) {
	i := b.of
	if i.Out != nil {
		if !i.Out(p) {
			say("the filter of what goes out drops it")
			return
		}
		say("the filter of what goes out passes it")
	}
	state := b.facts.state(b.reasons)
	if b.reasons != 0 && state != Up {
		say("%s is %v: %v", i.Name, state, b.reasons)
	} else {
		say("%s is %v", i.Name, state)
	}
	switch d.Verdict {
	case Passes:
		say("it goes over the link")
		return
	case Waits:
		say("it waits for the link that is being dialled")
		return
	case Rejected:
		if state == Down {
			say("%s only answers", i.Name)
		}
		say("it is answered by ICMP: unreachable")
		return
	}
	if i.Hours != nil {
		say("it is within the dial-out hours")
	}
	switch {
	case i.Demand == nil:
		say("any packet may dial")
	case d.Verdict == Filtered:
		say("the demand filter does not let it dial: it is dropped")
		return
	default:
		say("the demand filter lets it dial")
	}
	if len(i.To) > 0 {
		say("it dials %v", i.To)
	} else {
		say("it dials")
	}
}

// best returns the route that is in the table at a time, if it is as now but for hours and lock-out. It says which better
// ones are not there, and why.
func (s *Set) best(dst netip.Addr, at time.Time, say func(string, ...any)) (best *path) {
	paths := s.paths(dst.Unmap(), at)
	inUse := s.Router.Routes.Lookup(dst)
	for _, x := range paths {
		if x.there && (best == nil || x.beats(best, inUse)) {
			best = &x
		}
	}
	for _, x := range paths {
		switch {
		case x.there || best != nil && x.Prefix.Bits() < best.Prefix.Bits():
		case x.Connected:
			say("%v would lead to interface %s while that is connected", x.Prefix, x.of.Name)
		case x.reasons != 0:
			say("%v would lead to interface %s, but that is unreachable, and its routes are withdrawn: %v", x.Prefix, x.of.Name, x.reasons)
		case x.of.Dial == nil:
			say("%v would lead to interface %s, which only answers, and is not connected", x.Prefix, x.of.Name)
		default:
			say("%v would lead to interface %s, which is not connected, and dials by itself", x.Prefix, x.of.Name)
		}
	}
	return best
}

// beats reports whether a table would rather use x. Which of equals is the newest, only the table knows.
func (x *path) beats(best *path, inUse tunnel.PacketWriter) bool {
	switch {
	case x.Prefix.Bits() != best.Prefix.Bits():
		return x.Prefix.Bits() > best.Prefix.Bits()
	case x.Metric != best.Metric:
		return x.Metric < best.Metric
	}
	i, ok := inUse.(*Interface)
	return ok && i == x.of
}

// paths returns the routes to an address, of interfaces and of the far sides of their calls.
func (s *Set) paths(dst netip.Addr, at time.Time) (list []path) {
	add := func(o owned) {
		x := path{owned: o}
		if x.facts, _ = o.of.snapshot(); !x.facts.served {
			x.facts = facts{served: true, disabled: !o.of.enabled(), paused: o.of.suspends.Load()}
		}
		x.reasons = x.facts.reasons(o.of.Hours, at)
		x.there = x.facts.up
		if !o.Connected {
			x.there = x.facts.routed(o.of.Dial != nil, x.facts.state(x.reasons))
		}
		list = append(list, x)
	}
	s.mu.Lock()
	s.routes.covering(addrPrefix(dst), func(l []owned) bool {
		for _, o := range l {
			add(o)
		}
		return true
	})
	members := s.members
	s.mu.Unlock()
	for _, m := range members {
		_, known := m.snapshot()
		for _, p := range known {
			if p.Contains(dst) {
				add(owned{Route{Prefix: p, Connected: true}, m.Interface})
			}
		}
	}
	return list
}

// has reports whether a next hop is an interface of the Set.
func (s *Set) has(hop any) bool {
	i, ok := hop.(*Interface)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.members {
		if m.Interface == i {
			return true
		}
	}
	return false
}

// addressesOf cuts a packet to its length; nil: it is none.
func addressesOf(b []byte) (p []byte, src, dst netip.Addr) {
	if v4, ok := packet.ParseIPv4(b); ok {
		return v4, v4.Src(), v4.Dst()
	}
	if v6, ok := packet.ParseIPv6(b); ok {
		return v6, v6.Src(), v6.Dst()
	}
	return nil, src, dst
}

func mayFragment(p []byte) bool {
	v4, ok := packet.ParseIPv4(p)
	return ok && !v4.DF() // RFC 8200 section 4.5: only the source of an IPv6 packet fragments it
}

// routable reports whether an address is one that a Router routes.
func routable(a netip.Addr) bool {
	return a.IsGlobalUnicast() // not loopback, multicast, link-local, unspecified or the broadcast address
}
