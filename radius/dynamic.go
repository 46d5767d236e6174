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

// Dynamic answers Disconnect and CoA requests against open sessions (RFC 5176). Set Sessions, or Handler, and Clients. It
// must not be copied once it serves.
//
// A request names sessions by any of User-Name, Acct-Session-Id, NAS-Port-Id, Framed-IP-Address, Framed-IPv6-Address,
// Framed-IPv6-Prefix, Framed-Interface-Id and Calling-Station-Id; all that it has must fit, Called-Station-Id, too. A
// Disconnect ends every session that fits, and tells it a Reply-Message; one with attributes beside those is refused. A CoA
// changes of each Session-Timeout, Idle-Timeout, Acct-Interim-Interval, Filter-Id, and the rates WISPr-Bandwidth-Max-Up
// and -Down, and what Change does; one with another attribute to change is refused whole. A Session-Timeout counts from
// when the session opened.
type Dynamic struct {
	Sessions *ppp.Sessions                              // required without Handler
	Clients  func(from netip.Addr) (Secret, bool)       // who may ask; required; Secrets.Find fits
	NAS      string                                     // NAS-Identifier of this end; a request for another is refused; empty takes any
	NASAddr  netip.Addr                                 // as NAS-IP-Address; zero takes any
	Filter   func(id string) (func([]byte) bool, error) // as Client.Filter; nil refuses a CoA with Filter-Id
	Change   func(g *ppp.Grant, p *Packet) error        // may act on attributes of one's own, which then are no reason to refuse; an error refuses
	Undated  bool                                       // takes requests without Event-Timestamp: a replay is then known for ten minutes only
	Logger   *slog.Logger                               // nil is silent

	// Handler sees every request first that is verified, new and of now: a Proxy's Handle passes it on. A nil answer with a nil
	// error goes on to Sessions; an error sends nothing, and the request may come again. It may take as long as it likes: up to
	// 256 are worked at, each on a goroutine of its own. nil goes on.
	Handler Handler

	mu      sync.Mutex
	closing bool
	conns   map[*net.PacketConn]struct{}
	seen    seenRequests
	pending int // at work in Handler

	_ [0]func()
}

// Serve answers what comes by pc until Shutdown or Close, which close pc. It never returns nil.
func (d *Dynamic) Serve(pc net.PacketConn) error {
	defer pc.Close()
	if d.Clients == nil || d.Sessions == nil && d.Handler == nil {
		return errors.New("radius: a Dynamic without Clients, or without Sessions and Handler")
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
	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // before it
	return receive(pc, d.isClosing, func(from netip.AddrPort, b []byte) {
		d.take(ctx, &work, from, b, func(answer []byte) { pc.WriteTo(answer, net.UDPAddrFromAddrPort(from)) })
	})
}

func (d *Dynamic) isClosing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closing
}

// Shutdown is Close: a request that has no answer is asked again, by who sends it, of another.
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

// take verifies a request, acts and sends the answer, if there is one. What a Handler may take long for is done by a
// goroutine of work's, with a ctx that ends with what the request came by.
//
//	known client ─▶ parsed ─▶ code ─▶ verified ─▶ new ─▶ of now ─▶ Handler, or for this NAS ─▶ acted on, the answer kept
//	                                               │ seen
//	                                               └─▶ the same answer; nothing while it is worked at
func (d *Dynamic) take(ctx context.Context, work *sync.WaitGroup, from netip.AddrPort, b []byte, send func([]byte)) {
	secret, ok := d.Clients(from.Addr())
	if !ok || secret == "" {
		d.drop(from, errors.New("not a client"))
		return
	}
	d.answer(ctx, work, from, secret, b, send)
}

func (d *Dynamic) drop(from netip.AddrPort, why error) {
	if why != ErrDrop {
		d.log().Warn("radius: dynamic authorization dropped", "from", from, "err", why)
	}
}

// answer is take for one whose secret is known.
func (d *Dynamic) answer(ctx context.Context, work *sync.WaitGroup, from netip.AddrPort, secret Secret, b []byte, send func([]byte)) {
	p, err := Parse(b)
	if err != nil {
		d.drop(from, err)
		return
	}
	if !p.Code.isDynamic() {
		d.drop(from, fmt.Errorf("%v", p.Code))
		return
	}
	if _, err := verifyRequest(trim(b), secret); err != nil {
		d.drop(from, err)
		return
	}
	act := func() {
		q, err := d.obey(ctx, from, p)
		var answer []byte
		if err == nil {
			answer, err = encode(q, p.Identifier, p.Authenticator, secret, true)
		}
		if err != nil {
			d.drop(from, err)
			return
		}
		send(answer)
	}
	switch {
	case d.Handler == nil:
		act()
	case d.enter():
		work.Go(func() {
			defer d.leave()
			act()
		})
	default:
		d.drop(from, errors.New("too many requests are worked at"))
	}
}

