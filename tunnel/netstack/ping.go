package netstack

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"time"
)

// Echo requests to addresses that are not the stack's are handed to Forward as well: answered by the stack itself, they
// would say that every address is there.

const (
	maxPings = 256
	pingIdle = 10 * time.Second
)

// A pingFlow is one ping program's run.
type pingFlow struct {
	src, dst netip.Addr
	id       uint16
}

// forwardPing takes an ICMP echo request to somebody else; false: it is something else, for the stack.
func (s *Stack) forwardPing(p []byte) bool {
	src, dst, msg := echoRequest(p)
	if msg == nil || dst.IsMulticast() || s.isOwn(dst) {
		return false
	}
	f := pingFlow{src, dst, binary.BigEndian.Uint16(msg[4:])}
	msg = append([]byte(nil), msg...)
	s.mu.Lock()
	c, known := s.pings[f]
	if !known && len(s.pings) < maxPings && !s.closed {
		s.pings[f] = nil // being dialled; what comes meanwhile is lost, as a ping may be
	}
	full := !known && len(s.pings) >= maxPings
	s.mu.Unlock()
	switch {
	case c != nil:
		c.Write(msg)
	case !known && !full:
		s.flow(func() { s.ping(f, msg) })
	}
	return true
}

func (s *Stack) ping(f pingFlow, first []byte) {
	defer func() {
		s.mu.Lock()
		delete(s.pings, f)
		s.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(s.ctx, dialTime)
	c, err := s.Forward(ctx, "ping", netip.AddrPortFrom(f.src, 0), netip.AddrPortFrom(f.dst, 0))
	cancel()
	if err != nil {
		return
	}
	defer c.Close()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.pings[f] = c
	s.mu.Unlock()
	c.Write(first)
	b := make([]byte, maxBuffer)
	for {
		c.SetReadDeadline(time.Now().Add(pingIdle))
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if reply := echoReply(f, b[:n]); reply != nil {
			s.ep.emit(reply)
		}
	}
}

// echoRequest finds the ICMP message of a whole echo request.
func echoRequest(p []byte) (src, dst netip.Addr, msg []byte) {
	switch {
	case len(p) >= 28 && p[0]>>4 == 4 && p[9] == 1 && binary.BigEndian.Uint16(p[6:])&0x3fff == 0:
		ihl, size := int(p[0]&15)*4, int(binary.BigEndian.Uint16(p[2:]))
		if ihl < 20 || size > len(p) || size < ihl+8 || p[ihl] != 8 {
			return
		}
		return netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20])), p[ihl:size]
	case len(p) >= 48 && p[0]>>4 == 6 && p[6] == 58 && p[40] == 128:
		size := 40 + int(binary.BigEndian.Uint16(p[4:]))
		if size > len(p) || size < 48 {
			return
		}
		return netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40])), p[40:size]
	}
	return
}

// echoReply makes the packet of a reply: the identifier is the client's own again, whatever the way out made of it.
func echoReply(f pingFlow, msg []byte) []byte {
	if len(msg) < 8 {
		return nil
	}
	header, typ := 20, byte(0)
	if f.dst.Is6() {
		header, typ = 40, 129
	}
	if msg[0] != typ {
		return nil
	}
	b := make([]byte, headroom+header+len(msg))
	p := b[headroom:]
	copy(p[header:], msg)
	icmp := p[header:]
	binary.BigEndian.PutUint16(icmp[4:], f.id)
	icmp[2], icmp[3] = 0, 0
	if f.dst.Is4() {
		p[0], p[8], p[9] = 0x45, 64, 1
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		copy(p[12:], f.dst.AsSlice())
		copy(p[16:], f.src.AsSlice())
		binary.BigEndian.PutUint16(p[10:], checksum(p[:20], 0))
		binary.BigEndian.PutUint16(icmp[2:], checksum(icmp, 0))
		return b
	}
	p[0], p[6], p[7] = 0x60, 58, 64
	binary.BigEndian.PutUint16(p[4:], uint16(len(icmp)))
	copy(p[8:], f.dst.AsSlice())
	copy(p[24:], f.src.AsSlice())
	pseudo := uint64(58) + uint64(len(icmp))
	for i := 8; i < 40; i += 2 {
		pseudo += uint64(binary.BigEndian.Uint16(p[i:]))
	}
	binary.BigEndian.PutUint16(icmp[2:], checksum(icmp, pseudo))
	return b
}

func checksum(b []byte, sum uint64) uint16 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// emit sends a packet that this package made, headroom in front.
func (e *endpoint) emit(b []byte) {
	if box := e.link.Load(); box != nil {
		box.Write([][]byte{b}, headroom)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) < maxQueue && !e.closed {
		e.queue = append(e.queue, &packet{b})
		e.ready.Signal()
	}
}

var _ net.Conn = (*conn)(nil)
