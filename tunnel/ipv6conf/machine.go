package ipv6conf

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

const (
	// Of RFC 7559 section 2, which extends RFC 4861 section 6.3.7 for links on which nobody else hears the noise.
	solicitFirst = 4 * time.Second
	solicitMost  = time.Hour

	// leastLife keeps an advertisement, which is not signed, from ending an address at once: RFC 4862 section 5.5.3 (e).
	leastLife = 2 * time.Hour
)

// A machine is what a Client knows, and what it does next. It belongs to one goroutine.
type machine struct {
	c        *Client
	own, far netip.Addr // link-local; far is not valid until it was heard

	solicit retry // of router solicitations
	dhcp    dhcpClient

	prefixes []timed[netip.Prefix]
	routes   []timed[netip.Prefix]
	dns      []timed[netip.Addr]
	search   []timed[string]
	router   []timed[netip.Addr]
	mtu      int
}

func newMachine(c *Client, own netip.Addr) *machine {
	m := &machine{c: c, own: own}
	m.dhcp.init(m)
	return m
}

// run works until ctx ends, and then gives back what is to be given back.
func (m *machine) run(ctx context.Context, said <-chan heard) {
	now := time.Now()
	// RFC 4861 section 6.3.7 lets hosts wait, so that those of a link do not ask together: here is one.
	m.solicit.begin(now, solicitFirst, solicitMost, 0)
	if m.c.Delegate {
		m.dhcp.start(now, false)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			m.dhcp.release()
			m.c.set(ctx, Config{})
			return
		case h := <-said:
			m.hear(time.Now(), h)
		case <-timer.C:
		}
		now := time.Now()
		timer.Reset(m.tick(now).Sub(now))
		m.c.set(ctx, m.config())
	}
}

// hear takes what the far side said.
func (m *machine) hear(now time.Time, h heard) {
	if h.advert != nil {
		m.advertised(now, h.from, h.advert)
		return
	}
	m.dhcp.receive(now, h.from, h.dhcp)
}

// tick does what is due, and returns when to look again.
func (m *machine) tick(now time.Time) time.Time {
	if m.solicit.due(now) {
		m.send(sealICMP(append(newICMP(m.own, allRouters, routerSolicitation), 0, 0, 0, 0)))
	}
	m.dhcp.tick(now)
	next := now.Add(time.Hour)
	sooner(&next, m.solicit.at)
	sooner(&next, m.dhcp.next())
	m.prefixes = expire(m.prefixes, now, &next)
	m.routes = expire(m.routes, now, &next)
	m.dns = expire(m.dns, now, &next)
	m.search = expire(m.search, now, &next)
	m.router = expire(m.router, now, &next)
	return next
}

func (m *machine) send(b []byte) { m.c.Link.Write([][]byte{b}, headroom) }

// until is when a lifetime ends; the zero time is never.
func until(now time.Time, seconds uint32) time.Time {
	if seconds == forever {
		return time.Time{}
	}
	return now.Add(time.Duration(seconds) * time.Second)
}

