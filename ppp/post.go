package ppp

import (
	"sync"
	"time"
)

// A postbox holds what other goroutines want run on R, in order.
type postbox struct {
	mu  sync.Mutex
	fns []func(now time.Time)
}

func (b *postbox) put(f func(now time.Time)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fns = append(b.fns, f)
}

func (b *postbox) take() []func(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fns := b.fns
	b.fns = nil
	return fns
}