// mostDynamic is how many requests are worked at in a Handler.
const mostDynamic = 256

func (d *Dynamic) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pending >= mostDynamic {
		return false
	}
	d.pending++
	return true
}

func (d *Dynamic) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending--
}

// Handle is a Handler: as one of a Server, it answers Disconnect and CoA requests that come by ServeTLS, and leaves
// others. Neither Clients nor Serve is needed for it.
func (d *Dynamic) Handle(ctx context.Context, from netip.AddrPort, p *Packet) (*Packet, error) {
	if !p.Code.isDynamic() {
		return nil, nil
	}
	q, err := d.obey(ctx, from, p)
	if err != nil {
		d.drop(from, err)
		return nil, ErrDrop
	}
	return q, nil
}

// obey does what a verified request asks, once.
func (d *Dynamic) obey(ctx context.Context, from netip.AddrPort, p *Packet) (*Packet, error) {
	e, kept, err := d.begin(from.Addr(), p)
	if e == nil {
		return kept, err
	}
	q, err := d.decide(ctx, from, p)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.seen.forget(e)
		return nil, err
	}
	repeatStates(q, p)
	e.answer = q
	return q.clone(), nil
}

// begin notes a request that is new and of now; of another it returns the answer, or why there is none.
func (d *Dynamic) begin(from netip.Addr, p *Packet) (e *seenEntry, kept *Packet, err error) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.seen.find(from, p.Authenticator, now); old != nil {
		if old.answer == nil {
			return nil, nil, ErrDrop // it is worked at
		}
		return nil, old.answer.clone(), nil
	}
	if at, dated := p.uint32(EventTimestamp); !isOfNow(dated, time.Unix(int64(at), 0), now, d.Undated) {
		// RFC 5176 section 6.3: silently.
		return nil, nil, errors.New("no Event-Timestamp within five minutes: the clocks differ, or it is a replay; Dynamic.Undated takes requests without")
	}
	return d.seen.add(from, p.Authenticator, now), nil, nil
}

// decide asks the Handler, and else does it here.
func (d *Dynamic) decide(ctx context.Context, from netip.AddrPort, p *Packet) (*Packet, error) {
	if d.Handler != nil {
		if q, err := d.Handler(ctx, from, p.clone()); q != nil || err != nil {
			return q, err
		}
	}
	if d.Sessions == nil {
		return nil, errors.New("nobody here is asked by who sends it")
	}
	return d.act(from, p), nil
}

// repeatStates gives an answer the Proxy-States and the State of its request, RFC 5176 sections 3.1 and 3.3.
func repeatStates(q, p *Packet) {
	for _, a := range [...]Attr{ProxyState, State} {
		if _, ok := q.Get(a); ok {
			continue
		}
		for t, v := range p.All() {
			if t == a {
				q.Add(a, v)
			}
		}
	}
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
	answer *Packet // nil: it is worked at
}

const (
	dateWindow = 5 * time.Minute // RFC 5176 section 6.3
	keepSeen   = 2 * dateWindow
)

func (s *seenRequests) find(from netip.Addr, auth [16]byte, now time.Time) *seenEntry {
	for len(s.queue) > 0 && now.Sub(s.queue[0].at) > keepSeen {
		s.forget(s.queue[0])
		s.queue = s.queue[1:]
	}
	return s.entries[seenKey{from, auth}]
}

func (s *seenRequests) add(from netip.Addr, auth [16]byte, now time.Time) *seenEntry {
	if s.entries == nil {
		s.entries = make(map[seenKey]*seenEntry)
	}
	e := &seenEntry{key: seenKey{from, auth}, at: now}
	s.entries[e.key] = e
	s.queue = append(s.queue, e)
	return e
}

// forget lets a request be new again.
func (s *seenRequests) forget(e *seenEntry) {
	if s.entries[e.key] == e {
		delete(s.entries, e.key)
	}
}
