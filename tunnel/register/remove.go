package register

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Register registers the host for addrs, once: the server's side, for clients that cannot do it themselves.
func (r *Registrar) Register(ctx context.Context, addrs ...netip.Addr) ([]Record, error) {
	name, err := r.fullName("")
	if err == nil && name == "" {
		err = errors.New("register: no full name to register")
	}
	if err != nil {
		return nil, err
	}
	_, list, err := r.updater(nil).register(ctx, name, registrable(addrs), nil)
	return list, err
}

// Remove removes what stands in DNS of hosts that were at these addresses and have left without removing it: the server's
// side. It finds the name by the PTR of each single address, removes that PTR, and of the name the addresses that are
// within the prefixes, with their PTRs; what the name has of others stays, and so do names outside Domain, if that is
// given. If no single address leads to a name, a host may have made itself addresses of a /64: those that have a PTR are
// looked for in DNS, eight at most. Of other prefixes only that is cleared to which a name leads that was found. It returns
// what it has removed.
//
// What stands there for another reason goes as well: give clients addresses, and a /64, for which nothing else is registered.
func (r *Registrar) Remove(ctx context.Context, prefixes ...netip.Prefix) ([]Record, error) {
	return r.remove(ctx, nil, prefixes)
}

// remove removes also what names have of the prefixes, though no PTR leads to them.
func (r *Registrar) remove(ctx context.Context, names []string, prefixes []netip.Prefix) ([]Record, error) {
	u := r.updater(nil)
	find := func(a netip.Addr) error {
		found, err := u.pointed(ctx, a)
		if err != nil {
			return fmt.Errorf("register: looking for the name of %v: %w", a, err)
		}
		for _, n := range found {
			if !slices.ContainsFunc(names, func(x string) bool { return equal(x, n) }) && (r.Domain == "" || within(n, absolute(r.Domain))) {
				names = append(names, n)
			}
		}
		return nil
	}
	for _, p := range prefixes {
		if p.IsSingleIP() {
			if err := find(p.Addr()); err != nil {
				return nil, err
			}
		}
	}
	if len(names) == 0 {
		for _, p := range prefixes {
			if !p.Addr().Is6() || p.Bits() != 64 {
				continue
			}
			made, err := u.walk(ctx, p)
			if err != nil {
				return nil, fmt.Errorf("register: looking for names in %v: %w", p, err)
			}
			for _, a := range made {
				if err := find(a); err != nil {
					return nil, err
				}
				prefixes = append(slices.Clip(prefixes), netip.PrefixFrom(a, 128)) // its PTR goes, too
			}
		}
	}
	var removed []Record
	var errs error
	for _, n := range names[:min(len(names), maxRecords)] {
		list, err := u.removeHost(ctx, n, prefixes)
		removed, errs = append(removed, list...), errors.Join(errs, err)
	}
	return removed, errs
}

// pointed returns the names to which an address leads.
func (u *updater) pointed(ctx context.Context, a netip.Addr) ([]string, error) {
	name := reverse(a)
	for range maxAliases {
		x, _, err := u.ask(ctx, u.servers, name, typePTR)
		if err != nil || x.alias == "" || len(x.names) > 0 {
			if err != nil {
				return nil, err
			}
			return x.names, nil
		}
		name = x.alias
	}
	return nil, nil
}

// removeHost removes of one name what is within prefixes.
func (u *updater) removeHost(ctx context.Context, name string, prefixes []netip.Prefix) (removed []Record, errs error) {
	z, err := u.findZone(ctx, u.servers, u.r.Server, name, false)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr // of the name
	for _, typ := range []uint16{typeA, typeAAAA} {
		x, _, err := u.ask(ctx, u.servers, name, typ)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, x.addrs...)
	}
	m := new(update)
	var gone []netip.Addr
	for _, a := range addrs {
		if mayRemove(a, prefixes) {
			typ, data := addrData(a)
			m.remove(name, typ, data)
			gone = append(gone, a)
		}
	}
	if len(gone) > 0 {
		server, err := u.send(ctx, z, name, m)
		for _, a := range gone {
			kind := "AAAA"
			if a.Is4() {
				kind = "A"
			}
			removed = append(removed, Record{Kind: kind, Name: name, Addr: a, Server: server, Err: err})
		}
		if err != nil {
			return removed, err // the PTRs stay, by which it is found again
		}
		if len(gone) == len(addrs) {
			errs = errors.Join(errs, u.removeID(ctx, z))
		}
	}
	for _, p := range prefixes {
		if p.IsSingleIP() && !slices.Contains(gone, p.Addr()) {
			gone = append(gone, p.Addr()) // the PTR may lead to a name that has another address by now
		}
	}
	for _, a := range gone {
		rz, err := u.findZone(ctx, u.servers, u.r.Server, reverse(a), true)
		if err == nil && isTop(rz.name) {
			continue
		}
		if err == nil {
			err = u.unpoint(ctx, rz, name)
		}
		removed = append(removed, Record{Kind: "PTR", Name: name, Addr: a, Err: err})
		errs = errors.Join(errs, err)
	}
	return removed, errs
}
