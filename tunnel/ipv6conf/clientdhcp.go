package ipv6conf

import (
	"crypto/rand"
	"net/netip"
	"slices"
	"time"
)

// Of RFC 8415 section 7.6.
const (
	solIRT      = time.Second
	solMRT      = time.Hour
	reqIRT      = time.Second
	reqMRT      = 30 * time.Second
	reqMRC      = 10
	renIRT      = 10 * time.Second
	renMRT      = 10 * time.Minute
	infIRT      = time.Second
	infMRT      = time.Hour
	refreshTime = 24 * time.Hour // IRT_DEFAULT
	refreshLow  = 10 * time.Minute

	leastMaxRT = time.Minute // what a server may set as SOL_MAX_RT: sections 21.24 and 21.25
	mostMaxRT  = 24 * time.Hour
)

type dhcpState uint8

const (
	dhcpIdle dhcpState = iota
	dhcpInforming
	dhcpInformed
	dhcpSoliciting
	dhcpRequesting
	dhcpBound
	dhcpRenewing
	dhcpRebinding
)

// A dhcpClient is the client of RFC 8415 section 18.2.
//
//	       O               reply                    M, Delegate            advertisement             reply
//	idle ─────► informing ───────► informed    idle ───────────► soliciting ───────────► requesting ─────► bound ◄─┐
//	                ▲                  │                             ▲  │    reply with rapid commit         ▲  │   │
//	                └──────────────────┘                             │  └────────────────────────────────────┘  │T1 │ reply
//	                  refresh time                                   │ nothing left                             ▼   │
//	                                                                 ├◄──────────────── rebinding ◄───────── renewing
//	                                                                 │       no binding: requesting   T2
type dhcpClient struct {
	m     *machine
	state dhcpState
	duid  []byte
	na    bool // asks for an address

	say    retry
	typ    byte // what is said
	xid    [3]byte
	server []byte // who was chosen
	best   *dhcpMessage
	fails  int // answers in a row that gave nothing

	solMax, infMax time.Duration
	t1, t2         time.Time
	refresh        time.Time
	got            []timed[iaID]

	dns, sntp []netip.Addr
	search    []string
}

// An iaID is a lease and the kind of association that it is in.
type iaID struct {
	kind   uint16
	prefix netip.Prefix
}

func (d *dhcpClient) init(m *machine) {
	d.m, d.solMax, d.infMax = m, solMRT, infMRT
	if d.duid = m.c.DUID; len(d.duid) == 0 {
		id := m.own.As16()
		d.duid = append([]byte{0, 3, 0, 27}, id[8:]...) // DUID-LL of an EUI-64: RFC 8415 section 11.4
	}
}

// flags takes what an advertisement says of DHCPv6: RFC 4861 section 4.2.
func (d *dhcpClient) flags(now time.Time, managed, other bool) {
	switch {
	case managed && !d.na && !d.m.c.NoAddrs:
		d.start(now, true)
	case (managed || other) && d.state == dhcpIdle:
		d.inform(now)
	}
}

// start begins to look for a server.
func (d *dhcpClient) start(now time.Time, na bool) {
	d.na = d.na || na
	d.state, d.best, d.server = dhcpSoliciting, nil, nil
	d.begin(now.Add(d.pause()), dhcpSolicit, solIRT, d.solMax, 0)
}

// pause is how long to wait after answers that gave nothing, so that a server which offers and does not give is not asked
// without end.
func (d *dhcpClient) pause() time.Duration {
	if d.fails == 0 {
		return 0
	}
	return min(solIRT<<min(d.fails, 12), d.solMax)
}

func (d *dhcpClient) inform(now time.Time) {
	d.state, d.server, d.refresh = dhcpInforming, nil, time.Time{}
	d.begin(now, dhcpInformation, infIRT, d.infMax, 0)
}

func (d *dhcpClient) request(now time.Time, server []byte) {
	d.state, d.server, d.best = dhcpRequesting, slices.Clone(server), nil
	d.begin(now, dhcpRequest, reqIRT, reqMRT, reqMRC)
}

// begin begins an exchange.
func (d *dhcpClient) begin(now time.Time, typ byte, irt, mrt time.Duration, mrc int) {
	d.typ = typ
	rand.Read(d.xid[:])
	d.say.begin(now, irt, mrt, mrc)
}

