package ppp

import (
	"cmp"
	"math"
	"slices"
)

// A span is a run of numbers, both ends included.
type span struct{ first, last uint64 }

// A spans is a set of numbers.
type spans []span

// merged sorts a set and joins what touches.
func (s spans) merged() (out spans) {
	s = slices.DeleteFunc(s, func(x span) bool { return x.first > x.last })
	slices.SortFunc(s, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	for _, x := range s {
		if n := len(out); n > 0 && (out[n-1].last == math.MaxUint64 || x.first <= out[n-1].last+1) {
			out[n-1].last = max(out[n-1].last, x.last)
			continue
		}
		out = append(out, x)
	}
	return out
}

// without returns a merged set without the numbers of x.
func (s spans) without(x span) (out spans) {
	for _, a := range s {
		if a.last < x.first || x.last < a.first {
			out = append(out, a)
			continue
		}
		if a.first < x.first {
			out = append(out, span{a.first, x.first - 1})
		}
		if a.last > x.last {
			out = append(out, span{x.last + 1, a.last})
		}
	}
	return out
}

// has reports whether a merged set has v.
func (s spans) has(v uint64) bool {
	i, found := slices.BinarySearchFunc(s, v, func(x span, v uint64) int {
		switch {
		case x.last < v:
			return -1
		case x.first > v:
			return 1
		}
		return 0
	})
	return found && i < len(s)
}

// size counts a merged set; one that has every number is said to have one less.
func (s spans) size() (n uint64) {
	for _, x := range s {
		if d := x.last - x.first; d >= math.MaxUint64-n {
			return math.MaxUint64
		} else {
			n += d + 1
		}
	}
	return n
}
