package ppp

import (
	"time"

	"github.com/dialway/dialway/internal/bufpool"
)

// A queued is a packet that waits.
type queued struct {
	next   *queued
	since  time.Time
	header [headerLen]byte
	size   int // of the body
	buf    *bufpool.Buffer
}

// packetBuffers are what packets wait in: acknowledgements, packets of an Ethernet's size, of SSTP's, of any.
var packetBuffers = [...]bufpool.Pool{{Size: 256}, {Size: 2 << 10}, {Size: 4 << 10}, {Size: 64 << 10}}

// fill copies a packet; false: it is larger than any.
func (p *queued) fill(now time.Time, header, body []byte) bool {
	for i := range packetBuffers {
		if len(body) <= packetBuffers[i].Size {
			p.since, p.size, p.buf = now, len(body), packetBuffers[i].Get()
			copy(p.header[:], header)
			copy(p.buf.B, body)
			return true
		}
	}
	return false
}

func (p *queued) body() []byte { return p.buf.B[:p.size] }

// memory is what it costs to keep it.
func (p *queued) memory() int { return len(p.buf.B) }

// take returns one without a buffer.
func (q *flowQueue) take() *queued {
	p := q.spare
	if p == nil {
		return new(queued)
	}
	q.spare, p.next = p.next, nil
	return p
}

// release gives a packet's buffer back.
func (q *flowQueue) release(p *queued) {
	p.buf.Free()
	p.buf = nil
	q.recycle(p)
}

func (q *flowQueue) recycle(p *queued) { p.next, q.spare = q.spare, p }
