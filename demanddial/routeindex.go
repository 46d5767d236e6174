package demanddial

import (
	"net/netip"
	"slices"
)

// A routeIndex finds the routes of a Set's interfaces. Set.mu guards it.
type routeIndex struct {
	exact  map[netip.Prefix][]owned
	sorted []netip.Prefix // those of exact, by address, then shorter first
}

// An owned is a route with its interface.
type owned struct {
	Route
	of *Interface
}

// add puts the routes of interfaces in.
func (x *routeIndex) add(list []*Interface) {
	if x.exact == nil {
		x.exact = make(map[netip.Prefix][]owned)
	}
	var more []netip.Prefix
	for _, i := range list {
		for _, r := range i.Routes {
			p := r.Prefix.Masked()
			if len(x.exact[p]) == 0 {
				more = append(more, p)
			}
			x.exact[p] = append(x.exact[p], owned{r, i})
		}
	}
	slices.SortFunc(more, comparePrefix)
	x.sorted = merge(x.sorted, more)
}

// remove takes the routes of interfaces out.
func (x *routeIndex) remove(list []*Interface) {
	for _, i := range list {
		for _, r := range i.Routes {
			p := r.Prefix.Masked()
			left := slices.DeleteFunc(x.exact[p], func(o owned) bool { return o.of == i })
			if x.exact[p] = left; len(left) == 0 {
				delete(x.exact, p)
			}
		}
	}
	x.sorted = slices.DeleteFunc(x.sorted, func(p netip.Prefix) bool { return len(x.exact[p]) == 0 })
}

func comparePrefix(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

// merge joins two sorted lists.
func merge(a, b []netip.Prefix) []netip.Prefix {
	if len(b) == 0 {
		return a
	}
	all := make([]netip.Prefix, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if comparePrefix(a[0], b[0]) <= 0 {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return append(append(all, a...), b...)
}

// covering calls f with the routes that hold a prefix whole, the longest first, until it returns false.
func (x *routeIndex) covering(p netip.Prefix, f func(list []owned) bool) {
	for bits := p.Bits(); bits >= 0; bits-- {
		q, err := p.Addr().Prefix(bits)
		if err != nil {
			return
		}
		if list := x.exact[q]; len(list) > 0 && !f(list) {
			return
		}
	}
}

// within calls f with the routes to parts of a prefix.
func (x *routeIndex) within(p netip.Prefix, f func(list []owned)) {
	n, _ := slices.BinarySearchFunc(x.sorted, p, comparePrefix)
	for ; n < len(x.sorted) && p.Contains(x.sorted[n].Addr()); n++ {
		if q := x.sorted[n]; q != p {
			f(x.exact[q])
		}
	}
}

// behind returns the interface whose route is the best to an address, whatever its state; nil: there is none.
func (s *Set) behind(a netip.Addr) (i *Interface) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes.covering(addrPrefix(a.Unmap()), func(list []owned) bool {
		best := list[0]
		for _, r := range list[1:] {
			if r.Metric < best.Metric {
				best = r
			}
		}
		i = best.of
		return false
	})
	return i
}
