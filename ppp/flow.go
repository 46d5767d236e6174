package ppp

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dialway/dialway/internal/packet"
)

// Flow queues, RFC 8290. Packets that wait are kept by flow; flows take turns, by bytes, and one that has just begun to
// wait goes first, so that an acknowledgement, a name query or an echo is not behind a bulk transfer:
//
//	         a packet of a listed flow only joins its queue
//	              ┌─────────┐   credit used up    ┌─────────┐
//	first packet ─▶   new   ├────────────────────▶│   old   │──▶ no list, when its queue is found empty
//	              └────┬────┘   or found empty    └────┬────┘
//	                   └── served first                └── served in turn, a flowQuantum each
//
// Each queue drops from its head when packets wait too long in it: see codel.go.
const (
	flowCount   = 128
	flowQuantum = 1514    // bytes a turn; RFC 8290 section 5.2.4
	flowLimit   = 1 << 20 // bytes of memory: a guard, no measure of delay
)

// A flowQueue holds the packets of one session that wait. The egress lock guards it.
type flowQueue struct {
	new, old flowList
	packets  int
	memory   int
	seed     uint64
	dropped  *counter
	target   time.Duration // of CoDel
	interval time.Duration
	spare    *queued // without buffers
	flows    [flowCount]flow
}

// A flow is one queue.
type flow struct {
	head, tail *queued
	bytes      int
	credit     int
	listed     bool
	next       *flow // in its list
	codel      codel
}

var flowQueues = sync.Pool{New: func() any { return new(flowQueue) }}

// newFlowQueue borrows one; drops are counted in dropped.
func newFlowQueue(dropped *counter) *flowQueue {
	q := flowQueues.Get().(*flowQueue)
	q.seed = rand.Uint64() // so that nobody can aim at another's queue
	q.dropped = dropped
	q.tune(0)
	return q
}

// free drops what still waits and gives the queue back.
func (q *flowQueue) free() {
	for i := range q.flows {
		for f := &q.flows[i]; f.head != nil; {
			q.drop(q.shift(f))
		}
	}
	*q = flowQueue{spare: q.spare}
	flowQueues.Put(q)
}

// push queues a copy of a packet. When memory is short the longest queue pays, packet by packet.
func (q *flowQueue) push(now time.Time, header, body []byte) {
	p := q.take()
	if !p.fill(now, header, body) {
		q.dropped.add(len(body))
		q.recycle(p)
		return
	}
	f := &q.flows[packet.Flow(body, q.seed)%flowCount]
	if f.tail == nil {
		f.head = p
	} else {
		f.tail.next = p
	}
	f.tail = p
	f.bytes += p.size
	q.packets++
	q.memory += p.memory()
	if !f.listed {
		f.listed, f.credit = true, flowQuantum
		q.new.push(f)
	}
	for q.memory > flowLimit {
		q.drop(q.shift(q.fattest()))
	}
}

// fattest is the longest queue, RFC 8290 section 4.1.1.
func (q *flowQueue) fattest() *flow {
	fat := &q.flows[0]
	for i := range q.flows {
		if q.flows[i].bytes > fat.bytes {
			fat = &q.flows[i]
		}
	}
	return fat
}

// pop takes the next packet, which the caller releases; nil: none waits. RFC 8290 section 4.2.
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
		if p := q.codel(f, now); p != nil {
			f.credit -= p.size
			return p
		}
		list.pop()
		if list == &q.new && q.old.head != nil {
			q.old.push(f) // one turn more, or a flow could starve the others by coming and going
		} else {
			f.listed = false
		}
	}
}

// shift takes the head of a flow that is not empty.
func (q *flowQueue) shift(f *flow) *queued {
	p := f.head
	if f.head = p.next; f.head == nil {
		f.tail = nil
	}
	p.next = nil
	f.bytes -= p.size
	q.packets--
	q.memory -= p.memory()
	return p
}

func (q *flowQueue) drop(p *queued) {
	q.dropped.add(p.size)
	q.release(p)
}

// A flowList is a queue of flows.
type flowList struct{ head, tail *flow }

func (l *flowList) push(f *flow) {
	f.next = nil
	if l.head == nil {
		l.head = f
	} else {
		l.tail.next = f
	}
	l.tail = f
}

func (l *flowList) pop() *flow {
	f := l.head
	l.head, f.next = f.next, nil
	return f
}