// advertised takes an advertisement: RFC 4861 section 6.3.4.
func (m *machine) advertised(now time.Time, from netip.Addr, a *advert) {
	m.far = from
	m.router = learn(m.router, from, until(now, uint32(a.lifetime)), a.lifetime == 0, 1)
	if a.lifetime != 0 {
		m.solicit.stop() // RFC 7559 section 2.1: only such an advertisement is what was asked for
	}
	if a.mtu >= minMTU && int64(a.mtu) <= int64(max(m.c.MTU(), minMTU)) {
		m.mtu = int(a.mtu)
	}
	for _, p := range a.prefixes {
		if !p.autonomous || p.prefix.Bits() != 64 {
			continue
		}
		// RFC 4862 section 5.5.3 (d) and (e).
		life, at := p.valid, slices.IndexFunc(m.prefixes, func(x timed[netip.Prefix]) bool { return x.what == p.prefix })
		if at >= 0 && life != forever {
			left := m.prefixes[at].until.Sub(now)
			switch {
			case time.Duration(life)*time.Second > leastLife, !m.prefixes[at].until.IsZero() && time.Duration(life)*time.Second > left:
			case !m.prefixes[at].until.IsZero() && left <= leastLife:
				continue
			default:
				life = uint32(leastLife / time.Second)
			}
		}
		m.prefixes = learn(m.prefixes, p.prefix, until(now, life), life == 0, maxListed)
	}
	for _, r := range a.routes {
		m.routes = learn(m.routes, r.prefix, until(now, r.lifetime), r.lifetime == 0, maxListed)
	}
	for _, d := range a.dns {
		for _, s := range d.servers {
			if usable(netip.PrefixFrom(s, 128)) || s.IsLinkLocalUnicast() {
				m.dns = learn(m.dns, s, until(now, d.lifetime), d.lifetime == 0, maxListed)
			}
		}
	}
	for _, d := range a.search {
		for _, name := range d.names {
			m.search = learn(m.search, name, until(now, d.lifetime), d.lifetime == 0, maxListed)
		}
	}
	m.dhcp.flags(now, a.managed, a.other)
}

// config is what there is now.
func (m *machine) config() Config {
	x := Config{
		Prefixes: whats(m.prefixes), Routes: whats(m.routes),
		DNS: join(whats(m.dns), m.dhcp.dns), Search: whats(m.search), SNTP: m.dhcp.sntp, MTU: m.mtu,
	}
	if len(m.router) > 0 {
		x.Router = m.router[0].what
	}
	for _, name := range m.dhcp.search {
		if !slices.Contains(x.Search, name) {
			x.Search = append(x.Search, name)
		}
	}
	if !m.c.NoAddrs {
		for _, p := range x.Prefixes {
			x.Addrs = append(x.Addrs, addrIn(p, m.own))
		}
	}
	for _, l := range m.dhcp.leases() {
		if l.IsSingleIP() {
			x.Addrs = join(x.Addrs, []netip.Addr{l.Addr()})
		} else {
			x.Delegated = append(x.Delegated, l)
		}
	}
	return x
}

// addrIn is the address of a /64 with the interface identifier of the link-local address, which IPV6CP has made unique on
// the link: RFC 5072 section 5.
func addrIn(p netip.Prefix, own netip.Addr) netip.Addr {
	a, id := p.Addr().As16(), own.As16()
	copy(a[8:], id[8:])
	return netip.AddrFrom16(a)
}

// A retry says when to say something again: RFC 8415 section 15, which RFC 7559 is like.
//
//	begin ──► at once ──► after IRT ──► after twice that, ... MRT ──► MRC times: over
type retry struct {
	at    time.Time // zero: never
	first time.Time
	wait  time.Duration
	irt   time.Duration
	mrt   time.Duration
	mrc   int // 0: without end
	n     int
}

func (r *retry) begin(now time.Time, irt, mrt time.Duration, mrc int) {
	*r = retry{at: now, first: now, irt: irt, mrt: mrt, mrc: mrc}
}

func (r *retry) stop() { r.at = time.Time{} }

// due reports whether it is time, and sets the next.
func (r *retry) due(now time.Time) bool {
	if r.at.IsZero() || r.at.After(now) {
		return false
	}
	if r.mrc > 0 && r.n >= r.mrc {
		r.stop()
		return false
	}
	spread := func(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }
	if r.n++; r.n == 1 {
		r.wait = spread(r.irt)
	} else if r.wait += spread(r.wait); r.mrt > 0 && r.wait > r.mrt {
		r.wait = spread(r.mrt)
	}
	r.at = now.Add(r.wait)
	return true
}

// over reports whether the last wait is over without an answer.
func (r *retry) over(now time.Time) bool {
	return r.mrc > 0 && r.n >= r.mrc && !r.at.IsZero() && !r.at.After(now)
}
