package dhcpinform

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// A leaseServer is a DHCP server with a test's whims.
type leaseServer struct {
	t    *testing.T
	wire *wire
	id   netip.Addr
	from netip.AddrPort

	mu      sync.Mutex
	seconds uint32 // of a lease
	silent  bool
	refuse  byte // the message type that is answered by NAK
	same    bool // one address for all
	lazy    bool // an address is kept when it is leased, not when it is offered
	next    uint32
	offered netip.Addr
	held    map[string]netip.Addr // by client identifier
	free    []netip.Addr          // released
	heard   []heard

	stop func() // ends the pool; the server hears what it says then
}

// A heard is a message of a client.
type heard struct {
	at   time.Time
	to   netip.AddrPort
	kind byte
	id   string
	addr netip.Addr // requested or ciaddr
	m    message
}

// leaseHost runs a server and a pool until the test's end.
func leaseHost(t *testing.T, p *LeasePool, change ...func(*leaseServer)) *leaseServer {
	t.Helper()
	s := &leaseServer{t: t, wire: newWire(), id: adr("192.0.2.1"), seconds: 3600, next: 10, held: make(map[string]netip.Addr)}
	s.from = netip.AddrPortFrom(s.id, 67)
	for _, f := range change {
		f(s)
	}
	if p.Hardware == nil {
		p.Hardware = []byte{2, 0, 0, 0, 0, 9}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	heardAll := make(chan struct{})
	go func() { s.run(); close(heardAll) }()
	go func() { ended <- p.Serve(ctx, s.wire) }()
	s.stop = sync.OnceFunc(func() { cancel(); <-ended; <-heardAll })
	t.Cleanup(s.stop)
	return s
}

func (s *leaseServer) run() {
	for {
		select {
		case p := <-s.wire.out:
			s.hear(p)
		case <-s.wire.closed:
			for { // what was sent before
				select {
				case p := <-s.wire.out:
					s.hear(p)
				default:
					return
				}
			}
		}
	}
}

func (s *leaseServer) hear(p packet2) {
	m, ok := parseMessage(p.b)
	id, has := m.option(optClient)
	if !ok || !has || m.op() != request {
		s.t.Errorf("%x is no client's message", p.b)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := heard{at: time.Now(), to: p.addr, kind: m.kind(), id: string(id), addr: m.ciaddr(), m: m}
	if d, ok := m.option(optAddress); ok && len(d) == 4 {
		h.addr = netip.AddrFrom4([4]byte(d))
	}
	s.heard = append(s.heard, h)
	if s.silent {
		return
	}
	if s.refuse != 0 && s.refuse == h.kind {
		s.answer(m, typeNAK, netip.AddrFrom4([4]byte{}))
		return
	}
	switch h.kind {
	case typeDiscover:
		a, known := s.held[h.id]
		switch {
		case known:
		case s.same:
			a = adr("192.0.2.10")
		case len(s.free) > 0:
			a, s.free = s.free[0], s.free[1:]
		default:
			a = netip.AddrFrom4([4]byte{192, 0, 2 + byte(s.next>>8), byte(s.next)})
			s.next++
		}
		if s.lazy && !known {
			s.next-- // anybody who asks is offered it
			s.offered = a
		} else {
			s.held[h.id] = a
		}
		s.answer(m, typeOffer, a)
	case typeRequest:
		if s.lazy && h.addr == s.offered && s.offered.IsValid() {
			s.held[h.id], s.offered = h.addr, netip.Addr{}
			s.next++
		}
		if a, known := s.held[h.id]; known && a == h.addr {
			s.answer(m, typeACK, a)
		} else {
			s.answer(m, typeNAK, netip.AddrFrom4([4]byte{}))
		}
	case typeDecline:
		delete(s.held, h.id)
	case typeRelease:
		s.free = append(s.free, s.held[h.id])
		delete(s.held, h.id)
	}
}

// answer sends an answer.
func (s *leaseServer) answer(m message, kind byte, a netip.Addr) {
	s.wire.in <- packet2{leaseAnswer(m, kind, a, s.id, s.seconds), s.from}
}

// leaseAnswer makes a server's answer to m.
func leaseAnswer(m message, kind byte, a, server netip.Addr, seconds uint32) message {
	b := appendHeader(nil, reply, m.hardware(), m.xid(), 0, 0, m.ciaddr())
	copy(b[atYIAddr:], a.AsSlice())
	b = appendOption(b, optType, []byte{kind})
	b = appendOption(b, optServer, server.AsSlice())
	if kind != typeNAK {
		b = appendOption(b, optLeaseTime, binary.BigEndian.AppendUint32(nil, seconds))
	}
	return finish(b, 0)
}

// set changes the server's mind.
func (s *leaseServer) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// count says how many messages of a kind came, and forgets them if told to.
func (s *leaseServer) count(kind byte) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.heard {
		if h.kind == kind {
			n++
		}
	}
	return n
}

// take returns what was heard since the last take.
func (s *leaseServer) take() []heard {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.heard
	s.heard = nil
	return list
}

func lease1(t *testing.T, p *LeasePool, user string) netip.Addr {
	t.Helper()
	got, err := p.Get(t.Context(), "", user)
	if err != nil || len(got) != 1 || got[0].Bits() != 32 {
		t.Fatalf("%s: %v, %v", user, got, err)
	}
	return got[0].Addr()
}

func single(a netip.Addr) []netip.Prefix { return []netip.Prefix{netip.PrefixFrom(a, 32)} }

func mustNot(t *testing.T, p *LeasePool, user string) error {
	t.Helper()
	got, err := p.Get(t.Context(), "", user)
	if err == nil {
		t.Fatalf("%s got %v", user, got)
	}
	return err
}

func users(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint("user", i))
	}
	return list
}
