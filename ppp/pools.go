package ppp

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
)

// An AddrClaimer is an AddrPool that is told of the addresses which Grants name, so that it gives them to nobody else.
type AddrClaimer interface {
	AddrPool
	// Claim is Get for a session whose IPv4 address is addr: what it returns may hold addr, and no other IPv4 address.
	Claim(ctx context.Context, pool, user string, addr netip.Addr) ([]netip.Prefix, error)
}

// Pools is the AddrPools of a server by name: Grant.Pool chooses, which RADIUS says as Framed-Pool, and for IPv6 Grant.Pool6
// and Grant.PoolDelegated, if they are there. A name that is not
// there is ErrUnknownPool: who is meant to be apart from others is not put among them. It must not be copied, nor modified
// after its first Get; the pools should not overlap, and what two of them give at once is given once.
type Pools struct {
	Default AddrPool // for Grants without a name; nil refuses them
	Named   map[string]AddrPool

	mu    sync.Mutex
	given map[netip.Prefix]holding
}

// A holding is which pool gave something, by its name, and to how many sessions: a user may claim his address twice.
type holding struct {
	name     string
	from     AddrPool
	sessions int
}

// Get asks the pool of that name.
func (p *Pools) Get(ctx context.Context, pool, user string) ([]netip.Prefix, error) {
	return p.get(ctx, pool, user, netip.Addr{})
}

// Claim asks the pool of that name. Where that is no AddrClaimer, addr is all that the session gets.
func (p *Pools) Claim(ctx context.Context, pool, user string, addr netip.Addr) ([]netip.Prefix, error) {
	return p.get(ctx, pool, user, addr)
}

func (p *Pools) get(ctx context.Context, pool, user string, claimed netip.Addr) ([]netip.Prefix, error) {
	from, ok := p.Named[pool]
	if pool == "" && !ok {
		from, ok = p.Default, p.Default != nil
	}
	if !ok {
		return nil, &PoolError{Pool: pool, User: user, Err: ErrUnknownPool}
	}
	var list []netip.Prefix
	var err error
	if claimed.IsValid() {
		list, err = claim(ctx, from, pool, user, claimed)
	} else {
		list, err = from.Get(ctx, pool, user)
	}
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range list {
		if h, ok := p.given[a]; ok && h.name != pool {
			from.Put(list)
			return nil, &PoolError{Pool: pool, User: user, Addr: a.Addr(), Err: ErrAddressInUse}
		}
	}
	if p.given == nil {
		p.given = make(map[netip.Prefix]holding)
	}
	for _, a := range list {
		p.given[a] = holding{pool, from, p.given[a].sessions + 1}
	}
	return list, nil
}

// claim is AddrClaimer's, of a pool that may not be one.
func claim(ctx context.Context, p AddrPool, pool, user string, addr netip.Addr) ([]netip.Prefix, error) {
	if c, ok := p.(AddrClaimer); ok {
		return c.Claim(ctx, pool, user, addr)
	}
	return nil, nil
}

func (p *Pools) sharesPrefix() bool {
	for _, x := range p.Named {
		if sharesPrefix(x) {
			return true
		}
	}
	return sharesPrefix(p.Default)
}

// Put gives back to the pool that gave.
func (p *Pools) Put(assigned []netip.Prefix) {
	if from := p.let(assigned); from != nil {
		from.Put(assigned)
	}
}

// let forgets that something is given, and returns which pool gave it.
func (p *Pools) let(assigned []netip.Prefix) (from AddrPool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range assigned {
		h, ok := p.given[a]
		if !ok {
			continue
		}
		from = h.from
		if h.sessions--; h.sessions > 0 {
			p.given[a] = h
		} else {
			delete(p.given, a)
		}
	}
	return from
}

// A PoolGroup gives a session of each of its pools: IPv4 addresses of one, IPv6 prefixes of another. It gives all of it or
// nothing. The pools must not overlap.
type PoolGroup []AddrPool

// Get asks all of the pools.
func (g PoolGroup) Get(ctx context.Context, pool, user string) ([]netip.Prefix, error) {
	return g.each(func(p AddrPool) ([]netip.Prefix, error) { return p.Get(ctx, pool, user) })
}

// Claim asks those of the pools that are AddrClaimers.
func (g PoolGroup) Claim(ctx context.Context, pool, user string, addr netip.Addr) ([]netip.Prefix, error) {
	return g.each(func(p AddrPool) ([]netip.Prefix, error) { return claim(ctx, p, pool, user, addr) })
}

func (g PoolGroup) each(get func(AddrPool) ([]netip.Prefix, error)) (list []netip.Prefix, err error) {
	if len(g) == 0 {
		return nil, errors.New("ppp: a group of no address pools")
	}
	for i, p := range g {
		some, err := get(p)
		if err != nil {
			g[:i].Put(list)
			return nil, err
		}
		list = append(list, some...)
	}
	return list, nil
}

// Put gives back to all of the pools, each of which takes what is its own.
func (g PoolGroup) Put(assigned []netip.Prefix) {
	for _, p := range g {
		p.Put(slices.Clone(assigned))
	}
}

func (g PoolGroup) sharesPrefix() bool { return slices.ContainsFunc(g, sharesPrefix) }

// sharesPrefix reports whether a pool may give an address with an interface identifier, which IPV6CP then has to wait for.
func sharesPrefix(p AddrPool) bool {
	s, ok := p.(interface{ sharesPrefix() bool })
	return ok && s.sharesPrefix()
}

func (p *Pool) sharesPrefix() bool { return p.Share }
