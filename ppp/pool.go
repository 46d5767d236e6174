package ppp

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"
)

// DefaultDelegateBits is the length of the prefixes that a Pool delegates: a site's 256 networks (RFC 6177 section 2).
const DefaultDelegateBits = 56

// A Pool hands out addresses of Prefixes and Ranges, the least recently used first, the same one to the same user where
// it can. A user with several sessions has as many addresses. What a session gets is one of each kind that the pool has:
//
//	IPv4       10.8.0.7/32            of Prefixes and Ranges
//	IPv6       2001:db8:0:7::/64      of Prefixes: the link's, which is advertised to the far side
//	           2001:db8::7/128        of Prefixes and Ranges with Share: one address of a /64 that all sessions share
//	delegated  2001:db8:8:700::/56    of Delegate: for the networks behind the far side, which asks by DHCPv6
//
// It is not modified after its first Get, but by SetFixed. The first Get is also what reports a Pool that cannot work: a
// prefix that is none, an IPv6 prefix longer than /64, a File that cannot be read or written. It may be shared; its methods
// may be called from any goroutine. Its memory is that of the addresses in use and of at most 65536 remembered ones of
// each kind, however large the Prefixes are: a pool that remembers so many uses the oldest of them before those that were
// never given.
type Pool struct {
	Name     string         // which Grant.Pool it serves; empty serves all
	Prefixes []netip.Prefix // IPv4: single addresses are given, never the network's and the broadcast address; IPv6: /64s are, or what Share says
	Ranges   []Range        // of IPv4 addresses, all of which are given; with Share of IPv6 addresses, too
	Exclude  []netip.Prefix // not given, with the whole /64, or delegated prefix, of an IPv6 address

	// Share gives a session one address of the /64 that all IPv6 Prefixes and Ranges are in, and tells its far side by
	// IPV6CP the interface identifier that makes it. A far side that makes itself other addresses, as hosts with privacy
	// addresses (RFC 8981) do, does not get through with them; and who shares a /64 sees who else does.
	Share bool

	Delegate     []netip.Prefix // IPv6 prefixes that are cut into those that are delegated, one to each session while there are any
	DelegateBits int            // how long those are, up to 63; 0 means DefaultDelegateBits

	// Fixed is what belongs to users and is never given to others: addresses as a /32, a /64, a prefix to be delegated. It
	// need not be in Prefixes. A user has it in one session at a time; in further ones, what everybody gets. The case of
	// ASCII letters does not count.
	Fixed map[string][]netip.Prefix

	// Rest is how long an address that came back is kept from other users than the one who had it, so that nothing that is
	// still on its way finds somebody else; 0 means not at all. What File says was in use when the process ended rests for
	// 30 seconds at least: the process may not quite have ended.
	Rest time.Duration

	// File remembers users over a restart, and who was connected; empty does not. One process has it at a time: who opens
	// it takes it over.
	File string

	mu        sync.Mutex
	ready     bool
	v4        lruPool
	v6        lruPool
	delegated lruPool
	file      poolFile
	fixed     map[string][]netip.Prefix // as the last SetFixed said
	exhausted uint64
}

// kinds are the pools of a Pool, in the order in which a session gets of them.
func (p *Pool) kinds() [3]*lruPool { return [3]*lruPool{&p.v4, &p.v6, &p.delegated} }

// Get gives what a session of user gets. pool is Grant.Pool. The error is a *PoolError if nothing is left, or if the pool
// is another.
func (p *Pool) Get(ctx context.Context, pool, user string) ([]netip.Prefix, error) {
	return p.get(ctx, pool, user, netip.Addr{})
}

// Claim gives what a session of user gets to whom a Grant gives the IPv4 address addr: what Get gives, with addr in the
// place of another one. While it is in use the pool gives it to nobody else, and afterwards only when nothing else is left.
// It fails with ErrAddressInUse if the pool has given it to somebody else, or it is somebody else's in Fixed. Sessions of
// the same user may have it together: the one that ended may not know yet.
func (p *Pool) Claim(ctx context.Context, pool, user string, addr netip.Addr) ([]netip.Prefix, error) {
	return p.get(ctx, pool, user, addr)
}

