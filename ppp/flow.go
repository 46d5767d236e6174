package ppp

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"sync"
	"time"
)

// Flow queues with CoDel, RFC 8290: packets that wait are kept by flow, flows take turns by bytes, flows that have
// just begun to wait go first (an acknowledgement or a name query is not behind a bulk transfer), and each queue drops
// from its head when packets have waited too long (RFC 8289).

const (
	flowCount   = 64
	flowQuantum = 1514      // bytes of one turn
	flowLimit   = 512 << 10 // a guard for memory, not for delay
)

type flowQueue struct {
	flows    [flowCount]flow
	new, old flowList
	bytes    int
	seed     uint64
}

// A flow is one queue. It is on the list of new flows, of old ones, or on none.
type flow struct {
	head, tail *queued
	bytes      int
	credit     int
	next       *flow
	listed     bool
	codel      codel
}

// A flowList is a queue of flows.
type flowList struct{ head, tail *flow }

func (l *flowList) push(f *flow) {
	f.next = nil
	if l.tail == nil {
		l.head = f
	} else {
		l.tail.next = f
	}
	l.tail = f
}

func (l *flowList) pop() *flow {
	f := l.head
	if l.head = f.next; l.head == nil {
		l.tail = nil
	}
	f.next = nil
	return f
}

var flowQueues = sync.Pool{New: func() any { return new(flowQueue) }}

func newFlowQueue() *flowQueue {
	q := flowQueues.Get().(*flowQueue)
	q.seed = rand.Uint64() // so that nobody can aim at another's queue
	return q
}

// free gives everything back.
func (q *flowQueue) free() {
	for i := range q.flows {
		for q.flows[i].head != nil {
			q.flows[i].shift().free()
		}
	}
	*q = flowQueue{}
	flowQueues.Put(q)
}

// push queues a copy and returns how many packets were dropped for it.
func (q *flowQueue) push(now time.Time, header, body []byte) (dropped int) {
	p := newQueued(header, body)
	if p == nil {
		return 1
	}
	p.at = now
	f := &q.flows[flowHash(body, q.seed)%flowCount]
	f.append(p)
	q.bytes += len(body)
	if !f.listed {
		f.listed, f.credit = true, flowQuantum
		q.new.push(f)
	}
	for q.bytes > flowLimit {
		q.dropFattest()
		dropped++
	}
	return dropped
}

// dropFattest drops the head of the longest queue (RFC 8290 section 4.1.1): one packet, never a batch.
func (q *flowQueue) dropFattest() {
	fat := &q.flows[0]
	for i := range q.flows {
		if q.flows[i].bytes > fat.bytes {
			fat = &q.flows[i]
		}
	}
	p := fat.shift()
	q.bytes -= len(p.body())
	p.free()
}

// pop takes the next packet; nil: none. The caller frees it.
func (q *flowQueue) pop(now time.Time) *queued {
	for {
		list := &q.new
		if list.head == nil {
			list = &q.old
		}
		f := list.head
		if f == nil {
			return nil
		}
		if f.credit <= 0 {
			f.credit += flowQuantum
			q.old.push(list.pop())
			continue
		}
		p := f.codel.pop(q, f, now)
		if p == nil {
			list.pop()
			if list == &q.new && q.old.head != nil {
				q.old.push(f) // once round, or a flow could starve the others by coming and going
			} else {
				f.listed = false
			}
			continue
		}
		f.credit -= len(p.body())
		return p
	}
}

func (f *flow) append(p *queued) {
	if f.tail == nil {
		f.head = p
	} else {
		f.tail.next = p
	}
	f.tail = p
	f.bytes += len(p.body())
}

// shift takes the head; the flow is not empty.
func (f *flow) shift() *queued {
	p := f.head
	if f.head = p.next; f.head == nil {
		f.tail = nil
	}
	p.next = nil
	f.bytes -= len(p.body())
	return p
}

// A queued is a packet that waits.
type queued struct {
	next *queued
	at   time.Time
	n    int // bytes of b, header included
	b    []byte
}

func (p *queued) header() []byte { return p.b[:headerLen] }
func (p *queued) body() []byte   { return p.b[headerLen:p.n] }

// Packets wait in buffers of two sizes.
const (
	smallPacket = 512
	largePacket = 4096
)

var (
	smallPackets = sync.Pool{New: func() any { return &queued{b: make([]byte, smallPacket)} }}
	largePackets = sync.Pool{New: func() any { return &queued{b: make([]byte, largePacket)} }}
)

// newQueued copies a packet; nil for one that is too large for any frame.
func newQueued(header, body []byte) *queued {
	n := len(header) + len(body)
	var p *queued
	switch {
	case n <= smallPacket:
		p = smallPackets.Get().(*queued)
	case n <= largePacket:
		p = largePackets.Get().(*queued)
	default:
		return nil
	}
	p.n = n
	copy(p.b[copy(p.b, header):], body)
	return p
}

func (p *queued) free() {
	p.next = nil
	if len(p.b) == smallPacket {
		smallPackets.Put(p)
	} else {
		largePackets.Put(p)
	}
}

// flowHash hashes an IP packet's addresses, protocol and ports. Fragments without ports share the queue of their pair.
func flowHash(p []byte, seed uint64) uint64 {
	h := seed
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		h = mix(h, binary.BigEndian.Uint64(p[12:])^uint64(p[9])<<56)
		fragment := binary.BigEndian.Uint16(p[6:]) & 0x3fff
		if ihl := int(p[0]&15) * 4; fragment == 0 && hasPorts(p[9]) && len(p) >= ihl+4 {
			h = mix(h, uint64(binary.BigEndian.Uint32(p[ihl:])))
		}
	case len(p) >= 40 && p[0]>>4 == 6:
		for i := 8; i < 40; i += 8 {
			h = mix(h, binary.BigEndian.Uint64(p[i:]))
		}
		h = mix(h, uint64(p[6]))
		if hasPorts(p[6]) && len(p) >= 44 {
			h = mix(h, uint64(binary.BigEndian.Uint32(p[40:])))
		}
	}
	return h
}

func hasPorts(proto byte) bool { return proto == 6 || proto == 17 }

func mix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^v, 0x9e3779b97f4a7c15)
	return hi ^ lo
}
