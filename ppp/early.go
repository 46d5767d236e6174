package ppp

import (
	"bytes"
	"time"
)

// maxEarly bounds what is kept for Serve.
const maxEarly = 32 << 10

// earlyFrames are packets that came before somebody served the link: a far side may send as soon as its own network
// protocol is open, while this end waits for the other one or for its Handler. Lost, they would cost a ping or a second
// of TCP's patience.
type earlyFrames struct {
	frames [][]byte
	bytes  int
}

// keepEarly keeps a copy of a data frame for Serve, if its protocol is open and the transport bound; what else a packet
// must be is examined when it is handed on.
func (c *Conn) keepEarly(proto uint16, f []byte) bool {
	ncp := &c.ipcp.automaton
	if proto == protoIPv6 {
		ncp = &c.ipv6cp.automaton
	}
	if c.phase != phaseNetwork && c.phase != phaseOpen || !mayPassData(ncp.opened(), c.fc.Bound()) || c.early.bytes+len(f) > maxEarly {
		return false
	}
	c.early.frames = append(c.early.frames, bytes.Clone(f))
	c.early.bytes += len(f)
	return true
}

// takeEarly hands on what was kept.
func (c *Conn) takeEarly(now time.Time, to func(bufs [][]byte, offset int) (int, error)) {
	frames := c.early.frames
	c.early = earlyFrames{}
	if len(frames) > 0 && c.phase == phaseOpen {
		c.take(now, frames, to)
	}
}