// tick does what is due.
func (d *dhcpClient) tick(now time.Time) {
	var next time.Time
	had := len(d.got)
	if d.got = expire(d.got, now, &next); had > 0 && len(d.got) == 0 && d.state >= dhcpBound {
		d.start(now, false)
	}
	switch {
	case d.state == dhcpInformed && !d.refresh.After(now):
		d.inform(now)
	case d.state == dhcpBound && !d.t1.After(now):
		d.state = dhcpRenewing
		d.begin(now, dhcpRenew, renIRT, renMRT, 0)
	}
	if d.state == dhcpRenewing && !d.t2.After(now) {
		d.state, d.server = dhcpRebinding, nil
		d.begin(now, dhcpRebind, renIRT, renMRT, 0)
	}
	if d.state == dhcpRequesting && d.say.over(now) {
		d.fails++
		d.start(now, false)
	}
	if d.state == dhcpSoliciting && d.best != nil && !d.say.at.After(now) {
		d.request(now, d.best.server)
	}
	if d.say.due(now) {
		d.send(d.typ, now)
	}
}

// next is when something is due.
func (d *dhcpClient) next() (at time.Time) {
	sooner(&at, d.say.at)
	for _, l := range d.got {
		sooner(&at, l.until)
	}
	switch d.state {
	case dhcpInformed:
		sooner(&at, d.refresh)
	case dhcpBound:
		sooner(&at, d.t1)
	case dhcpRenewing:
		sooner(&at, d.t2)
	}
	return at
}

// send sends a message of the exchange.
func (d *dhcpClient) send(typ byte, now time.Time) {
	msg := dhcpMessage{typ: typ, xid: d.xid, client: d.duid, server: d.server, rapid: typ == dhcpSolicit}
	if d.say.n > 1 {
		msg.elapsed = now.Sub(d.say.first)
	}
	if typ != dhcpRelease {
		msg.requested = []uint16{optDNS, optSearch, optSNTP, optSolMaxRT}
	}
	if typ == dhcpInformation {
		msg.requested = append(msg.requested, optRefresh, optInfMaxRT)
	} else {
		msg.ias = d.associations(typ)
	}
	b := newUDP(d.m.own, allServers, clientPort, serverPort)
	d.m.send(sealUDP(msg.appendTo(b)))
	if log := d.m.c.Logger; log != nil {
		log.Debug("DHCPv6 asks", "type", typ, "try", d.say.n)
	}
}

// associations are what is asked for, with what there is of it.
func (d *dhcpClient) associations(typ byte) (list []ia) {
	add := func(kind uint16) {
		x := ia{kind: kind, id: 1}
		for _, l := range d.got {
			if l.what.kind == kind {
				x.leases = append(x.leases, iaLease{prefix: l.what.prefix})
			}
		}
		if typ == dhcpRelease && len(x.leases) == 0 {
			return
		}
		if n := d.m.c.Length; kind == optIAPD && len(x.leases) == 0 && n > 0 && n <= 64 {
			x.leases = []iaLease{{prefix: netip.PrefixFrom(netip.IPv6Unspecified(), n)}} // section 18.2.4: a hint
		}
		list = append(list, x)
	}
	if d.na {
		add(optIANA)
	}
	if d.m.c.Delegate {
		add(optIAPD)
	}
	return list
}

// release gives back what there is. Once: the link that carries it goes, and with it what was given.
func (d *dhcpClient) release() {
	if d.state < dhcpBound || d.server == nil || len(d.got) == 0 {
		return
	}
	now := time.Now()
	d.begin(now, dhcpRelease, 0, 0, 0)
	d.send(dhcpRelease, now)
	d.say.stop()
	d.got = nil
}

// leases are the addresses, as single ones, and prefixes that there are.
func (d *dhcpClient) leases() (list []netip.Prefix) {
	for _, l := range d.got {
		list = append(list, l.what.prefix)
	}
	return list
}

// receive takes what a server says.
func (d *dhcpClient) receive(now time.Time, from netip.Addr, b []byte) {
	msg, ok := parseDHCP(b)
	if !ok || !isReply(&msg, d.xid, d.duid, d.server) {
		return
	}
	d.limits(&msg)
	switch {
	case msg.typ == dhcpAdvertise && d.state == dhcpSoliciting && d.say.n > 0:
		d.advertised(now, &msg)
	case msg.typ != dhcpReply:
	case d.state == dhcpInforming:
		d.say.stop()
		d.know(&msg)
		wait := msg.refresh
		if wait == 0 {
			wait = refreshTime
		}
		d.state, d.refresh = dhcpInformed, now.Add(max(wait, refreshLow))
	case d.state == dhcpSoliciting && msg.rapid && d.say.n > 0, d.state == dhcpRequesting, d.state == dhcpRenewing, d.state == dhcpRebinding:
		d.replied(now, &msg)
	}
}

