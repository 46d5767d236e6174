package ipv6conf

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// A binding is what an association of the far side has: RFC 8415 section 12.
type binding struct {
	kind   uint16 // optIANA or optIAPD
	duid   string
	id     uint32
	prefix netip.Prefix
	until  time.Time
	routed bool // by this binding
	via    tunnel.PacketWriter
}

func (b *binding) isOf(duid []byte, x *ia) bool {
	return b.kind == x.kind && b.id == x.id && b.duid == string(duid)
}

// answer answers a DHCPv6 message; false means that it must be discarded: RFC 8415 section 16.
func (l *serverLink) answer(d message, now time.Time) bool {
	m, ok := parseDHCP(d.body)
	if !ok || m.refused || !l.mayAnswer(&m, d.dst == l.own) {
		return false
	}
	r := dhcpMessage{typ: dhcpReply, xid: m.xid, client: m.client, server: l.server.duid, elapsed: -1}
	switch {
	case d.dst == l.own:
		// Nobody was told to send to this address (section 18.4).
		r.status = status{statusUseMulticast, "send to ff02::1:2"}
	case m.typ == dhcpConfirm:
		if !l.confirm(&m, &r) {
			return true
		}
	default:
		l.associations(&m, &r, now)
		l.inform(&m, &r)
	}
	b := newUDP(l.own, d.src, serverPort, clientPort)
	if b = r.appendTo(b); len(b) > headroom+max(l.MTU(), minMTU) {
		return true // a far side that asks for more than a packet has no room for gets nothing: it never is a whole one
	}
	if log := l.server.Logger; log != nil {
		log.Debug("DHCPv6 answered", "client", d.src, "asked", m.typ, "answer", r.typ, "bindings", len(l.bindings))
	}
	if l.send(sealUDP(b)) {
		l.server.counts.answered.Add(1)
	}
	l.arm(now)
	return true
}

// mayAnswer is RFC 8415 section 16: which messages are for a server, with which identifiers, and which never to its own
// address (section 18.3).
func (l *serverLink) mayAnswer(m *dhcpMessage, unicast bool) bool {
	us := bytes.Equal(m.server, l.server.duid)
	switch m.typ {
	case dhcpSolicit, dhcpConfirm, dhcpRebind:
		return m.client != nil && m.server == nil && !unicast
	case dhcpRequest, dhcpRenew, dhcpRelease, dhcpDecline:
		return m.client != nil && us
	case dhcpInformation:
		return (m.server == nil || us) && len(m.ias) == 0 && !unicast
	}
	return false
}

// associations answers what a message says of addresses and prefixes.
func (l *serverLink) associations(m, r *dhcpMessage, now time.Time) {
	commit := m.typ != dhcpSolicit
	if m.typ == dhcpSolicit {
		// Who allows it is bound at once (section 18.3.1): there is one server on the link.
		if commit, r.rapid = m.rapid, m.rapid; !commit {
			r.typ, r.pref = dhcpAdvertise, 255 // no use in waiting for others
		}
	}
	changed := false
	for i := range m.ias {
		x := &m.ias[i]
		switch m.typ {
		case dhcpSolicit, dhcpRequest:
			r.ias = append(r.ias, l.grant(m, x, commit, now))
			changed = true
		case dhcpRenew, dhcpRebind:
			r.ias = append(r.ias, l.renew(m, x, now))
		case dhcpRelease, dhcpDecline:
			if at := l.find(m.client, x); at >= 0 {
				l.unbind(at)
			} else {
				r.ias = append(r.ias, ia{kind: x.kind, id: x.id, status: status{statusNoBinding, "not bound"}})
			}
			r.status = status{statusSuccess, "given back"}
		}
	}
	if changed && commit {
		l.tell()
	}
}

// find returns the index of the binding of an association, or -1.
func (l *serverLink) find(duid []byte, x *ia) int {
	return slices.IndexFunc(l.bindings, func(b binding) bool { return b.isOf(duid, x) })
}

// grant is what an association gets that has asked; with commit it is bound to it.
func (l *serverLink) grant(m *dhcpMessage, x *ia, commit bool, now time.Time) ia {
	r := ia{kind: x.kind, id: x.id}
	p, ok := l.choose(m.client, x)
	if !ok {
		r.status = status{statusNoAddrs, "no address to give"}
		if x.kind == optIAPD {
			r.status = status{statusNoPrefixAvail, "no prefix to delegate"}
		}
		return r
	}
	r.lease(l.server, p)
	if commit {
		_, valid := l.server.lifetimes()
		if at := l.find(m.client, x); at >= 0 {
			l.bindings[at].until = now.Add(valid)
		} else {
			l.bind(binding{kind: x.kind, duid: string(m.client), id: x.id, prefix: p, until: now.Add(valid), via: l.via})
		}
	}
	return r
}

// lease puts a prefix with its lifetimes into an answer: RFC 8415 section 14.2 for T1 and T2.
func (x *ia) lease(s *Server, p netip.Prefix) {
	preferred, valid := s.lifetimes()
	x.leases = append(x.leases, iaLease{p, seconds(preferred), seconds(valid)})
	x.t1, x.t2 = seconds(preferred/2), seconds(preferred*4/5)
}

