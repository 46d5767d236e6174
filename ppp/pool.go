package ppp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
)

// ErrPoolExhausted says that every address of a pool is given.
var ErrPoolExhausted = errors.New("ppp: address pool exhausted")

// A Pool hands out addresses of Prefixes, the least recently used first, the same one to the same user where it can. A
// user with several sessions has as many addresses. Where Prefixes has both families, a session gets one of each.
//
// It is not modified after its first Get, which is also what reports a Pool that cannot work: a prefix that is none, an
// IPv6 prefix longer than /64, a File that cannot be read or written. It may be shared; its methods may be called from
// any goroutine. Its memory is that of the addresses in use and of at most 65536 remembered ones, however large the
// Prefixes are: a pool that remembers so many uses the oldest of them before those that were never given.
type Pool struct {
	Name     string         // which Grant.Pool it serves; empty serves all
	Prefixes []netip.Prefix // IPv4: single addresses are given, never the network's and the broadcast address; IPv6: /64s are
	Exclude  []netip.Prefix // not given, with the whole /64 of an IPv6 address
	File     string         // remembers users over a restart; empty does not

	mu    sync.Mutex
	ready bool
	v4    lruPool
	v6    lruPool
	file  poolFile
}

// Get gives what a session of user gets: an address as a /32, a /64, or both. pool is Grant.Pool. An error that is
// ErrPoolExhausted says that nothing is left.
func (p *Pool) Get(ctx context.Context, pool, user string) ([]netip.Prefix, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p.Name != "" && pool != "" && pool != p.Name {
		return nil, fmt.Errorf("ppp: address pool %q does not serve %q", p.Name, pool)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.prepare(); err != nil {
		return nil, err
	}
	user = poolUser(user)
	var given []*poolEntry
	for _, l := range []*lruPool{&p.v4, &p.v6} {
		if l.total == 0 {
			continue
		}
		e := l.take(user)
		if e == nil {
			for _, e := range given {
				e.pool.put(e)
			}
			return nil, fmt.Errorf("%w: pool %q, %s, all %d in use", ErrPoolExhausted, p.Name, l.what, l.total)
		}
		given = append(given, e)
	}
	list := make([]netip.Prefix, len(given))
	for i, e := range given {
		list[i] = e.prefix()
	}
	p.file.note(p, user, list)
	return list, nil
}

// Put takes back what Get gave. What is not in use, or not of this pool, is ignored.
func (p *Pool) Put(assigned []netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range assigned {
		for _, l := range []*lruPool{&p.v4, &p.v6} {
			if e := l.find(a); e != nil && e.used {
				l.put(e)
			}
		}
	}
}

// Free returns the IPv4 addresses left.
func (p *Pool) Free() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.prepare() != nil {
		return 0
	}
	return int(min(p.v4.total-p.v4.used, math.MaxInt))
}

// prepare lays out the pool at its first use.
func (p *Pool) prepare() error {
	if p.ready {
		return nil
	}
	var v4, v6, edges spans
	for _, q := range p.Prefixes {
		q, err := poolPrefix(q)
		switch {
		case err != nil:
			return err
		case q.Addr().Is4():
			v4 = append(v4, all4(q))
			if q.Bits() < 31 { // a /31 has neither network nor broadcast address (RFC 3021)
				s := all4(q)
				edges = append(edges, span{s.first, s.first}, span{s.last, s.last})
			}
		case q.Bits() > 64:
			return fmt.Errorf("ppp: address pool %q: %v is smaller than the /64 that a session gets", p.Name, q)
		default:
			v6 = append(v6, nets6(q))
		}
	}
	v4, v6 = v4.merged(), v6.merged()
	for _, e := range edges {
		v4 = v4.without(e)
	}
	for _, q := range p.Exclude {
		q, err := poolPrefix(q)
		switch {
		case err != nil:
			return err
		case q.Addr().Is4():
			v4 = v4.without(all4(q))
		default:
			v6 = v6.without(nets6(q)) // of a /64 in which something is excluded, nothing is given
		}
	}
	if len(v4) == 0 && len(v6) == 0 {
		return fmt.Errorf("ppp: address pool %q has no address to give", p.Name)
	}
	p.v4 = newLRUPool("IPv4", v4, 32)
	p.v6 = newLRUPool("IPv6", v6, 64)
	if err := p.file.load(p); err != nil {
		return err
	}
	p.ready = true
	return nil
}

// poolPrefix checks a prefix, masks it, and takes IPv4 out of IPv6.
func poolPrefix(q netip.Prefix) (netip.Prefix, error) {
	if q.IsValid() && q.Addr().Is4In6() && q.Bits() >= 96 {
		q = netip.PrefixFrom(q.Addr().Unmap(), q.Bits()-96)
	}
	if !q.IsValid() || q.Addr().Is4In6() {
		return q, fmt.Errorf("ppp: address pool: %v is not a prefix", q)
	}
	return q.Masked(), nil
}

// maxPoolUser bounds the names that are remembered.
const maxPoolUser = 255

// poolUser is the key under which a user is remembered: accounts are found whatever the case. A name that is too long
// is nobody's.
func poolUser(user string) string {
	if len(user) > maxPoolUser {
		return ""
	}
	return lowerASCII(user)
}

// give restores what a file remembers: the address is free, and its user's.
func (p *Pool) give(a netip.Prefix, user string) {
	for _, l := range []*lruPool{&p.v4, &p.v6} {
		l.restore(a, user)
	}
}
