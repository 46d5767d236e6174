package ppp

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// SetFixed takes the place of Fixed, also while sessions are open: who has what became somebody else's keeps it until the
// session ends. If it fails nothing has changed.
func (p *Pool) SetFixed(fixed map[string][]netip.Prefix) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.prepare(); err != nil {
		return err
	}
	return p.fix(fixed)
}

// fix checks what is to be fixed, undoes what was, and does it.
func (p *Pool) fix(fixed map[string][]netip.Prefix) error {
	want := make(map[string][]netip.Prefix)
	owner := make(map[netip.Prefix]string)
	for name, list := range fixed {
		user := poolUser(name)
		if user == "" {
			return fmt.Errorf("ppp: address pool %q: fixed for a user of %d bytes", p.Name, len(name))
		}
		for _, a := range list {
			a, err := poolPrefix(a)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(p.kindList(), func(l *lruPool) bool { _, ok := l.number(a); return ok }) {
				return fmt.Errorf("ppp: address pool %q: %v, fixed for %q, is nothing that a session gets here", p.Name, a, name)
			}
			if other, taken := owner[a]; taken && other != user {
				return fmt.Errorf("ppp: address pool %q: %v is fixed for %q and for %q", p.Name, a, other, user)
			} else if !taken {
				owner[a] = user
				want[user] = append(want[user], a)
			}
		}
	}
	for user, list := range p.fixed {
		for _, a := range list {
			if owner[a] != user {
				p.unfixOne(a)
			}
		}
	}
	for _, l := range p.kinds() {
		clear(l.fixedOf)
	}
	for user, list := range want {
		for _, a := range list {
			for _, l := range p.kinds() {
				if n, ok := l.number(a); ok {
					l.fix(n, user)
				}
			}
		}
	}
	p.fixed = want
	return nil
}

func (p *Pool) kindList() []*lruPool { k := p.kinds(); return k[:] }

func (p *Pool) unfixOne(a netip.Prefix) {
	for _, l := range p.kinds() {
		if e := l.find(a); e != nil && e.fixed {
			l.unfix(e)
		}
	}
}

// fix makes a number a user's alone.
func (l *lruPool) fix(n uint64, user string) {
	e := l.entries[n]
	if e == nil {
		e = l.enter(n)
	}
	if !e.fixed {
		if l.set.has(n) {
			l.total--
		}
		if e.users > 0 {
			l.used--
		}
		l.leave(e)
		l.disown(e)
		e.fixed, e.claimed, e.user = true, false, user
	}
	l.fixedOf[user] = append(l.fixedOf[user], e)
}

// unfix makes a number everybody's again.
func (l *lruPool) unfix(e *poolEntry) {
	e.fixed, e.user = false, ""
	has := l.set.has(e.number)
	if has {
		l.total++
	}
	switch {
	case e.users > 0:
		l.used++
	case has:
		e.since = time.Time{}
		e.place = l.free.PushFront(e)
	default:
		delete(l.entries, e.number)
	}
}
