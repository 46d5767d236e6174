package dhcpinform

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// sift gives each packet to take and what it does not take, in runs, to next: a batch is its owner's, keeps its order
// and stays as it is. n is the packets taken by either.
func sift(bufs [][]byte, offset int, take func(b []byte) bool, next func(bufs [][]byte, offset int) (n int, err error)) (n int, err error) {
	run := 0
	for i, b := range bufs {
		if len(b) <= offset || !take(b[offset:]) {
			continue
		}
		if run < i {
			m, err := next(bufs[run:i], offset)
			if n += m; err != nil {
				return n, err
			}
		}
		n, run = n+1, i+1
	}
	if run < len(bufs) {
		m, err := next(bufs[run:], offset)
		return n + m, err
	}
	return n, nil
}

// Stats counts informs, by fate, and answers.
type Stats struct {
	Asked    uint64 // answered by the Responder, passed on by the Relay
	Refused  uint64 // not an inform from the address of its sender, or one that another relay has had
	Limited  uint64 // more than a session may send
	Dropped  uint64 // for which there was no answer, no room or no server
	Answered uint64 // answers given to links
	Strange  uint64 // answers that nobody asked for
}

type counters struct{ asked, refused, limited, dropped, answered, strange atomic.Uint64 }

func (c *counters) load() Stats {
	return Stats{c.asked.Load(), c.refused.Load(), c.limited.Load(), c.dropped.Load(), c.answered.Load(), c.strange.Load()}
}

// What one session may ask: a client tries four times in a minute, after a reconnect of its own perhaps at once.
const (
	askInterval = time.Second
	askBurst    = 8
	askLife     = time.Minute // how long an answer is waited for
)

// peers keeps each session to its rate. The zero peers is ready.
type peers struct {
	mu    sync.Mutex
	full  map[tunnel.PacketWriter]time.Time // when the bucket of a session is full again
	swept time.Time
}

func (p *peers) allow(via tunnel.PacketWriter, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full == nil {
		p.full = make(map[tunnel.PacketWriter]time.Time)
	}
	if now.Sub(p.swept) >= askLife { // forget who is gone, and who is as new
		for w, full := range p.full {
			if !full.After(now) {
				delete(p.full, w)
			}
		}
		p.swept = now
	}
	full := p.full[via]
	if full.Before(now) {
		full = now
	}
	full = full.Add(askInterval)
	if !mayAskNow(now, full) {
		return false
	}
	p.full[via] = full
	return true
}

// addrsOf returns this end's addresses on a link.
func addrsOf(w tunnel.PacketWriter) []netip.Addr {
	if l, ok := w.(interface{ Addrs() []netip.Addr }); ok {
		return l.Addrs()
	}
	return nil
}

// prefixesOf returns what the far side of a link may send from.
func prefixesOf(w tunnel.PacketWriter) (list []netip.Prefix, known bool) {
	if l, ok := w.(interface{ Prefixes() []netip.Prefix }); ok {
		return l.Prefixes(), true
	}
	return nil, false
}

// forServer reports whether a packet is for a DHCP server. It is false for what cannot be read, so that fragments and
// all else go where they would go without us.
func forServer(b []byte) (d datagram, ok bool) {
	d, ok = parseUDP(b)
	return d, ok && d.dstPort == serverPort
}

// toNext hands on what is not for a DHCP server: traffic with this host's own address, but no broadcasts, which would
// leave the link.
func toNext(next tunnel.PacketWriter, bufs [][]byte, offset int) (n int, err error) {
	if next == nil {
		return 0, nil
	}
	return sift(bufs, offset, isBroadcast, next.Write)
}

func isBroadcast(b []byte) bool {
	return len(b) >= ipHeader && netip.AddrFrom4([4]byte(b[16:20])) == broadcast && b[0]>>4 == 4
}
