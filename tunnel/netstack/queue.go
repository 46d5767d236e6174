package netstack

import "sync"

const (
	// queueSize is how many packets wait for a reader.
	queueSize = 1024

	// headroom is left in front of packets that go to a link, for its headers.
	headroom = 32

	// keep is how many buffers are kept for reuse.
	keep = 256
)

// An outgoing is a buffer with a packet behind headroom. It is an io.Writer that appends.
type outgoing struct{ b []byte }

func (p *outgoing) Write(b []byte) (int, error) {
	p.b = append(p.b, b...)
	return len(b), nil
}

// A queue holds what the stack has sent until somebody reads it. It is bounded; put drops what does not fit.
type queue struct {
	mu     sync.Mutex
	filled sync.Cond // mu
	ring   [queueSize]*outgoing
	head   int
	n      int
	free   []*outgoing
	closed bool
	lost   uint64
}

func newQueue() *queue {
	q := new(queue)
	q.filled.L = &q.mu
	return q
}

// get returns an empty buffer.
func (q *queue) get() *outgoing {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.free); n > 0 {
		p := q.free[n-1]
		q.free = q.free[:n-1]
		p.b = p.b[:headroom]
		return p
	}
	return &outgoing{make([]byte, headroom, headroom+1500)}
}

// put takes a packet.
func (q *queue) put(p *outgoing) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == queueSize || q.closed {
		q.lost++
		q.release(p)
		return
	}
	q.ring[(q.head+q.n)%queueSize] = p
	if q.n++; q.n == 1 {
		q.filled.Signal()
	}
}

// take waits for packets and appends at most max of them to list. It returns none when the queue is closed and empty, or
// when stopped says so.
func (q *queue) take(list []*outgoing, max int, stopped *bool) []*outgoing {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.n == 0 && !q.closed && !*stopped {
		q.filled.Wait()
	}
	for ; q.n > 0 && max > 0; max-- {
		list = append(list, q.ring[q.head])
		q.ring[q.head] = nil
		q.head = (q.head + 1) % queueSize
		q.n--
	}
	if q.n > 0 {
		q.filled.Signal() // for another reader
	}
	return list
}

// give takes back what take gave.
func (q *queue) give(list []*outgoing) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range list {
		q.release(p)
	}
}

func (q *queue) release(p *outgoing) {
	if len(q.free) < keep {
		q.free = append(q.free, p)
	}
}

// stop sets stopped, which a reader has given to take.
func (q *queue) stop(stopped *bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	*stopped = true
	q.filled.Broadcast()
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Broadcast()
}
