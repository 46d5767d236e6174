package ipv6conf

import (
	"crypto/rand"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/tunnel"
)

const (
	// DefaultInterval is the longest time between two advertisements: RFC 4861 section 6.2.1, MaxRtrAdvInterval.
	DefaultInterval = 10 * time.Minute

	// DefaultPreferred and DefaultValid are how long what a far side was given lasts after the last word about it: RFC 9096
	// section 3.4, for prefixes that may be others after a reconnect.
	DefaultPreferred = 45 * time.Minute
	DefaultValid     = 90 * time.Minute
)

// A Session is what the far side of a link is told. Nothing of it is changed.
type Session struct {
	Prefixes  []netip.Prefix // advertised: each a /64, of which the far side makes itself addresses
	Addr      netip.Addr     // given by DHCPv6 (IA_NA); zero gives none
	Delegated []netip.Prefix // delegated by DHCPv6 (IA_PD), one to each association
	DNS       []netip.Addr   // IPv6; by advertisement and by DHCPv6, as the next
	Search    []string
	SNTP      []netip.Addr   // by DHCPv6
	Routes    []netip.Prefix // advertised (RFC 4191)
	NoDefault bool           // this end is no default router: only Routes lead here
}

// FromLink is the Session that a link's Prefixes make: a /64 is advertised, a shorter prefix of IPv6 delegated; a single
// address is given, and its /64 advertised, since a far side that goes by its interface identifier makes the same of it.
func FromLink(l tunnel.Link) (s Session) {
	for _, p := range l.Prefixes() {
		switch {
		case !usable(p) || p.Bits() == 0:
		case p.Bits() < 64:
			s.Delegated = append(s.Delegated, p.Masked())
		case p.Bits() == 64:
			s.Prefixes = append(s.Prefixes, p.Masked())
		case p.IsSingleIP() && !s.Addr.IsValid():
			s.Addr = p.Addr()
			s.Prefixes = append(s.Prefixes, netip.PrefixFrom(p.Addr(), 64).Masked())
		}
	}
	return s
}

