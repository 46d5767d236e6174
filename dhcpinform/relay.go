package dhcpinform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/dialway/dialway/tunnel"
)

const (
	// DefaultMaxHops is how many relays an inform may have passed: RFC 1542 section 4.1.1 has 4 as its default.
	DefaultMaxHops = 4

	maxHops    = 16 // RFC 1542 section 4.1.1
	relayQueue = 256
)

// A Relay passes informs to DHCP servers and their answers back: a relay agent of RFC 1542 and RFC 3046 for clients of
// PPP. Put it in Router.Local at 255.255.255.255/32, and at the server's own address with Next, run Serve, and give the
// sessions' links to the Router through Link. It must not be copied.
//
//	session ── Receive ── is its own? ── rate ── giaddr, hops, option 82 ── Serve ──► every server
//	   ▲                                             │ question
//	   │                                             ▼
//	   ├── port 68 ◄── xid, address, hardware ◄── giaddr:67   (dnsmasq)            Serve
//	   └── port 68 ◄── xid, address, hardware ◄── ciaddr:67, ciaddr:68 (Kea, ISC)  Link
//
// It changes giaddr and hops, puts option 82 in and takes it out again, and leaves all other bytes as they are. What is
// no inform is not relayed: a PPP client has no leases.
type Relay struct {
	Servers []netip.AddrPort // all are asked; IPv4; port 0 means 67
	Addr    netip.Addr       // giaddr: what servers answer to, and choose the subnet by; IPv4

	// Agent returns option 82 for a client; via is its link, as routed. It is called on the link's goroutine and must not
	// block. nil sends none.
	Agent func(client netip.Addr, via tunnel.PacketWriter) AgentInfo

	// Transparent sends informs to the servers as packets of the client's, through Next, without giaddr and option 82, and
	// needs no Serve: for servers that have a route to the clients and choose the subnet by ciaddr, as ISC dhcpd and Kea do.
	Transparent bool

	Secs    uint16              // relay only what a client has asked for so many seconds: for a second server
	MaxHops uint8               // what passed more relays is dropped; 0 means DefaultMaxHops, more than 16 means 16
	Next    tunnel.PacketWriter // takes what is not for a DHCP server, such as Router.Uplink; nil drops it
	Logger  *slog.Logger        // nil is silent

	once   sync.Once
	queue  chan []byte // what Serve sends
	peers  peers
	asks   asks
	counts counters
}

var _ tunnel.Receiver = (*Relay)(nil)

func (r *Relay) start() {
	r.once.Do(func() { r.queue = make(chan []byte, relayQueue) })
}

// Receive passes on what from sent.
func (r *Relay) Receive(from tunnel.PacketWriter, bufs [][]byte, offset int) (n int, err error) {
	return sift(bufs, offset, func(b []byte) bool {
		d, ok := forServer(b)
		if ok {
			r.receive(from, d)
		}
		return ok
	}, func(bufs [][]byte, offset int) (int, error) { return toNext(r.Next, bufs, offset) })
}

// Write is Receive from nobody, for whom nothing is relayed.
func (r *Relay) Write(bufs [][]byte, offset int) (n int, err error) {
	return r.Receive(nil, bufs, offset)
}

// Stats returns the counts so far.
func (r *Relay) Stats() Stats { return r.counts.load() }

func (r *Relay) receive(from tunnel.PacketWriter, d datagram) {
	r.start()
	m, ok := parseMessage(d.payload)
	prefixes, known := prefixesOf(from)
	if !ok || from == nil || !mayInform(d, m, prefixes, known) || m.hops() > r.maxHops() {
		r.counts.refused.Add(1)
		return
	}
	now := time.Now()
	if !r.peers.allow(from, now) {
		r.counts.limited.Add(1)
		return
	}
	if m.secs() < r.Secs || !r.Transparent && !r.Addr.Is4() || r.Transparent && r.Next == nil {
		r.counts.dropped.Add(1)
		return
	}
	q := &question{xid: m.xid(), client: d.src, hw: m.hardware(), via: from}
	r.asks.add(q, now) // first: a server may be quick
	if r.Transparent {
		r.route(m, d.src)
		r.counts.asked.Add(1)
		return
	}
	select {
	case r.queue <- r.relayed(m, d.src, from):
		r.counts.asked.Add(1)
	default:
		r.asks.remove(q)
		r.counts.dropped.Add(1)
	}
}

func (r *Relay) maxHops() uint8 {
	if r.MaxHops == 0 {
		return DefaultMaxHops
	}
	return min(r.MaxHops, maxHops)
}