// choose returns what an association gets: what it has, else what it wishes, else of the wished length, else the first
// that is free. A far side that comes back with another identifier, as one does that has lost its memory, gets what its
// former self had: there is one on the link.
func (l *serverLink) choose(duid []byte, x *ia) (p netip.Prefix, ok bool) {
	if at := l.find(duid, x); at >= 0 {
		return l.bindings[at].prefix, true
	}
	var have []netip.Prefix
	switch a := l.session.Addr; {
	case x.kind == optIAPD:
		have = l.session.Delegated
	case x.kind == optIANA && a.IsValid():
		have = []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}
	}
	var free []netip.Prefix
	for _, p := range have {
		taken := slices.ContainsFunc(l.bindings, func(b binding) bool { return b.prefix == p && b.duid == string(duid) })
		if mayDelegate(taken) {
			free = append(free, p)
		}
	}
	if len(free) == 0 {
		return p, false
	}
	for _, wish := range x.leases {
		if slices.Contains(free, wish.prefix) {
			return wish.prefix, true
		}
	}
	for _, wish := range x.leases {
		for _, p := range free {
			if p.Bits() == wish.prefix.Bits() {
				return p, true
			}
		}
	}
	return free[0], true
}

// renew extends what an association has: RFC 8415 sections 18.3.4 and 18.3.5. What else it says that it has is not its own.
func (l *serverLink) renew(m *dhcpMessage, x *ia, now time.Time) ia {
	r := ia{kind: x.kind, id: x.id}
	at := l.find(m.client, x)
	if at < 0 {
		r.status = status{statusNoBinding, "not bound"}
	} else {
		b := &l.bindings[at]
		_, valid := l.server.lifetimes()
		b.until = now.Add(valid)
		r.lease(l.server, b.prefix)
	}
	for _, has := range x.leases {
		if usable(has.prefix) && (at < 0 || has.prefix != l.bindings[at].prefix) && m.typ == dhcpRebind {
			r.leases = append(r.leases, iaLease{prefix: has.prefix})
		}
	}
	return r
}

// confirm says whether addresses are of this link: RFC 8415 section 18.3.3. false means that there is nothing to say.
func (l *serverLink) confirm(m, r *dhcpMessage) bool {
	asked := false
	r.status = status{statusSuccess, "on this link"}
	for _, x := range m.ias {
		for _, has := range x.leases {
			if x.kind == optIAPD {
				continue
			}
			asked = true
			if !slices.ContainsFunc(l.session.Prefixes, func(p netip.Prefix) bool { return p.Contains(has.prefix.Addr()) }) && has.prefix.Addr() != l.session.Addr {
				r.status = status{statusNotOnLink, "not on this link"}
			}
		}
	}
	return asked
}

// bind makes a binding, in the place of one of the far side's former self, and routes it.
func (l *serverLink) bind(b binding) {
	for i := range l.bindings {
		if l.bindings[i].prefix == b.prefix {
			l.unbind(i)
			break
		}
	}
	if rt := l.server.Routes; rt != nil && b.via != nil && !l.routes(b.prefix) {
		rt.Insert(b.prefix, b.via, 0)
		b.routed = true
	}
	l.bindings = append(l.bindings, b)
	if b.kind == optIAPD {
		l.server.counts.delegated.Add(1)
	}
	if log := l.server.Logger; log != nil {
		log.Info("given by DHCPv6", "prefix", b.prefix, "to", l.peer())
	}
}

// routes reports whether a prefix is routed to the link as long as that lives.
func (l *serverLink) routes(p netip.Prefix) bool {
	return slices.ContainsFunc(append(slices.Clone(l.prefixes), l.extra...), func(q netip.Prefix) bool {
		return q.Bits() <= p.Bits() && q.Contains(p.Addr())
	})
}

func (l *serverLink) unbind(at int) {
	b := l.bindings[at]
	l.bindings = slices.Delete(l.bindings, at, at+1)
	if b.routed {
		l.server.Routes.Delete(b.prefix, b.via)
	}
	if b.kind == optIAPD {
		l.server.counts.delegated.Add(-1)
	}
	if log := l.server.Logger; log != nil {
		log.Info("given back by DHCPv6", "prefix", b.prefix)
	}
	l.tell()
}

// inform adds what was asked for of what there is to know. Who does not say what it asks for gets it all.
func (l *serverLink) inform(m, r *dhcpMessage) {
	x := &l.session
	want := func(code uint16) bool { return len(m.requested) == 0 || m.asksFor(code) }
	if want(optDNS) {
		r.dns = x.DNS
	}
	if want(optSearch) {
		r.search = x.Search
	}
	if want(optSNTP) {
		r.sntp = x.SNTP
	}
	if m.typ == dhcpInformation && want(optRefresh) {
		_, r.refresh = l.server.lifetimes()
	}
}
