package netstack

import (
	"sync"
	"time"
)

// A deadline is a channel that closes at a time that may be changed. The zero deadline never comes.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	c     chan struct{}
}

// set moves the deadline; zero means never.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.c // it has fired and closes d.c now: the next deadline needs another
	}
	d.timer = nil
	if d.c == nil || isClosed(d.c) {
		d.c = make(chan struct{})
	}
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0:
		close(d.c)
	default:
		c := d.c
		d.timer = time.AfterFunc(left, func() { close(c) })
	}
}

// wait returns the channel.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.c == nil {
		d.c = make(chan struct{})
	}
	return d.c
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
