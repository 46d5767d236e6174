package policies

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/dialway/dialway/examples/internal/conf"
	"github.com/dialway/dialway/ppp"
)

// An Applied is the Value of a Grant that a policy has decided about.
type Applied struct {
	Policy  string   // its name
	Filters []string // to be told to a remote access server
	Value   any      // as it was before: an *access.Account
}

// settings reads what a policy gives.
func (s *Set) settings(t *conf.Table, name string, remote bool) func(g *ppp.Grant) {
	var steps []func(g *ppp.Grant)
	add := func(f func(g *ppp.Grant)) { steps = append(steps, f) }
	if v := t.Str("pool", ""); v != "" {
		add(func(g *ppp.Grant) { g.Pool = v })
	}
	if v := conf.List(t, "dns", netip.ParseAddr); v != nil {
		add(func(g *ppp.Grant) { g.DNS = v })
	}
	if v := conf.List(t, "nbns", netip.ParseAddr); v != nil {
		add(func(g *ppp.Grant) { g.NBNS = v })
	}
	if v := conf.List(t, "routes", conf.Prefix); v != nil {
		// A copy: the account's own list is shared.
		add(func(g *ppp.Grant) { g.Prefixes = append(slices.Clip(g.Prefixes), v...) })
	}
	if v := t.Duration("session-timeout", ""); v > 0 {
		add(func(g *ppp.Grant) { g.SessionTimeout = v })
	}
	if v := t.Duration("idle-timeout", ""); v > 0 {
		add(func(g *ppp.Grant) { g.IdleTimeout = v })
	}
	if v := t.Duration("interim", ""); v > 0 {
		add(func(g *ppp.Grant) { g.Interim = v })
	}
	in, out := t.Number64("rate-in", 8000, 1<<50), t.Number64("rate-out", 8000, 1<<50)
	if in > 0 {
		add(func(g *ppp.Grant) { g.RateIn = ppp.Rate{Bits: uint64(in)} })
	}
	if out > 0 {
		add(func(g *ppp.Grant) { g.RateOut = ppp.Rate{Bits: uint64(out)} })
	}
	if v := t.Number("max-sessions", 1, 1<<20); v > 0 {
		add(func(g *ppp.Grant) { g.MaxSessions = v })
	}
	if t.Bool("replace", false) {
		add(func(g *ppp.Grant) { g.Replace = true })
	}
	if v := t.Str("message", ""); v != "" {
		add(func(g *ppp.Grant) { g.Message = v })
	}
	filters := t.Texts("filters")
	if !remote {
		for _, id := range filters {
			f := s.filters[id]
			if f == nil {
				t.Bad("filters", "there is no [[filter]] %q", id)
				continue
			}
			if !strings.HasSuffix(id, ".out") {
				add(func(g *ppp.Grant) { g.In = both(g.In, f.Match) })
			}
			if !strings.HasSuffix(id, ".in") {
				add(func(g *ppp.Grant) { g.Out = both(g.Out, f.Match) })
			}
		}
	}
	return func(g *ppp.Grant) {
		for _, f := range steps {
			f(g)
		}
		g.Value = &Applied{name, filters, g.Value}
	}
}

// both lets pass what a and b do.
func both(a, b func(packet []byte) bool) func(packet []byte) bool {
	if a == nil {
		return b
	}
	return func(packet []byte) bool { return a(packet) && b(packet) }
}
