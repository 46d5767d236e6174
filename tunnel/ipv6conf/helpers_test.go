package ipv6conf

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func adr(s string) netip.Addr   { return netip.MustParseAddr(s) }

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, adr(s))
	}
	return out
}

var (
	near, far = adr("fe80::1"), adr("fe80::2:3:4:5") // the server's, the client's
	serverID  = []byte{0, 3, 0, 1, 2, 0, 0, 0, 0, 1}
	clientID  = []byte{0, 3, 0, 1, 2, 0, 0, 0, 0, 2}
)

// A testLink is a link in memory that has prefixes, and is told what its far side may send from.
type testLink struct {
	tunnel.Link
	prefixes []netip.Prefix

	mu    sync.Mutex
	given []netip.Prefix
	own   []netip.Prefix
}

func (l *testLink) Prefixes() []netip.Prefix { return l.prefixes }
func (l *testLink) PeerAddrs() []netip.Addr  { return []netip.Addr{far} }

func (l *testLink) Give(list []netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.given = slices.Clone(list)
}

func (l *testLink) Own(list []netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own = slices.Clone(list)
}

func (l *testLink) has() (given, own []netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.given, l.own
}

// A site is a Server behind a Router, with one link that is served.
type site struct {
	t      *testing.T
	server *Server
	router *tunnel.Router
	table  *tunnel.Table
	link   *testLink
	routed tunnel.Link // as the Router has it
	far    tunnel.Link // the other end

	cancel context.CancelFunc
	ended  chan error
}

func newSite(t *testing.T, s *Server, prefixes ...string) *site {
	t.Helper()
	x := &site{t: t, server: s, table: new(tunnel.Table), ended: make(chan error, 1)}
	s.DUID = serverID
	s.Routes = x.table
	x.router = &tunnel.Router{Routes: x.table, Local: new(tunnel.Table)}
	x.router.Local.Insert(pfx("ff02::2/128"), s, 0)
	x.router.Local.Insert(pfx("ff02::1:2/128"), s, 0)
	a, b := tunneltest.Pipe(netip.PrefixFrom(near, 128), netip.PrefixFrom(far, 128))
	x.link, x.far = &testLink{Link: a}, b
	for _, p := range prefixes {
		x.link.prefixes = append(x.link.prefixes, pfx(p))
	}
	x.routed = s.Link(x.link)
	return x
}

func (x *site) serve() {
	var ctx context.Context
	ctx, x.cancel = context.WithCancel(x.t.Context())
	go func() { x.ended <- x.router.ServeLink(ctx, x.routed) }()
}

func (x *site) end() {
	x.cancel()
	<-x.ended
}

// A said is what the far side of a site got, and when.
type said struct {
	at time.Duration
	b  []byte
}

// An ear keeps what is said to the far side.
type ear struct {
	mu  sync.Mutex
	got []said
}

func (x *site) listen() *ear {
	e, began := new(ear), time.Now()
	go x.far.Serve(x.t.Context(), func(bufs [][]byte, offset int) (int, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, b := range bufs {
			e.got = append(e.got, said{time.Since(began), bytes.Clone(b[offset:])})
		}
		return len(bufs), nil
	})
	return e
}

func (e *ear) take() []said {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	got := e.got
	e.got = nil
	return got
}

// say sends a packet that stands behind headroom from the far side.
func (x *site) say(b []byte) {
	x.t.Helper()
	if n, err := x.far.Write([][]byte{b}, headroom); n != 1 || err != nil {
		x.t.Fatalf("Write: %d, %v", n, err)
	}
	synctest.Wait()
}

func solicitation(src, dst netip.Addr, options ...byte) []byte {
	return sealICMP(append(append(newICMP(src, dst, routerSolicitation), 0, 0, 0, 0), options...))
}

func datagram(src, dst netip.Addr, m dhcpMessage) []byte {
	return sealUDP(m.appendTo(newUDP(src, dst, clientPort, serverPort)))
}

// adverts are the advertisements in what was got.
func adverts(t *testing.T, got []said) (list []advert, to []netip.Addr, at []time.Duration) {
	t.Helper()
	for _, p := range got {
		m, ok := parseND(p.b)
		if !ok || m.typ != routerAdvertisement {
			continue
		}
		a, ok := parseAdvert(m.body)
		if !ok || m.src != near {
			t.Errorf("advertisement from %v: %x", m.src, p.b)
		}
		list, to, at = append(list, a), append(to, m.dst), append(at, p.at)
	}
	return list, to, at
}

// replies are the DHCPv6 messages in what was got.
func replies(t *testing.T, got []said) (list []dhcpMessage) {
	t.Helper()
	for _, p := range got {
		u, ok := parseUDP(p.b)
		if !ok {
			continue
		}
		m, ok := parseDHCP(u.body)
		if !ok || u.src != near || u.dst != far || u.to != clientPort {
			t.Errorf("from %v to %v:%d: %x", u.src, u.dst, u.to, p.b)
		}
		list = append(list, m)
	}
	return list
}

// ask sends a DHCPv6 message and returns the answers.
func (x *site) ask(e *ear, m dhcpMessage) []dhcpMessage {
	x.t.Helper()
	if m.client == nil {
		m.client = clientID
	}
	m.xid, m.elapsed = [3]byte{1, 2, 3}, 0
	time.Sleep(time.Second) // the rate
	x.say(datagram(far, allServers, m))
	list := replies(x.t, e.take())
	for _, r := range list {
		if r.xid != m.xid || !bytes.Equal(r.client, m.client) || !bytes.Equal(r.server, serverID) {
			x.t.Errorf("answer %+v to %+v", r, m)
		}
	}
	return list
}

func (x *site) routes() (list []netip.Prefix) {
	for r := range x.table.All() {
		if r.Via != x.routed {
			x.t.Errorf("%v leads to %v", r.Prefix, r.Via)
		}
		list = append(list, r.Prefix)
	}
	return list
}

// fourOnly is a link without IPv6.
type fourOnly struct{ tunnel.Link }

var errFourOnly = errors.New("IPv4 only")

func (fourOnly) Addrs() []netip.Addr { return addrs("10.8.0.1") }
func (fourOnly) Serve(context.Context, func([][]byte, int) (int, error)) error {
	return errFourOnly
}
