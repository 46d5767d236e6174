package ppp

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// An addrState is the far side's addresses: from the Grant, or from the pool, which may take its time.
type addrState struct {
	asking bool
	done   bool
	addr   netip.Addr       // IPv4; invalid: none
	six    []netip.Prefix   // IPv6 prefixes from the pool
	back   [][]netip.Prefix // to be put back, once
}

// An assignment is an AddrPool's answer.
type assignment struct {
	got  []netip.Prefix   // what of it is for the far side
	back [][]netip.Prefix // all of it: once for each Get
	err  error
}

// needAddress reports whether the far side's address is still being fetched, and fetches it when it is wanted: always
// for a caller, for others when they ask.
func (c *Conn) needAddress(wanted bool) (wait bool) {
	s := &c.addr
	switch {
	case s.done:
		return false
	case s.asking:
		return true
	}
	g := c.grant.Load()
	var claimed netip.Addr
	if g != nil && g.Addr.Is4() {
		claimed, s.addr = g.Addr, g.Addr
	}
	claimer, ok := c.cfg.Pool.(AddrClaimer)
	if c.cfg.Pool == nil || claimed.IsValid() && !ok {
		s.done = true
		return false
	}
	if !wanted {
		return false
	}
	s.asking = true
	pool, user, own := c.cfg.Pool, c.auth.user, c.cfg.Addr
	fetch := func(ctx context.Context) {
		a := new(assignment)
		a.err = a.ask(g, func(name string) ([]netip.Prefix, error) {
			if claimed.IsValid() {
				return claimer.Claim(ctx, name, user, claimed)
			}
			return getAddress(ctx, pool, name, user, own)
		})
		if a.err != nil {
			for _, list := range a.back {
				pool.Put(list)
			}
		}
		c.pooled.Store(a)
	}
	if p, ok := pool.(*Pool); ok && p.atHand() {
		fetch(context.Background())
		c.woken.Store(true)
		return true
	}
	var ctx context.Context
	ctx, c.stop = context.WithCancel(context.Background())
	c.goBeside(ctx, fetch)
	return true
}

// ask gets of each pool that a Grant names the kinds that it is named for. What a pool gives beside those is nobody's until
// the session ends.
func (a *assignment) ask(g *Grant, get func(name string) ([]netip.Prefix, error)) error {
	var names [3]string // for IPv4, IPv6, and what is delegated
	if g != nil {
		names = [...]string{g.Pool, cmp.Or(g.Pool6, g.Pool), cmp.Or(g.PoolDelegated, g.Pool6, g.Pool)}
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		list, err := get(name)
		if err != nil {
			return err
		}
		a.back = append(a.back, list)
		for _, p := range list {
			if names[kindOf(p)] == name {
				a.got = append(a.got, p)
			}
		}
	}
	return nil
}

// kindOf tells IPv4, IPv6 of the link, and what is delegated apart.
func kindOf(p netip.Prefix) int {
	switch {
	case p.Addr().Is4():
		return 0
	case p.Bits() >= 64:
		return 1
	}
	return 2
}

// getAddress asks the pool; this end's own address is not for the far side, even if the pool holds it.
func getAddress(ctx context.Context, pool AddrPool, name, user string, own netip.Addr) ([]netip.Prefix, error) {
	got, err := pool.Get(ctx, name, user)
	if err != nil || mayGive(holds(got, own)) {
		return got, err
	}
	defer pool.Put(got)
	again, err := pool.Get(ctx, name, user)
	if err == nil && !mayGive(holds(again, own)) {
		defer pool.Put(again)
		return nil, ErrPoolExhausted
	}
	return again, err
}

func holds(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Addr() == a && p.IsSingleIP() })
}

// release puts back what the pool gave, also what came too late.
func (c *Conn) release() {
	if a := c.pooled.Swap(nil); a != nil && a.err == nil {
		c.addr.back = append(c.addr.back, a.back...)
	}
	for _, list := range c.addr.back {
		c.cfg.Pool.Put(list)
	}
	c.addr.back = nil
}

