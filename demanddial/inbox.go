package demanddial

import "sync"

// An inbox is what other goroutines ask of Serve's. It has room for everything, since who asks must not wait: Connects,
// calls that are offered and calls that end are few.
type inbox struct {
	once sync.Once
	ping chan struct{}
	over chan struct{} // closed by Close

	mu    sync.Mutex
	asked []func(e *engine)
}

// wakes is ready when there may be something to do.
func (b *inbox) wakes() chan struct{} {
	b.once.Do(b.make)
	return b.ping
}

func (b *inbox) make() { b.ping, b.over = make(chan struct{}, 1), make(chan struct{}) }

// gone is ready when the Interface is closed.
func (b *inbox) gone() chan struct{} {
	b.once.Do(b.make)
	return b.over
}

// wake makes Serve look around.
func (b *inbox) wake() {
	select {
	case b.wakes() <- struct{}{}:
	default:
	}
}

// post leaves f for Serve's goroutine, this Serve's or the next one's.
func (b *inbox) post(f func(e *engine)) {
	b.mu.Lock()
	b.asked = append(b.asked, f)
	b.mu.Unlock()
	b.wake()
}

// take returns what was posted.
func (b *inbox) take() (all []func(e *engine)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, b.asked = b.asked, nil
	return all
}
