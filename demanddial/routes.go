package demanddial

import (
	"net/netip"
	"slices"

	"github.com/dialway/dialway/tunnel"
)

// routing is which routes are in the table.
type routing struct {
	static    bool           // those that dial
	connected bool           // those that are there while connected
	far       []netip.Prefix // those of the far side of the call in use
}

// syncRoutes puts routes into the table, or takes them out.
func (e *engine) syncRoutes(static, connected bool) {
	e.put(&e.routing.static, static, false)
	e.put(&e.routing.connected, connected, true)
}

func (e *engine) put(have *bool, want, connected bool) {
	if *have == want {
		return
	}
	*have = want
	if e.wired.turn != nil {
		// One interface after the other: hundreds of them that take turns with the table's lock, route by route, as they do
		// when they start, spend their time in waiting.
		e.wired.turn.Lock()
		defer e.wired.turn.Unlock()
	}
	for _, r := range e.Routes {
		if r.Connected != connected {
			continue
		}
		if want {
			e.table().Insert(r.Prefix, e.Interface, r.Metric)
		} else {
			e.table().Delete(r.Prefix, e.Interface)
		}
	}
}

// routeTo leads what belongs to a call's far side to this Interface: its address, and what its account has. nil takes it
// back. What the Routes have already stays theirs.
func (e *engine) routeTo(c *call) {
	t := e.table()
	if t == nil {
		return
	}
	var want []netip.Prefix
	if c != nil {
		for _, p := range farPrefixes(c) {
			if !slices.ContainsFunc(e.Routes, func(r Route) bool { return r.Prefix.Masked() == p.Masked() }) {
				want = append(want, p)
			}
		}
	}
	for _, p := range want {
		if !slices.Contains(e.far, p) {
			t.Insert(p, e.Interface, 0)
		}
	}
	for _, p := range e.far {
		if !slices.Contains(want, p) {
			t.Delete(p, e.Interface)
		}
	}
	e.far = want
	e.mu.Lock()
	e.known = want
	e.mu.Unlock()
}

// farPrefixes returns what the far side of a call is, by its own account or ours. A link that was dialled names
// everything: what lies behind it is for Routes to say.
func farPrefixes(c *call) (list []netip.Prefix) {
	if !c.dialled {
		return c.link.Prefixes()
	}
	if x, ok := tunnel.As[interface{ PeerAddrs() []netip.Addr }](c.link); ok {
		for _, a := range x.PeerAddrs() {
			if !a.IsLinkLocalUnicast() {
				list = append(list, addrPrefix(a))
			}
		}
	}
	return list
}