// relayed returns what the servers are sent for m: RFC 1542 section 4.1.1.
func (r *Relay) relayed(m message, client netip.Addr, from tunnel.PacketWriter) message {
	var data []byte
	if r.Agent != nil {
		data = r.Agent(client, from).data()
	}
	out, _ := appendAgent(m, data)
	copy(out[atGIAddr:], r.Addr.AsSlice())
	out[atHops]++
	return out
}

// route sends m to the servers as the client would have sent it, had it known them: such a message is not relayed, and
// RFC 1542 and RFC 3046 have no say in it.
func (r *Relay) route(m message, client netip.Addr) {
	for _, s := range r.Servers {
		p := append(make([]byte, headroom+headers, headroom+headers+len(m)), m...)
		p = sealPacket(p, headroom, netip.AddrPortFrom(client, clientPort), withPort(s))
		r.Next.Write([][]byte{p}, headroom) // what is lost the client asks again
	}
}

// withPort returns a server with its port.
func withPort(s netip.AddrPort) netip.AddrPort {
	if s.Port() == 0 {
		return netip.AddrPortFrom(s.Addr().Unmap(), serverPort)
	}
	return netip.AddrPortFrom(s.Addr().Unmap(), s.Port())
}

// Serve asks the servers from pc, takes their answers there and closes it; pc is bound to port 67 of Addr, where servers
// answer. It runs until ctx ends or pc fails, once at a time. The error is never nil.
func (r *Relay) Serve(ctx context.Context, pc net.PacketConn) error {
	defer pc.Close()
	if !r.Addr.Is4() || len(r.Servers) == 0 {
		return fmt.Errorf("dhcpinform: relay of address %v with %d servers", r.Addr, len(r.Servers))
	}
	r.start()
	stop := context.AfterFunc(ctx, func() { pc.Close() })
	defer stop()
	sending, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.send(sending, pc)
	}()
	defer func() {
		cancel()
		pc.Close()
		<-done
	}()
	buf := make([]byte, 1<<16)
	for failures := 0; ; {
		n, from, err := pc.ReadFrom(buf)
		if ctx.Err() != nil {
			return fmt.Errorf("dhcpinform: %w", context.Cause(ctx))
		}
		if err != nil {
			// A server that is down may show in the next read: on Windows as WSAECONNRESET.
			if failures++; errors.Is(err, net.ErrClosed) || failures > 10 {
				return fmt.Errorf("dhcpinform: %w", err)
			}
			continue
		}
		failures = 0
		r.answer(buf[:n], from)
	}
}

// send sends what waits to all servers: RFC 1542 section 4.1.1 wants all messages of a client to go to the same ones.
func (r *Relay) send(ctx context.Context, pc net.PacketConn) {
	to := make([]net.Addr, len(r.Servers))
	for i, s := range r.Servers {
		to[i] = net.UDPAddrFromAddrPort(withPort(s))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-r.queue:
			for _, a := range to {
				if _, err := pc.WriteTo(m, a); err != nil && ctx.Err() == nil && r.Logger != nil {
					r.Logger.Warn("inform not relayed", "server", a, "err", err)
				}
			}
		}
	}
}

// answer gives an answer that came to giaddr to its session: RFC 1542 section 4.1.2, but to ciaddr, since an answer to an
// inform has no yiaddr.
func (r *Relay) answer(b []byte, from net.Addr) {
	m, ok := parseMessage(b)
	if !ok || !isServer(r.Servers, addrOf(from)) || m.giaddr() != r.Addr {
		r.counts.strange.Add(1)
		return
	}
	q := r.asks.find(m, m.ciaddr(), time.Now())
	if q == nil {
		r.counts.strange.Add(1)
		return
	}
	to := q.client
	if m.broadcast() {
		to = broadcast
	}
	p := append(make([]byte, headroom+headers, headroom+headers+len(m)), m...)
	stripAgent(p[headroom+headers:])
	p = sealPacket(p, headroom, netip.AddrPortFrom(r.Addr, serverPort), netip.AddrPortFrom(to, clientPort))
	if n, err := q.via.Write([][]byte{p}, headroom); err != nil || n != 1 {
		return // the session has ended, or its link is full: the client asks again
	}
	r.counts.answered.Add(1)
	if r.Logger != nil {
		r.Logger.Debug("answer relayed", "client", q.client, "server", from)
	}
}

func addrOf(a net.Addr) netip.Addr {
	if u, ok := a.(*net.UDPAddr); ok {
		return u.AddrPort().Addr()
	}
	p, _ := netip.ParseAddrPort(a.String())
	return p.Addr()
}