func (p *Pool) get(ctx context.Context, pool, user string, claimed netip.Addr) ([]netip.Prefix, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p.Name != "" && pool != "" && pool != p.Name {
		return nil, &PoolError{Pool: pool, User: user, Err: fmt.Errorf("%w: this is %q", ErrUnknownPool, p.Name)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.prepare(); err != nil {
		return nil, err
	}
	name := user
	user = poolUser(user)
	now := time.Now()
	var given []*poolEntry
	for _, l := range p.kinds() {
		var e *poolEntry
		if l == &p.v4 && claimed.IsValid() {
			a := netip.PrefixFrom(claimed, claimed.BitLen())
			if !l.holds(a) {
				continue // not this pool's: nobody gets it here
			}
			if e = l.claim(a, user); e == nil {
				giveBack(given)
				return nil, &PoolError{Pool: p.Name, User: name, Kind: l.kind, Addr: claimed, Err: ErrAddressInUse}
			}
		} else {
			if l.total == 0 && l.fixedOf[user] == nil {
				continue
			}
			e = l.take(user, now, p.Rest)
		}
		if e == nil {
			p.exhausted++
			if l == &p.delegated && len(given) > 0 {
				continue // a far side that is no router does not miss it
			}
			giveBack(given)
			return nil, &PoolError{Pool: p.Name, User: name, Kind: l.kind, Total: l.total, Err: ErrPoolExhausted}
		}
		given = append(given, e)
	}
	if len(given) == 0 && !claimed.IsValid() {
		p.exhausted++
		return nil, &PoolError{Pool: p.Name, User: name, Err: ErrPoolExhausted} // all there is is fixed, for others
	}
	list := make([]netip.Prefix, len(given))
	for i, e := range given {
		list[i] = e.prefix()
	}
	p.file.note(p, given, true)
	return list, nil
}

// atHand reports whether Get answers at once: it waits for no disk.
func (p *Pool) atHand() bool { return p.File == "" }

// giveBack undoes what was taken for nothing.
func giveBack(given []*poolEntry) {
	for _, e := range given {
		e.pool.put(e, time.Time{}) // nobody has had it: it need not rest
	}
}

// Put takes back what Get gave. What is not in use, or not of this pool, is ignored.
func (p *Pool) Put(assigned []netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ready {
		return
	}
	now := time.Now()
	var back []*poolEntry
	for _, a := range assigned {
		for _, l := range p.kinds() {
			if e := l.find(a); e != nil && e.users > 0 {
				if l.put(e, now); e.users == 0 {
					back = append(back, e)
				}
			}
		}
	}
	p.file.note(p, back, false)
}

// Free returns the IPv4 addresses left. Those that rest are among them.
func (p *Pool) Free() int { return int(min(p.Stats().IPv4.Free(), math.MaxInt)) }

// prepare lays out the pool at its first use.
func (p *Pool) prepare() error {
	if p.ready {
		return nil
	}
	l, err := p.layout()
	if err != nil {
		return err
	}
	p.v4 = newLRUPool(kindIPv4, l.v4, 32)
	p.v6 = newLRUPool(kindIPv6, l.v6, l.bits6)
	p.v6.upper = l.shared
	p.delegated = newLRUPool(kindDelegated, l.delegated, l.delegateBits)
	p.fixed = nil
	if err := p.fix(p.Fixed); err != nil {
		return err
	}
	if p.v4.total == 0 && p.v6.total == 0 && p.delegated.total == 0 && len(p.fixed) == 0 {
		return fmt.Errorf("ppp: address pool %q has no address to give", p.Name)
	}
	if err := p.file.load(p); err != nil {
		return err
	}
	p.ready = true
	return nil
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
