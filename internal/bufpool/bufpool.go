// Package bufpool lends buffers of one size. A pool checks itself: what comes back twice panics where it happens, instead
// of tearing somebody's packets later; under the race detector a buffer is spoiled when it comes back, so that who kept
// a view of it reads 0xDB.
package bufpool

import (
	"sync"
	"sync/atomic"
)

// A Pool lends buffers of Size bytes. Pools are package variables: what is idle is shared by all sessions, and its
// amount follows the sessions active at once.
type Pool struct {
	Size int

	pool sync.Pool
	lent atomic.Int64
}

// A Buffer is lent by a Pool.
type Buffer struct {
	B    []byte // Size bytes
	from *Pool  // nil: it is in the pool
}

// Get lends a buffer; what is in it is undefined.
func (p *Pool) Get() *Buffer {
	p.lent.Add(1)
	b, _ := p.pool.Get().(*Buffer)
	if b == nil {
		b = &Buffer{B: make([]byte, p.Size)}
	}
	if b.from != nil {
		panic("bufpool: a buffer in the pool is in use")
	}
	b.from = p
	return b
}

// Free gives b back; nil is nothing.
func (b *Buffer) Free() {
	if b == nil {
		return
	}
	p := b.from
	if p == nil || len(b.B) != p.Size {
		panic("bufpool: a buffer came back twice, or cut")
	}
	b.from = nil
	Poison(b.B)
	p.pool.Put(b)
	p.lent.Add(-1)
}

// Lent is how many buffers have not come back. Tests ask.
func (p *Pool) Lent() int { return int(p.lent.Load()) }
