package ipv6conf

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// Of RFC 4861 section 10.
const (
	initialInterval = 16 * time.Second
	initialCount    = 3
	solicitedDelay  = 500 * time.Millisecond
)

// What one session may ask: a burst when it comes up, and then a message a second.
const (
	askInterval = time.Second
	askBurst    = 10
)

// Link wraps a session's link, whose far side is then advertised to while it is served. Give it to the Router in the place
// of l. A link without an IPv6 link-local address stays as it is.
func (s *Server) Link(l tunnel.Link) tunnel.Link {
	s.start()
	own := linkLocalOf(l.Addrs())
	if !own.IsValid() {
		return l
	}
	session := FromLink
	if s.Session != nil {
		session = s.Session
	}
	x := &serverLink{Link: l, server: s, own: own, session: session(l).checked()}
	if d, ok := tunnel.As[interface{ Delegable() []netip.Prefix }](l); ok && s.Routes != nil {
		x.delegable = d.Delegable()
	}
	x.prefixes = x.always()
	for _, p := range x.session.Prefixes {
		x.give(p)
	}
	if a := x.session.Addr; a.IsValid() {
		x.give(netip.PrefixFrom(a, a.BitLen()))
	}
	return x
}

func linkLocalOf(addrs []netip.Addr) netip.Addr {
	for _, a := range addrs {
		if a.Is6() && a.IsLinkLocalUnicast() {
			return a.WithZone("")
		}
	}
	return netip.Addr{}
}

// A serverLink is a link of a Server.
type serverLink struct {
	tunnel.Link
	server   *Server
	own      netip.Addr // this end's link-local address
	session  Session
	prefixes []netip.Prefix // the link's own, as long as it lives
	extra    []netip.Prefix // what the session has besides, as long as the link lives

	delegable []netip.Prefix // what of the link's own it has only while it is delegated

	mu        sync.Mutex
	timer     *time.Timer // nil: not served, or over
	said      int         // of the first advertisements
	next      time.Time   // the next advertisement to everybody
	solicited time.Time   // zero: nobody waits for one
	full      time.Time   // when the bucket of what the far side may ask is full again
	via       tunnel.PacketWriter
	bindings  []binding
}

// Unwrap returns the link that was wrapped.
func (l *serverLink) Unwrap() tunnel.Link { return l.Link }

// always returns the link's own prefixes but those that are its own only while they are delegated.
func (l *serverLink) always() []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(l.Link.Prefixes()), func(p netip.Prefix) bool { return slices.Contains(l.delegable, p) })
}

// Prefixes are the link's, without those that are delegated for a time only, and what the session has besides.
func (l *serverLink) Prefixes() []netip.Prefix {
	list := l.always()
	for _, p := range l.extra {
		if !slices.Contains(list, p) { // a link that was told has them
			list = append(list, p)
		}
	}
	return list
}

// give adds p to what the session has, unless the link has it.
func (l *serverLink) give(p netip.Prefix) {
	for _, q := range append(slices.Clone(l.prefixes), l.extra...) {
		if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			return
		}
	}
	// A single address of the link's stands for the /64 that is advertised for it: the rest of that is others'.
	if p.Bits() == 64 && slices.ContainsFunc(l.prefixes, func(q netip.Prefix) bool { return q.IsSingleIP() && p.Contains(q.Addr()) }) {
		return
	}
	l.extra = append(l.extra, p)
}

// tell tells the link what its far side may send from besides. l.mu is held, or nobody else has l.
func (l *serverLink) tell() {
	if x, ok := tunnel.As[interface{ Give(prefixes []netip.Prefix) }](l.Link); ok {
		list := slices.Clone(l.extra)
		for _, b := range l.bindings {
			list = append(list, b.prefix)
		}
		x.Give(list)
	}
}

// Serve is the Link's. It advertises meanwhile, and says so when ctx ends that no more.
func (l *serverLink) Serve(ctx context.Context, to func(bufs [][]byte, offset int) (n int, err error)) error {
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	l.begin()
	stop := context.AfterFunc(ctx, func() {
		l.end(true)
		cancel(context.Cause(ctx))
	})
	defer stop()
	err := l.Link.Serve(inner, to)
	l.end(false)
	return err
}

// Close says that this end is no router any more and closes the Link.
func (l *serverLink) Close() error {
	l.end(true)
	return l.Link.Close()
}

func (l *serverLink) begin() {
	if !l.server.add(l) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell()
	// The first advertisement goes at once: nobody else is on the link to collide with.
	l.next = time.Now()
	l.timer = time.AfterFunc(0, l.tick)
}

// end takes everything back, once. last says to the far side that this end is no router any more.
func (l *serverLink) end(last bool) {
	l.server.remove(l)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil {
		return
	}
	l.timer.Stop()
	l.timer = nil
	if last {
		l.advertise(allNodes, true)
	}
	for len(l.bindings) > 0 {
		l.unbind(0)
	}
}

// tick does what is due.
func (l *serverLink) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil {
		return
	}
	now := time.Now()
	switch {
	case !l.next.After(now):
		l.solicited = time.Time{}
		ok := l.advertise(allNodes, false)
		most := l.server.interval()
		wait := most - rand.N(most*2/3) // RFC 4861 section 6.2.4, with MinRtrAdvInterval as section 6.2.1 has it
		if l.said++; l.said < initialCount {
			wait = min(wait, initialInterval)
		}
		if l.next = now.Add(wait); !ok {
			return // the link is over
		}
	case !l.solicited.IsZero() && !l.solicited.After(now):
		l.solicited = time.Time{}
		l.advertise(l.peer(), false)
	}
	for i := len(l.bindings) - 1; i >= 0; i-- {
		if !l.bindings[i].until.After(now) {
			l.unbind(i)
		}
	}
	l.arm(now)
}

