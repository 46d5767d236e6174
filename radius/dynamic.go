package radius

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/dialway/dialway/ppp"
)

// Dynamic answers Disconnect and CoA requests against open sessions (RFC 5176). Set Sessions and Clients. It must not be
// copied once it serves.
//
// A request names sessions by any of User-Name, Acct-Session-Id, NAS-Port-Id, Framed-IP-Address, Framed-IPv6-Address,
// Framed-IPv6-Prefix, Framed-Interface-Id and Calling-Station-Id; all that it has must fit, Called-Station-Id, too. A
// Disconnect ends every session that fits, and tells it a Reply-Message; one with attributes beside those is refused. A CoA
// changes of each Session-Timeout, Idle-Timeout, Acct-Interim-Interval, Filter-Id, and the rates WISPr-Bandwidth-Max-Up
// and -Down, and what Change does; one with another attribute to change is refused whole. A Session-Timeout counts from
// when the session opened.
type Dynamic struct {
	Sessions *ppp.Sessions                              // required
	Clients  func(from netip.Addr) (Secret, bool)       // who may ask; required; Secrets.Find fits
	NAS      string                                     // NAS-Identifier of this end; a request for another is refused; empty takes any
	NASAddr  netip.Addr                                 // as NAS-IP-Address; zero takes any
	Filter   func(id string) (func([]byte) bool, error) // as Client.Filter; nil refuses a CoA with Filter-Id
	Change   func(g *ppp.Grant, p *Packet) error        // may act on attributes of one's own, which then are no reason to refuse; an error refuses
	Undated  bool                                       // takes requests without Event-Timestamp: a replay is then known for ten minutes only
	Logger   *slog.Logger                               // nil is silent

	mu      sync.Mutex
	closing bool
	conns   map[*net.PacketConn]struct{}
	seen    seenRequests

	_ [0]func()
}

// Serve answers what comes by pc until Shutdown or Close, which close pc. It never returns nil.
func (d *Dynamic) Serve(pc net.PacketConn) error {
	defer pc.Close()
	if d.Clients == nil || d.Sessions == nil {
		return errors.New("radius: a Dynamic without Clients or Sessions")
	}
	d.mu.Lock()
	if d.closing {
		d.mu.Unlock()
		return ErrServerClosed
	}
	if d.conns == nil {
		d.conns = make(map[*net.PacketConn]struct{})
	}
	d.conns[&pc] = struct{}{}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.conns, &pc)
		d.mu.Unlock()
	}()
	return receive(pc, d.isClosing, func(from netip.AddrPort, b []byte) {
		if answer := d.take(from, b); answer != nil {
			pc.WriteTo(answer, net.UDPAddrFromAddrPort(from))
		}
	})
}

func (d *Dynamic) isClosing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closing
}

// Shutdown is Close: no request takes long.
func (d *Dynamic) Shutdown(ctx context.Context) error { return d.Close() }

// Close ends Serve.
func (d *Dynamic) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closing = true
	for pc := range d.conns {
		(*pc).Close()
	}
	return nil
}

// take verifies a request, acts and returns the answer; nil: none.
//
//	known client ─▶ parsed ─▶ code ─▶ verified ─▶ new ─▶ of now ─▶ for this NAS ─▶ acted on, the answer kept
//	                                               │ seen
//	                                               └─▶ the same answer
func (d *Dynamic) take(from netip.AddrPort, b []byte) []byte {
	secret, ok := d.Clients(from.Addr())
	if !ok || secret == "" {
		return d.drop(from, errors.New("not a client"))
	}
	return d.answer(from, secret, b)
}

func (d *Dynamic) drop(from netip.AddrPort, why error) []byte {
	d.log().Warn("radius: dynamic authorization dropped", "from", from, "err", why)
	return nil
}

// answer is take for one whose secret is known.
func (d *Dynamic) answer(from netip.AddrPort, secret Secret, b []byte) []byte {
	p, err := Parse(b)
	if err != nil {
		return d.drop(from, err)
	}
	if p.Code != DisconnectRequest && p.Code != CoARequest {
		return d.drop(from, fmt.Errorf("%v", p.Code))
	}
	if _, err := verifyRequest(trim(b), secret); err != nil {
		return d.drop(from, err)
	}
	q, err := d.obey(from, p)
	if err != nil {
		return d.drop(from, err)
	}
	answer, err := encode(q, p.Identifier, p.Authenticator, secret, true)
	if err != nil {
		return d.drop(from, err)
	}
	return answer
}

// Handle is a Handler: as one of a Server, it answers Disconnect and CoA requests that come by ServeTLS, and leaves
// others. Neither Clients nor Serve is needed for it.
func (d *Dynamic) Handle(_ context.Context, from netip.AddrPort, p *Packet) (*Packet, error) {
	if p.Code != DisconnectRequest && p.Code != CoARequest {
		return nil, nil
	}
	q, err := d.obey(from, p)
	if err != nil {
		d.drop(from, err)
		return nil, ErrDrop
	}
	return q, nil
}

// obey does what a verified request asks, once.
func (d *Dynamic) obey(from netip.AddrPort, p *Packet) (*Packet, error) {
	now := time.Now()
	d.mu.Lock()
	kept, known := d.seen.find(from.Addr(), p.Authenticator, now)
	d.mu.Unlock()
	if known {
		return kept, nil
	}
	if at, dated := p.uint32(EventTimestamp); !isOfNow(dated, time.Unix(int64(at), 0), now, d.Undated) {
		// RFC 5176 section 6.3: silently.
		return nil, errors.New("no Event-Timestamp within five minutes: the clocks differ, or it is a replay; Dynamic.Undated takes requests without")
	}
	q := d.act(from, p)
	for a, v := range p.All() {
		if a == ProxyState || a == State { // RFC 5176 section 3.1 and 3.3
			q.Add(a, v)
		}
	}
	d.mu.Lock()
	d.seen.add(from.Addr(), p.Authenticator, now, q)
	d.mu.Unlock()
	return q.clone(), nil
}

func (d *Dynamic) log() *slog.Logger {
	if d.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Logger
}

// seenRequests are those of late, by who sent them and their Authenticator, which is a digest of all of the request. One
// is kept for twice as long as its Event-Timestamp may lie in the past or future, so that a replay is either old or known.
type seenRequests struct {
	entries map[seenKey]*seenEntry
	queue   []*seenEntry
}

type seenKey struct {
	from netip.Addr
	auth [16]byte
}

type seenEntry struct {
	key    seenKey
	at     time.Time
	answer *Packet
}

const (
	dateWindow = 5 * time.Minute // RFC 5176 section 6.3
	keepSeen   = 2 * dateWindow
)

func (s *seenRequests) find(from netip.Addr, auth [16]byte, now time.Time) (answer *Packet, known bool) {
	for len(s.queue) > 0 && now.Sub(s.queue[0].at) > keepSeen {
		delete(s.entries, s.queue[0].key)
		s.queue = s.queue[1:]
	}
	e := s.entries[seenKey{from, auth}]
	if e == nil {
		return nil, false
	}
	return e.answer.clone(), true
}

func (s *seenRequests) add(from netip.Addr, auth [16]byte, now time.Time, answer *Packet) {
	if s.entries == nil {
		s.entries = make(map[seenKey]*seenEntry)
	}
	e := &seenEntry{key: seenKey{from, auth}, at: now, answer: answer}
	s.entries[e.key] = e
	s.queue = append(s.queue, e)
}
