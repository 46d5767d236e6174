package ppp

import "time"

// Headers of data frames, whole: see headerLen.
var (
	ipv4Header = [headerLen]byte{0xff, 0x03, 0x00, protoIPv4}
	ipv6Header = [headerLen]byte{0xff, 0x03, 0x00, protoIPv6}
)

// An egress is what Write needs to know, published by R and never modified.
type egress struct {
	fc     FrameConn
	v4, v6 bool
	mtu    int
	filter func(packet []byte) bool
	rate   *sharedBucket // nil: none, or the transport delays
	timed  bool          // an idle time-out wants to know of use
}

// A rated is a FrameConn that delays packets to a rate. Others only drop.
type rated interface{ SetRate(r Rate) }

// A dropper is a FrameConn whose queue drops packets that it has taken.
type dropper interface {
	Dropped() (packets, bytes uint64)
}

// publish tells Write what may be sent.
func (c *Conn) publish() {
	if c.phase != phaseOpen {
		c.out.Store(nil)
		return
	}
	e := &egress{fc: c.fc, mtu: c.sendMTU()}
	bound := c.fc.Bound()
	e.v4, e.v6 = mayPassData(c.ipcp.opened(), bound), mayPassData(c.ipv6cp.opened(), bound)
	if g := c.grant.Load(); g != nil {
		e.filter, e.timed = g.Out, g.IdleTimeout > 0
		if r, ok := c.fc.(rated); ok {
			r.SetRate(g.RateOut)
		} else if g.RateOut.Bits > 0 {
			if c.outRate == nil {
				c.outRate = new(sharedBucket)
			}
			c.outRate.setShared(g.RateOut)
			e.rate = c.outRate
		}
	}
	c.out.Store(e)
}

// Write sends packets; it may be called from any goroutine, never waits, and drops what Grant.Out does not pass and
// what the queue does not take. The buffers are Write's until it returns.
func (c *Conn) Write(bufs [][]byte, offset int) (n int, err error) {
	e := c.out.Load()
	if e == nil {
		c.txDrops.Add(uint64(len(bufs)))
		if c.ended.Load() {
			return 0, c.closedError()
		}
		return 0, nil
	}
	var now time.Time
	if e.timed || e.rate != nil {
		now = time.Now()
	}
	use := e.timed && isUse(bufs, offset)
	var bytes int
	// Runs of one protocol go down together, under one header. Each packet is looked at once: the rate counts it.
	for i, version := 0, byte(0); i < len(bufs); {
		if version == 0 {
			if version = e.version(bufs[i], offset, now); version == 0 {
				i++
				continue
			}
		}
		header := ipv4Header[:]
		if version == 6 {
			header = ipv6Header[:]
		}
		j, next := i+1, byte(0)
		for ; j < len(bufs); j++ {
			if next = e.version(bufs[j], offset, now); next != version {
				break
			}
		}
		sent, err := e.fc.WriteFrames(header, bufs[i:j], offset)
		for _, b := range bufs[i : i+sent] {
			bytes += len(b) - offset
		}
		if n += sent; err != nil {
			c.count(n, len(bufs)-n, bytes)
			return n, err
		}
		if i, version = j, next; j < len(bufs) && next == 0 {
			i++ // it may not be sent
		}
	}
	c.count(n, len(bufs)-n, bytes)
	if use && n > 0 {
		c.lastTx.Store(now.UnixNano())
	}
	return n, nil
}

// isUse reports whether a packet is for more than the link itself, as router advertisements are. Few batches are looked at
// beyond their first packet.
func isUse(bufs [][]byte, offset int) bool {
	for _, b := range bufs {
		if len(b) < offset+40 || b[offset]>>4 != 6 {
			return true
		}
		dst := b[offset+24:]
		if dst[0] != 0xff && (dst[0] != 0xfe || dst[1]&0xc0 != 0x80) {
			return true
		}
	}
	return false
}

func (c *Conn) count(sent, dropped, bytes int) {
	c.txPkts.Add(uint64(sent))
	c.txBytes.Add(uint64(bytes))
	if dropped > 0 {
		c.txDrops.Add(uint64(dropped))
	}
}

// version is the IP version of a packet that may be sent; 0: it may not.
func (e *egress) version(b []byte, offset int, now time.Time) byte {
	if len(b) < offset+20 || len(b)-offset > e.mtu {
		return 0
	}
	p := b[offset:]
	v := p[0] >> 4
	if v == 4 && !e.v4 || v == 6 && !e.v6 || v != 4 && v != 6 {
		return 0
	}
	if e.filter != nil && !e.filter(p) || e.rate != nil && !e.rate.take(len(p), now) {
		return 0
	}
	return v
}

// SendTimeRemaining tells the far side how long the session will last (RFC 1570 section 2.2); a negative d means for
// ever. R sends it, so Serve must run.
func (c *Conn) SendTimeRemaining(d time.Duration, message string) error {
	if c.ended.Load() {
		return c.closedError()
	}
	if len(message) > maxText {
		message = message[:maxText]
	}
	c.lasts.Store(&timeRemaining{d, message})
	c.poke()
	return nil
}

// A timeRemaining waits for R to send it.
type timeRemaining struct {
	d    time.Duration
	text string
}
