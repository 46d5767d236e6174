package ppp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// What becomes of a packet of the far side, beside passing: then it is the packet's length.
const (
	dropped  = 0
	answered = -1
)

// packet examines an IP packet of the far side.
func (c *Conn) packet(now time.Time, proto uint16, p []byte) (size int) {
	src, dst, size := addresses(proto, p)
	if size == 0 {
		return dropped
	}
	ncp := &c.ipcp.automaton
	if proto == protoIPv6 {
		ncp = &c.ipv6cp.automaton
	}
	if !mayPassData(ncp.opened(), c.fc.Bound()) || c.phase != phaseOpen {
		return dropped
	}
	i := c.info.Load()
	p = p[:size]
	local := proto == protoIPv6 && onLink(src, dst)
	if local {
		if !mayStayOnLink(src == i.Peer6, dst == i.Local6 || dst.IsMulticast()) {
			return dropped
		}
		if isEchoRequest(p, dst == i.Local6) {
			c.answerEcho(p)
			return answered
		}
	} else {
		expect := c.expect.Load()
		if !mayComeFrom(c.given(i, expect, src)) {
			c.strayed(now, src)
			return dropped
		}
		if !mayGoTo(c.server || expect != nil, i.own(dst) || dst.Is6() && covers(load(&c.got), dst)) {
			return dropped
		}
	}
	if g := c.grant.Load(); g != nil {
		if g.In != nil && !g.In(p) {
			return dropped
		}
		if g.RateIn.Bits != 0 && c.inRate != nil && !c.inRate.take(size, now) { // nil: R has not seen yet that it has come
			return dropped
		}
	}
	if !local {
		c.lastUse = now // what the ends of a link say to each other keeps no idle one open
	}
	return size
}

// onLink reports whether a packet belongs to the link alone: no routing table could say where such an address is.
func onLink(src, dst netip.Addr) bool {
	return dst.IsMulticast() || dst.IsLinkLocalUnicast() || src.IsLinkLocalUnicast()
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

// A srcCache remembers the last source that the lists had, while they were these.
type srcCache struct {
	addr         netip.Addr
	expect, give *[]netip.Prefix
	grant        *Grant
}

// given reports whether the far side may send from src.
func (c *Conn) given(i *agreed, expect *[]netip.Prefix, src netip.Addr) bool {
	if src == i.Peer {
		return true
	}
	if !src.IsGlobalUnicast() || src == i.Local || src.Is6() && covers(load(&c.got), src) {
		return false // nobody's on a network, or this end's own
	}
	if !c.server && expect == nil {
		return true // a server may speak for everybody
	}
	g, give := c.grant.Load(), c.give.Load()
	if s := c.src; s != nil && src == s.addr && expect == s.expect && give == s.give && g == s.grant {
		return true
	}
	if !c.listed(i, expect, give, g, src) {
		return false
	}
	if c.src == nil {
		c.src = new(srcCache)
	}
	*c.src = srcCache{src, expect, give, g}
	return true
}

// listed looks src up in what the far side was given, and in what is expected of it.
func (c *Conn) listed(i *agreed, expect, give *[]netip.Prefix, g *Grant, src netip.Addr) bool {
	if expect != nil && covers(*expect, src) || c.server && give != nil && covers(*give, src) {
		return true
	}
	if c.server && g != nil && covers(g.Prefixes, src) {
		return true
	}
	return covers(i.six, src)
}

func covers(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

var broadcast4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// own reports whether a packet is for this end: its address, or everybody on the link.
func (i *agreed) own(dst netip.Addr) bool {
	return dst == i.Local || dst == broadcast4 || dst.Is4() && (dst.IsLinkLocalMulticast() || !i.Local.IsValid()) // unnumbered
}