// checked returns s without what cannot be told.
func (s Session) checked() Session {
	only := func(list []netip.Prefix, ok func(p netip.Prefix) bool) (out []netip.Prefix) {
		for _, p := range list {
			if p = p.Masked(); usable(p) && ok(p) && len(out) < maxListed && !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
		return out
	}
	six := func(list []netip.Addr) (out []netip.Addr) {
		for _, a := range list {
			if a.Is6() && !a.Is4In6() && len(out) < maxListed {
				out = append(out, a.WithZone(""))
			}
		}
		return out
	}
	s.Prefixes = only(s.Prefixes, func(p netip.Prefix) bool { return p.Bits() == 64 })
	s.Delegated = only(s.Delegated, func(p netip.Prefix) bool { return p.Bits() > 0 && p.Bits() <= 64 })
	s.Routes = only(s.Routes, func(netip.Prefix) bool { return true })
	s.DNS, s.SNTP = six(s.DNS), six(s.SNTP)
	if !s.Addr.Is6() || !usable(netip.PrefixFrom(s.Addr, 128)) {
		s.Addr = netip.Addr{}
	}
	return s
}

// A Server advertises itself as router to the far sides of links and answers their DHCPv6: requests for information, and
// for addresses and prefixes. Put it in Router.Local at ff02::2/128 and ff02::1:2/128, and give the sessions' links to the
// Router through Link. It must not be copied.
//
//	         Link, Serve                            ff02::2 ── solicitation ──► within 0.5 s ──┐
//	session ─────────────► at once, 3 times in 48 s, then each 200 to 600 s ───────────────────┼─► advertisement
//	                       ctx, Close of the Server: lifetime 0 ───────────────────────────────┘
//
//	ff02::1:2 ── DHCPv6 ──► bindings of the session ──► Routes, until released, expired, or the link ends
//
// What a session is given is routed to it and may be its source while it has it: a Session's Prefixes and Addr as long as
// the link lives, what is delegated as long as it is, unless the link has it in its own Prefixes and not, if it has a method
// Delegable() []netip.Prefix, as a *ppp.Conn, in those. A link that has a method Give([]netip.Prefix), as a *ppp.Conn, is told.
// A prefix that was given back, or has expired, stays the session's until that ends: who asks again gets the same.
type Server struct {
	// Session says what to tell the far side of a link. It is called by Link and must not block. nil means FromLink.
	Session func(l tunnel.Link) Session

	Routes tunnel.RouteTable // where delegated prefixes are routed: the Router's; nil routes none

	Interval  time.Duration // 0 means DefaultInterval; no less than 4 s, no more than 30 min
	Preferred time.Duration // 0 means DefaultPreferred
	Valid     time.Duration // 0 means DefaultValid; no less than Preferred
	DUID      []byte        // identifies the server (RFC 8415 section 11); nil means a random DUID-UUID (RFC 6355)
	Logger    *slog.Logger  // nil is silent

	once   sync.Once
	duid   []byte
	counts counters

	mu     sync.Mutex
	links  map[*serverLink]struct{}
	closed bool
}

var _ tunnel.Receiver = (*Server)(nil)

// Stats counts what a Server has heard and said.
type Stats struct {
	Advertised uint64 // advertisements sent
	Answered   uint64 // DHCPv6 messages answered
	Refused    uint64 // messages that were none, or not for a server, or from no link of the Server
	Limited    uint64 // messages beyond what one session may send
	Delegated  int64  // prefixes that are delegated now
}

type counters struct {
	advertised, answered, refused, limited atomic.Uint64
	delegated                              atomic.Int64
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	c := &s.counts
	return Stats{c.advertised.Load(), c.answered.Load(), c.refused.Load(), c.limited.Load(), c.delegated.Load()}
}

func (s *Server) start() {
	s.once.Do(func() {
		if s.duid = s.DUID; len(s.duid) == 0 {
			s.duid = make([]byte, 18)
			rand.Read(s.duid)
			s.duid[0], s.duid[1] = 0, 4
			s.duid[8], s.duid[10] = s.duid[8]&0x0f|0x40, s.duid[10]&0x3f|0x80 // a random UUID: RFC 9562 section 5.4
		}
	})
}

func (s *Server) interval() time.Duration {
	if s.Interval <= 0 {
		return DefaultInterval
	}
	return min(max(s.Interval, 4*time.Second), 30*time.Minute)
}

func (s *Server) lifetimes() (preferred, valid time.Duration) {
	if preferred = s.Preferred; preferred <= 0 {
		preferred = DefaultPreferred
	}
	if valid = s.Valid; valid <= 0 {
		valid = DefaultValid
	}
	return preferred, max(valid, preferred)
}

// Receive answers what from sent: it must be a link that Link has made.
func (s *Server) Receive(from tunnel.PacketWriter, bufs [][]byte, offset int) (n int, err error) {
	l, ok := tunnel.As[*serverLink](from)
	if !ok || l.server != s {
		s.counts.refused.Add(uint64(len(bufs)))
		return len(bufs), nil
	}
	for _, b := range bufs {
		if len(b) <= offset || !l.receive(from, b[offset:]) {
			s.counts.refused.Add(1)
		}
	}
	return len(bufs), nil
}

// Write is Receive from nobody, who gets no answer.
func (s *Server) Write(bufs [][]byte, offset int) (n int, err error) {
	return s.Receive(nil, bufs, offset)
}

// Close tells the far sides of all links that this end is no router any more, takes back what it has delegated, and
// answers nothing from then on. Call it while the links live.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	links := s.links
	s.links = nil
	s.mu.Unlock()
	for l := range links {
		l.end(true)
	}
	return nil
}

// add makes l a link of the Server.
func (s *Server) add(l *serverLink) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.links == nil {
		s.links = make(map[*serverLink]struct{})
	}
	s.links[l] = struct{}{}
	return true
}

func (s *Server) remove(l *serverLink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, l)
}