// limits takes SOL_MAX_RT and INF_MAX_RT.
func (d *dhcpClient) limits(msg *dhcpMessage) {
	if msg.solMax >= leastMaxRT && msg.solMax <= mostMaxRT {
		d.solMax = msg.solMax
		if d.state == dhcpSoliciting {
			d.say.mrt = d.solMax
		}
	}
	if msg.infMax >= leastMaxRT && msg.infMax <= mostMaxRT {
		d.infMax = msg.infMax
	}
}

// know takes the information of an answer.
func (d *dhcpClient) know(msg *dhcpMessage) {
	d.dns, d.search, d.sntp = nil, msg.search, msg.sntp
	for _, a := range msg.dns {
		if usable(netip.PrefixFrom(a, 128)) {
			d.dns = append(d.dns, a)
		}
	}
}

// advertised takes an advertisement of a server: sections 18.2.1 and 18.2.9. The first message's wait is for others, which
// may be better.
func (d *dhcpClient) advertised(now time.Time, msg *dhcpMessage) {
	if len(d.wanted(msg)) == 0 {
		if log := d.m.c.Logger; log != nil {
			log.Debug("DHCPv6: nothing is given", "status", msg.status.text)
		}
		return
	}
	if d.best == nil || msg.pref > d.best.pref {
		d.best = msg
	}
	if msg.pref == 255 || d.say.n > 1 {
		d.request(now, d.best.server)
	}
}

// wanted returns the associations of a message that are this client's and have something.
func (d *dhcpClient) wanted(msg *dhcpMessage) (list []*ia) {
	for i := range msg.ias {
		x := &msg.ias[i]
		ours := x.id == 1 && (x.kind == optIANA && d.na || x.kind == optIAPD && d.m.c.Delegate)
		if ours && x.status.code == statusSuccess && slices.ContainsFunc(x.leases, func(l iaLease) bool { return l.valid > 0 && mayBeGiven(x.kind, l.prefix) }) {
			list = append(list, x)
		}
	}
	return list
}

// replied takes a Reply: section 18.2.10.
func (d *dhcpClient) replied(now time.Time, msg *dhcpMessage) {
	if msg.status.code == statusUnspec {
		return // it is asked again
	}
	lost := msg.status.code == statusNoBinding
	for _, x := range msg.ias {
		lost = lost || x.status.code == statusNoBinding
		for _, l := range x.leases {
			if l.valid == 0 || l.preferred > l.valid {
				d.got = learn(d.got, iaID{x.kind, l.prefix}, now, true, maxListed)
			}
		}
	}
	wanted := d.wanted(msg)
	switch {
	case lost && d.state != dhcpRequesting && d.state != dhcpSoliciting:
		d.request(now, msg.server)
		return
	case len(wanted) == 0:
		if len(d.got) == 0 {
			d.fails++
			d.start(now, false)
		}
		return
	}
	var t1, t2, least uint32 = forever, forever, forever
	for _, x := range wanted {
		for _, l := range x.leases {
			if l.valid == 0 || l.preferred > l.valid || !mayBeGiven(x.kind, l.prefix) {
				continue
			}
			d.got = learn(d.got, iaID{x.kind, l.prefix}, until(now, l.valid), false, maxListed)
			least = min(least, l.preferred)
		}
		if x.t1 > 0 && (x.t2 == 0 || x.t1 <= x.t2) { // 0: at the client's discretion
			t1 = min(t1, x.t1)
		}
		if x.t2 > 0 && x.t1 <= x.t2 {
			t2 = min(t2, x.t2)
		}
	}
	if t1 == forever && least != forever {
		t1 = least / 2
	}
	if t2 == forever && least != forever {
		t2 = uint32(uint64(least) * 4 / 5)
	}
	// No server makes this end ask without end.
	t1, t2 = max(t1, 10), max(t2, t1, 15)
	d.say.stop()
	d.know(msg)
	d.state, d.server, d.fails, d.best = dhcpBound, slices.Clone(msg.server), 0, nil
	d.t1, d.t2 = now.Add(time.Duration(t1)*time.Second), now.Add(time.Duration(t2)*time.Second)
}