// arm sets the timer to what is due next.
func (l *serverLink) arm(now time.Time) {
	next := l.next
	if !l.solicited.IsZero() && l.solicited.Before(next) {
		next = l.solicited
	}
	for _, b := range l.bindings {
		if b.until.Before(next) {
			next = b.until
		}
	}
	l.timer.Reset(next.Sub(now))
}

// peer is the far side's address on the link, or everybody's there.
func (l *serverLink) peer() netip.Addr {
	if x, ok := tunnel.As[interface{ PeerAddrs() []netip.Addr }](l.Link); ok {
		if a := linkLocalOf(x.PeerAddrs()); a.IsValid() {
			return a
		}
	}
	return allNodes
}

// receive takes what the far side says on the link; false means that it is nothing for a server. via is how the link is
// routed.
func (l *serverLink) receive(via tunnel.PacketWriter, b []byte) bool {
	nd, isND := parseND(b)
	udp, isUDP := message{}, false
	if !isND {
		udp, isUDP = parseUDP(b)
	}
	switch {
	case isND && nd.typ == routerSolicitation && maySolicit(nd, l.own):
	case isND && nd.typ == neighbourSolicitation && isAskedFor(nd, l.own):
	case isUDP && udp.to == serverPort && mayAskServer(udp, l.own):
	default:
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil {
		return false
	}
	now := time.Now()
	if !l.allow(now) {
		l.server.counts.limited.Add(1)
		return true
	}
	switch {
	case isUDP:
		l.via = via
		return l.answer(udp, now)
	case nd.typ == neighbourSolicitation:
		l.reply(nd)
	case l.solicited.IsZero():
		// RFC 4861 section 6.2.6 wants a delay. The answer goes to who asks, so that the least time between two
		// advertisements to everybody does not hold it up.
		l.solicited = now.Add(rand.N(solicitedDelay))
		l.arm(now)
	}
	return true
}

// allow keeps the far side to its rate, by the generic cell rate algorithm.
func (l *serverLink) allow(now time.Time) bool {
	full := l.full
	if full.Before(now) {
		full = now
	}
	full = full.Add(askInterval)
	if !mayAskNow(now, full) {
		return false
	}
	l.full = full
	return true
}

// reply answers a neighbour solicitation for this end's address: RFC 4861 section 7.2.4. A link has no addresses of its
// own to tell; who asks wants to know whether somebody is there.
func (l *serverLink) reply(m message) {
	b := newICMP(l.own, m.src, neighbourAdvert)
	b = append(b, 0xc0, 0, 0, 0) // a router, asked
	l.send(sealICMP(append(b, l.own.AsSlice()...)))
}

// send sends a packet that stands behind headroom. false means that the link is over.
func (l *serverLink) send(b []byte) bool {
	_, err := l.Link.Write([][]byte{b}, headroom) // what is lost is said again, or asked
	return err == nil
}

// advertise sends an advertisement. false means that the link is over.
func (l *serverLink) advertise(to netip.Addr, last bool) bool {
	b, left := l.advert(last).fit(newICMP(l.own, to, routerAdvertisement), headroom+min(max(l.MTU(), minMTU), 1500))
	if log := l.server.Logger; log != nil && left && l.said == 0 {
		log.Warn("router advertisement: there is no room for all of it", "prefixes", l.session.Prefixes, "routes", len(l.session.Routes))
	}
	ok := l.send(sealICMP(b))
	if ok {
		l.server.counts.advertised.Add(1)
	}
	return ok
}

// advert is what the far side is told; at the last, that nothing of it holds any more.
func (l *serverLink) advert(last bool) *advert {
	s, x := l.server, &l.session
	preferred, valid := s.lifetimes()
	a := &advert{
		hops:    64,
		managed: x.Addr.IsValid(),
		other:   x.Addr.IsValid() || len(x.Delegated)+len(x.DNS)+len(x.Search)+len(x.SNTP) > 0,
		mtu:     uint32(l.MTU()),
	}
	// RFC 4861 section 6.2.1 and RFC 8106 section 5.1: three intervals.
	life := seconds(3 * s.interval())
	if !x.NoDefault {
		a.lifetime = uint16(min(life, 9000))
	}
	if last { // RFC 4861 section 6.2.5; the addresses go with the link
		a.lifetime, life = 0, 0
	}
	for _, p := range x.Prefixes {
		a.prefixes = append(a.prefixes, advertPrefix{p.Masked(), true, seconds(valid), seconds(preferred)})
	}
	for _, p := range x.Routes {
		a.routes = append(a.routes, advertRoute{p, life})
	}
	if len(x.DNS) > 0 {
		a.dns = []advertDNS{{x.DNS[:min(len(x.DNS), 8)], life}}
	}
	if len(x.Search) > 0 {
		a.search = []advertSearch{{x.Search, life}}
	}
	return a
}

// fit appends the body of an advertisement to b, which must not become longer than size; it leaves out what has no room,
// the least important first, and says whether it did.
func (a *advert) fit(b []byte, size int) (out []byte, left bool) {
	start := len(b)
	for {
		if b = a.appendTo(b[:start]); len(b) <= size {
			return b, left
		}
		left = true
		switch {
		case len(a.search) > 0 && len(a.search[0].names) > 1:
			a.search[0].names = a.search[0].names[:len(a.search[0].names)/2]
		case len(a.search) > 0:
			a.search = nil
		case len(a.routes) > 0:
			a.routes = a.routes[:len(a.routes)-1]
		case len(a.prefixes) > 1:
			a.prefixes = a.prefixes[:len(a.prefixes)-1]
		default:
			a.dns = nil
		}
	}
}
