package dhcpinform

import (
	"net/netip"
	"slices"
	"time"
)

// receive takes what a server says.
func (p *LeasePool) receive(b []byte, from netip.AddrPort) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	m, ok := parseMessage(b)
	if !ok || m.op() != reply { // what is asked of servers is heard by all on a network
		return
	}
	l := p.byXID[m.xid()]
	if l == nil {
		return // another's, or an OFFER after the first
	}
	id, ok := m.option(optServer)
	if !ok || len(id) != 4 {
		p.counts.Strange++
		return
	}
	server := netip.AddrFrom4([4]byte(id))
	if !isForLease(l, m, p.writer.hw, server, from.Addr(), p.Servers) {
		p.counts.Strange++
		return
	}
	switch m.kind() {
	case typeOffer:
		p.offered(l, m, from, now)
	case typeACK:
		p.acked(l, m, from, now)
	case typeNAK:
		p.naked(l, server, now)
	}
}

// offered takes the first offer that will do.
func (p *LeasePool) offered(l *lease, m message, from netip.AddrPort, now time.Time) {
	g, ok := parseGranted(m)
	if l.state != leaseSelecting || l.tries == 0 || !ok {
		return
	}
	switch other := p.byAddr[g.addr]; {
	case mayLease(other, l):
	case !other.holds():
		// dnsmasq chooses by the hardware address, which is the same of all, and keeps apart only what is leased.
		p.postpone(l)
		return
	default:
		p.log().Warn("lease: a server offers one address to two client identifiers", "addr", g.addr, "server", g.server)
		p.counts.Strange++
		return
	}
	l.addr, l.server, l.to = g.addr, g.server, from
	p.byAddr[l.addr] = l
	l.state, l.tries, l.asked = leaseRequesting, 0, now
	p.due.schedule(l, now)
}

// acked takes a lease, or its extension.
func (p *LeasePool) acked(l *lease, m message, from netip.AddrPort, now time.Time) {
	g, ok := parseGranted(m)
	if !ok || l.tries == 0 || g.addr != l.addr {
		p.counts.Strange++
		return
	}
	switch l.state {
	case leaseRequesting, leaseRebooting:
		l.take(g, from, l.asked)
		p.calm(l)
		p.due.schedule(l, time.Time{})
		switch {
		case slices.ContainsFunc(p.Exclude, func(x netip.Prefix) bool { return x.Contains(l.addr) }):
			p.decline(l, "excluded", now)
		case p.InUse != nil && l.state == leaseRequesting:
			l.state = leaseProbing
			p.probes = append(p.probes, leaseProbe{l, l.xid, l.addr})
		default:
			p.held(l)
		}
	case leaseRenewing, leaseRebinding:
		l.take(g, from, l.asked)
		p.counts.Renewed++
		l.state = leaseBound
		p.due.schedule(l, l.t1)
		p.file.dirty = true
	}
}

// held is the end of an exchange by which the pool has come to an address.
func (p *LeasePool) held(l *lease) {
	l.state = leaseBound
	p.due.schedule(l, l.t1)
	p.log().Debug("address leased", "addr", l.addr, "server", l.server, "until", l.ends)
	p.bound(l)
}

// probed is what InUse says.
func (p *LeasePool) probed(l *lease, xid uint32, inUse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.state != leaseProbing || l.xid != xid {
		return
	}
	if inUse {
		p.decline(l, "somebody on the network has it", time.Now())
	} else {
		p.held(l)
	}
	p.poke()
}

// decline tells a server that an address is not usable, and waits before asking for another.
func (p *LeasePool) decline(l *lease, why string, now time.Time) {
	p.counts.Declined++
	p.log().Warn("lease declined", "addr", l.addr, "server", l.server, "why", why)
	l.state = leaseDeclined
	p.send(l, typeDecline, now)
	delete(p.byAddr, l.addr)
	p.due.schedule(l, now.Add(declinedWait))
}

// naked takes a server's no.
func (p *LeasePool) naked(l *lease, server netip.Addr, now time.Time) {
	switch l.state {
	case leaseRequesting, leaseRebooting:
		p.counts.NAKs++
		l.naks++
		p.restart(l, now, now.Add(time.Second<<min(l.naks-1, 6))) // a server that offers and refuses is not asked without end
	case leaseRenewing, leaseRebinding:
		p.counts.NAKs++
		l.server = server
		p.lose(l, "the server refuses to extend it", now)
	}
}
