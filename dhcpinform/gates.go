package dhcpinform

import (
	"bytes"
	"net/netip"
	"time"
)

// The security predicates of this package. Each names the test that fails without it.

// isAnswer reports whether m, which came in d, answers what a client asked by a: whoever reaches the client's address
// could tell it name servers and routes, so all that a stranger cannot know has to be right. A zero ciaddr may stand in
// an answer, against RFC 2131 Table 3, since some servers clear it. There is no refusal of an inform (section 4.3.5).
// Without it fails TestClientTakesOnlyAnswersToWhatItAsked.
func isAnswer(d datagram, m message, a *ask) bool {
	c := m.ciaddr()
	return d.srcPort == serverPort && (d.dst == a.addr || d.dst == broadcast) &&
		m.op() == reply && m.kind() == typeACK && m.xid() == a.xid && m.hardware() == a.hw && (c == a.addr || c.IsUnspecified())
}

// mayInform reports whether a session may send m in d: an inform, from the address that it is about, which is the
// session's. What says that a relay has had it is forged: a client has none in front of it (RFC 3046 section 2.1, RFC 1542
// section 4.1.1), and a server would believe the circuit and answer to the address. Other messages than informs could
// take and give up leases for others.
// Without it fails TestNobodyInformsForOthers.
func mayInform(d datagram, m message, prefixes []netip.Prefix, known bool) bool {
	if m.op() != request || m.kind() != typeInform || m.ciaddr() != d.src || !m.giaddr().IsUnspecified() {
		return false
	}
	if _, has := m.option(optAgent); has {
		return false
	}
	for _, p := range prefixes {
		if p.Contains(d.src) {
			return true
		}
	}
	return !known // the Router has checked the source against its routes
}

// mayGive reports whether a Responder may put an option of its configuration into an answer: nothing of a lease (RFC 2131
// section 4.3.5), and nothing that the message itself is made of.
// Without it fails TestResponderGivesNoLease.
func mayGive(code byte) bool {
	switch code {
	case optPad, optEnd, optAddress, optLeaseTime, optOverload, optType, optServer, optRequest, optMaxSize, optRenewal, optRebinding, optClient, optAgent:
		return false
	}
	return true
}

// mayAskNow reports whether a session may ask, by the generic cell rate algorithm: full is when its bucket would be full
// again after one more.
// Without it fails TestFloodIsLimited.
func mayAskNow(now, full time.Time) bool { return full.Sub(now) <= askBurst*askInterval }

// isServer reports whether an answer comes from one of the servers that are asked: whoever reaches the relay's port could
// otherwise configure clients.
// Without it fails TestRelayTakesAnswersOfItsServersOnly.
func isServer(servers []netip.AddrPort, src netip.Addr) bool {
	for _, s := range servers {
		if s.Addr().Unmap() == src.Unmap() {
			return true
		}
	}
	return false
}

// isRelayed reports whether m, from a server, answers question q: the address is the session's, or not said (RFC 2131
// Table 3 lets servers), and the hardware is what asked.
// Without it fails TestRelayTakesAnswersOfItsServersOnly.
func isRelayed(m message, q *question) bool {
	c := m.ciaddr()
	return m.op() == reply && m.kind() == typeACK && m.xid() == q.xid && m.hardware() == q.hw && (c == q.client || c.IsUnspecified())
}

// isForLease reports whether m, which came from a server, answers the lease's exchange: whoever can send to this host could
// otherwise have the pool give away addresses that are others', or end sessions. Servers that repeat the client identifier
// (RFC 6842) repeat this one. Once an address is the lease's, its own server has the say, until T2 has passed.
// Without it fails TestLeaseTakesOnlyAnswersToWhatItAsked.
func isForLease(l *lease, m message, hw hardware, server, from netip.Addr, servers []netip.AddrPort) bool {
	if id, has := m.option(optClient); has && !bytes.Equal(id, l.id) {
		return false
	}
	if l.state == leaseRequesting || l.state == leaseRenewing {
		if server != l.server {
			return false
		}
	}
	return m.op() == reply && m.xid() == l.xid && m.hardware() == hw && (len(servers) == 0 || isServer(servers, from) || isServer(servers, server))
}

// mayLease reports whether an address that is offered for l may be asked for: not if the pool has it by another lease, as of
// a server that does not look at client identifiers.
// Without it fails TestLeasesAreOfDifferentAddresses.
func mayLease(other, l *lease) bool { return other == nil || other == l }
