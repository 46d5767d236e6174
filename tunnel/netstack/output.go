package netstack

import (
	"sync"
	"sync/atomic"

	"github.com/dialway/dialway/tunnel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	// headroom is left in front of packets that go to a link, for its headers.
	headroom = 32

	// maxQueue is how many packets wait for Read; keep is how many buffers are kept for those to come.
	maxQueue = 4096
	keep     = 256
)

// An output is where packets leave the stack: to a link at once, on the goroutine that sends, since a link never waits; or
// into a queue, until somebody reads it.
type output struct {
	link    atomic.Pointer[tunnel.PacketWriter] // nil: into the queue
	batches sync.Pool                           // of *batch

	mu     sync.Mutex
	filled sync.Cond // mu
	queue  [][]byte  // with headroom
	head   int       // what is before has been read
	free   [][]byte
	closed bool
	lost   uint64
}

// A batch holds what leaves at once. Its buffers are reused.
type batch struct {
	bufs [][]byte // packets behind headroom, used of them
	used int
	lent [][]byte
	seg  segmenter
}

func newOutput() *output {
	o := new(output)
	o.filled.L = &o.mu
	o.batches.New = func() any { return new(batch) }
	return o
}

// next returns an empty buffer, with headroom.
func (b *batch) next() *[]byte {
	if b.used == len(b.bufs) {
		b.bufs = append(b.bufs, nil)
	}
	p := &b.bufs[b.used]
	b.used++
	if *p == nil {
		*p = make([]byte, 0, headroom+1500)
	}
	*p = (*p)[:headroom]
	return p
}

// send sends packets of the stack.
func (o *output) send(pkts []*stack.PacketBuffer, mtu int) {
	b := o.batches.Get().(*batch)
	defer o.batches.Put(b)
	b.used = 0
	for _, pkt := range pkts {
		b.add(pkt, mtu)
	}
	o.flush(b)
}

// sendOne sends a packet that this package has made.
func (o *output) sendOne(fill func(b []byte) []byte) {
	b := o.batches.Get().(*batch)
	defer o.batches.Put(b)
	b.used = 0
	p := b.next()
	*p = fill(*p)
	o.flush(b)
}

func (o *output) flush(b *batch) {
	if l := o.link.Load(); l != nil {
		b.lent = b.lent[:0]
		for _, p := range b.bufs[:b.used] {
			b.lent = append(b.lent, p[:len(p):len(p)])
		}
		(*l).Write(b.lent, headroom) // an error is the link's end, which Serve tells
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, p := range b.bufs[:b.used] {
		if len(o.queue)-o.head == maxQueue || o.closed {
			o.lost++
			continue
		}
		o.queue = append(o.queue, p)
		b.bufs[i] = nil
		if n := len(o.free); n > 0 {
			b.bufs[i], o.free = o.free[n-1], o.free[:n-1]
		}
	}
	o.filled.Signal()
}

// read waits for packets and copies them; false means that the queue is closed and empty.
func (o *output) read(bufs [][]byte, sizes []int, offset int) (n int, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.head == len(o.queue) && !o.closed {
		o.filled.Wait()
	}
	ok = o.head < len(o.queue)
	for o.head < len(o.queue) && n < min(len(bufs), len(sizes)) {
		p := o.queue[o.head]
		o.queue[o.head] = nil
		o.head++
		if packet := p[headroom:]; len(packet) <= len(bufs[n])-offset { // else the MTU has been raised since bufs were made
			sizes[n] = copy(bufs[n][offset:], packet)
			n++
		}
		if len(o.free) < keep {
			o.free = append(o.free, p)
		}
	}
	switch {
	case o.head == len(o.queue):
		o.queue, o.head = o.queue[:0], 0
	case o.head >= maxQueue:
		o.queue, o.head = append(o.queue[:0], o.queue[o.head:]...), 0
		fallthrough
	default:
		o.filled.Signal() // for another reader
	}
	return n, ok
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.filled.Broadcast()
}
