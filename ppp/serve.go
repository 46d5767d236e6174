package ppp

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

var errServed = errors.New("ppp: Serve of a link that is being opened or served")

// Serve hands the far side's packets to to until the link ends or ctx does; then it says goodbye, closes the link and
// returns why, never nil. Its goroutine is the link's: it answers keepalives and runs the timers. One call at a time.
//
// The buffers are to's until it returns, [:offset] is scratch, and nothing of them may be kept. Sources are checked:
// only packets from Prefixes (or what Expect says) pass, and at a client only those for this end's addresses. An error
// of to ends the session.
func (c *Conn) Serve(ctx context.Context, to func(bufs [][]byte, offset int) (n int, err error)) error {
	if c.ended.Load() {
		return c.closedError()
	}
	if !c.r.TryLock() {
		if c.asked.Load() != nil {
			<-c.ctx.Done() // the goodbye is under way
			return c.closedError()
		}
		return errServed
	}
	defer c.r.Unlock()
	if c.phase == phaseNew {
		return errors.New("ppp: Serve of a link that was not opened")
	}
	if c.unused != nil {
		c.unused.Stop()
	}
	stop := context.AfterFunc(ctx, func() {
		t := &TerminatedError{Cause: UserRequest, Err: context.Cause(ctx)}
		if c.server {
			t.Cause = AdminReboot
		}
		c.asked.CompareAndSwap(nil, t)
		c.poke()
	})
	defer stop()
	c.takeEarly(time.Now(), to)
	return c.run(to)
}

// pass hands a run of packets on.
func (c *Conn) pass(now time.Time, bufs [][]byte, offset int, to func(bufs [][]byte, offset int) (int, error)) {
	if c.phase != phaseOpen {
		c.rxDrops.Add(uint64(len(bufs)))
		return
	}
	var bytes int
	for _, b := range bufs {
		bytes += len(b) - offset
	}
	c.lastUse = now
	c.rxPkts.Add(uint64(len(bufs)))
	c.rxBytes.Add(uint64(bytes))
	if _, err := to(bufs, offset); err != nil {
		c.end(now, &TerminatedError{Cause: NASError, Reason: "the packets' taker failed", Err: err})
	}
}

// packet examines an IP packet of the far side: its length if it passes, 0 if it does not.
func (c *Conn) packet(now time.Time, proto uint16, p []byte) int {
	src, dst, size := addresses(proto, p)
	if size == 0 {
		return 0
	}
	ncp := &c.ipcp.automaton
	if proto == protoIPv6 {
		ncp = &c.ipv6cp.automaton
	}
	if !mayPassData(ncp.opened(), c.fc.Bound()) || c.phase != phaseOpen {
		return 0
	}
	i := c.info.Load()
	if dst.IsLinkLocalUnicast() && dst.Is6() {
		c.linkLocalPacket(p[:size], src, dst)
		return 0
	}
	if !mayComeFrom(c.given(i, src, dst)) || !mayGoTo(c.server || c.router, c.own(i, dst)) {
		return 0
	}
	if g := c.grant.Load(); g != nil {
		if g.In != nil && !g.In(p[:size]) {
			return 0
		}
		if g.RateIn.Bits != 0 && !c.inRate.take(size, now) {
			return 0
		}
	}
	return size
}

// addresses reads an IP header; size is the packet's length, 0 for what is no packet of proto.
func addresses(proto uint16, p []byte) (src, dst netip.Addr, size int) {
	if proto == protoIPv4 {
		if len(p) < 20 || p[0]>>4 != 4 {
			return
		}
		n := int(binary.BigEndian.Uint16(p[2:]))
		if ihl := int(p[0]&15) * 4; ihl < 20 || n < ihl || n > len(p) {
			return
		}
		return netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20])), n
	}
	if len(p) < 40 || p[0]>>4 != 6 {
		return
	}
	n := 40 + int(binary.BigEndian.Uint16(p[4:]))
	if n > len(p) {
		return
	}
	return netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40])), n
}

// A srcCache remembers the last source that passed the list.
type srcCache struct{ addr netip.Addr }

// given reports whether the far side may send from src.
func (c *Conn) given(i *Info, src, dst netip.Addr) bool {
	if !src.IsValid() || src.IsMulticast() || src.IsUnspecified() {
		return false
	}
	if src.IsLinkLocalUnicast() && src.Is6() {
		// The far side's own, to everybody on the link: for what answers router solicitations or DHCPv6.
		return src == i.Peer6 && dst.IsMulticast()
	}
	if src == i.Local || src == i.Local6 {
		return false // it is this end's own
	}
	if src == c.src.addr || src == i.Peer {
		return true
	}
	if !c.server && !c.router {
		return true // a server may speak for everybody
	}
	ok := c.listed(src)
	if ok {
		c.src.addr = src
	}
	return ok
}

// listed looks src up in what the far side was given.
func (c *Conn) listed(src netip.Addr) bool {
	if c.router {
		for _, p := range c.expected {
			if p.Contains(src) {
				return true
			}
		}
	}
	if g := c.grant.Load(); g != nil && c.server {
		for _, p := range g.Prefixes {
			if p.Contains(src) {
				return true
			}
		}
	}
	for _, p := range c.addr.six {
		if p.Contains(src) {
			return true
		}
	}
	return false
}

// own reports whether a packet is for this end: its address, or everybody on the link.
func (c *Conn) own(i *Info, dst netip.Addr) bool {
	return dst == i.Local || dst.IsLinkLocalMulticast() || dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}) ||
		dst.Is4() && !i.Local.IsValid() // unnumbered
}