// assigned takes the pool's answer.
func (c *Conn) assigned(now time.Time, a *assignment) {
	s := &c.addr
	s.asking, s.done = false, true
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
	if a.err == nil {
		s.back = a.back
		for _, p := range a.got {
			if p.Addr().Is4() {
				s.addr = p.Addr()
				continue
			}
			s.six = append(s.six, p)
			if p.IsSingleIP() {
				c.ipv6cp.assign(p.Addr(), now)
			}
		}
	} else if c.phase < phaseTerminate {
		c.log.Warn("ppp: no address", "id", c.call.ID, "user", c.auth.user, "why", a.err)
		c.end(now, &NegotiationError{Phase: "IPCP", Ours: "an address of the pool", Err: a.err, Hint: "give the user an address, or the pool more"})
		return
	}
	c.ipcp.recheck(now)
	c.ipv6cp.recheck(now)
	c.checkOpen(now)
}

// peerAddr is the IPv4 address that the far side gets; invalid: none.
func (c *Conn) peerAddr() netip.Addr { return c.addr.addr }

// nameServers is what the far side is told when it asks.
func (c *Conn) nameServers() (dns, nbns []netip.Addr) {
	dns, nbns = c.cfg.DNS, c.cfg.NBNS
	if g := c.grant.Load(); g != nil {
		if g.DNS != nil {
			dns = g.DNS
		}
		if g.NBNS != nil {
			nbns = g.NBNS
		}
	}
	return only4(dns), only4(nbns)
}

// only4: IPCP can name IPv4 servers only (RFC 1877).
func only4(list []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(list), func(a netip.Addr) bool { return !a.Is4() })
}

// Prefixes returns what the far side is sent, and may send from: at a server its address, Grant.Prefixes, the pool's
// IPv6 prefixes and what Give gave, at a client everything.
func (c *Conn) Prefixes() []netip.Prefix {
	i := c.info.Load()
	if i == nil {
		return nil
	}
	if !c.server {
		return everything(i)
	}
	var list []netip.Prefix
	if i.Peer.Is4() {
		list = append(list, netip.PrefixFrom(i.Peer, 32))
	}
	if g := c.grant.Load(); g != nil {
		list = append(list, g.Prefixes...)
	}
	return append(append(list, i.six...), load(&c.give)...)
}

// Delegable returns those of Prefixes that the pool keeps for networks behind the far side, at a server. They are its own
// as long as the session lasts, but of use to it only while it has asked for them, by DHCPv6: package ipv6conf routes them no
// longer.
func (c *Conn) Delegable() (list []netip.Prefix) {
	if i := c.info.Load(); i != nil && c.server {
		for _, p := range i.six {
			if kindOf(p) == 2 {
				list = append(list, p)
			}
		}
	}
	return list
}

func everything(i *agreed) (list []netip.Prefix) {
	if i.Peer.IsValid() || i.Local.IsValid() {
		list = append(list, netip.PrefixFrom(unspecified4, 0))
	}
	if i.Peer6.IsValid() {
		list = append(list, netip.PrefixFrom(netip.IPv6Unspecified(), 0))
	}
	return list
}

// OnStray makes f be told of the source of a packet that was dropped because that source was not given to the far side:
// a router that was taken for a client sends such. f is called on the link's goroutine, once a minute at most, and must
// not wait.
func (c *Conn) OnStray(f func(src netip.Addr)) { c.stray.Store(&f) }

// strayed tells OnStray's func.
func (c *Conn) strayed(now time.Time, src netip.Addr) {
	if f := c.stray.Load(); f != nil && *f != nil && now.Unix()-c.strayAt >= 60 {
		c.strayAt = now.Unix()
		(*f)(src)
	}
}

// Expect widens what may come from the far side to these sources, for any destination: the far side is a router. It may
// be called at any time; what was expected before no longer is.
func (c *Conn) Expect(prefixes []netip.Prefix) {
	list := slices.Clone(prefixes)
	c.expect.Store(&list)
}

// Give adds to what the far side was given, at a server: IPv6 prefixes that it has been delegated or told by router
// advertisement, and may send from. It may be called at any time; what an earlier Give gave is the far side's no longer.
func (c *Conn) Give(prefixes []netip.Prefix) {
	list := slices.Clone(prefixes)
	c.give.Store(&list)
}

// Own says what this end has on the link besides what PPP agreed, at a client: IPv6 addresses that it has made of an
// advertised prefix or was given by DHCPv6, as /128, and prefixes that it was delegated. Packets to them pass then, and none
// from them. It may be called at any time; what an earlier Own said no longer is.
func (c *Conn) Own(prefixes []netip.Prefix) {
	list := slices.Clone(prefixes)
	c.got.Store(&list)
}

// load returns a list that may never have been set.
func load(p *atomic.Pointer[[]netip.Prefix]) []netip.Prefix {
	if list := p.Load(); list != nil {
		return *list
	}
	return nil
}
