package register

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// A registration is what stands in DNS because of us, or may.
type registration struct {
	name    string
	addrs   []netip.Addr
	forward zone
	reverse map[netip.Addr]zone // of addresses whose PTR is ours
}

// register registers name for addrs. old is what is registered. What it returns as reg may stand in DNS, whatever fails.
func (u *updater) register(ctx context.Context, name string, addrs []netip.Addr, old *registration) (reg *registration, list []Record, err error) {
	reg = &registration{name: name, addrs: addrs, reverse: make(map[netip.Addr]zone)}
	var before []netip.Addr
	if old != nil && equal(old.name, name) {
		before = old.addrs
	}
	var server netip.AddrPort
	reg.forward, err = u.findZone(ctx, u.servers, u.r.Server, name, false)
	if err == nil && isTop(reg.forward.name) {
		err = fmt.Errorf("register: %s: the nearest zone is %s: %w", name, reg.forward.name, ErrNoZone)
	}
	if err != nil {
		reg.addrs = nil
	} else {
		server, err = u.claim(ctx, reg.forward, addrs, before)
	}
	for _, a := range addrs {
		kind := "AAAA"
		if a.Is4() {
			kind = "A"
		}
		list = append(list, Record{Kind: kind, Name: name, Addr: a, Server: server, Err: err})
	}
	if err != nil {
		return reg, list, err
	}
	for _, a := range addrs { // a PTR leads to a name that is ours only
		z, server, bad := u.point(ctx, a, name)
		if z.name != "" && !permanent(bad) {
			reg.reverse[a] = z
		}
		list = append(list, Record{Kind: "PTR", Name: name, Addr: a, Server: server, Err: bad})
		err = errors.Join(err, bad)
	}
	return reg, list, err
}

// claimed reports whether a name became ours, though perhaps not every PTR.
func claimed(list []Record) bool { return len(list) > 0 && list[0].Err == nil }

// unregister removes what reg has and keep has not. Either may be nil.
func (u *updater) unregister(ctx context.Context, reg, keep *registration) error {
	if reg == nil {
		return nil
	}
	var gone []netip.Addr
	for _, a := range reg.addrs {
		if keep == nil || !equal(keep.name, reg.name) || !slices.Contains(keep.addrs, a) {
			gone = append(gone, a)
		}
	}
	errs := make(chan error)
	n := 0
	start := func(f func() error) {
		n++
		go func() { errs <- f() }()
	}
	if len(gone) > 0 {
		start(func() error { return u.release(ctx, reg.forward, gone) })
	}
	for a, z := range reg.reverse {
		if keep == nil || !slices.Contains(keep.addrs, a) {
			start(func() error { return u.unpoint(ctx, z, reg.name) })
		}
	}
	var err error
	for range n {
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		return fmt.Errorf("register: removing %s: %w", reg.name, err)
	}
	return nil
}

// join returns what either has, if that is one name.
func join(a, b *registration) (*registration, bool) {
	switch {
	case a == nil:
		return b, true
	case b == nil:
		return a, true
	case !equal(a.name, b.name):
		return nil, false
	}
	both := &registration{a.name, slices.Clone(a.addrs), a.forward, make(map[netip.Addr]zone)}
	if both.forward.name == "" {
		both.forward = b.forward
	}
	for _, x := range b.addrs {
		if !slices.Contains(both.addrs, x) {
			both.addrs = append(both.addrs, x)
		}
	}
	for _, r := range []*registration{a, b} {
		for x, z := range r.reverse {
			both.reverse[x] = z
		}
	}
	return both, true
}
