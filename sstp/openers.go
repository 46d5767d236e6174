package sstp

import "sync"

// An openers runs what opens sessions, on goroutines that have opened others before: TLS needs a deep stack, which each new
// goroutine would grow step by step, and which the one of an open session had better never have had.
//
//	          ┌────── run ───────┐
//	          ▼                  │
//	go ──▶ at work ─── done ──▶ spare ──▶ gone: enough are spare, or nobody is at work any more
//
// The zero openers has none.
type openers struct {
	mu     sync.Mutex
	atWork int
	spare  []chan func()
}

// maxSpare is how many may be spare: in a rush of clients, about as many as are opened in the time of one.
const maxSpare = 64

// run has open called, by a spare one or a new one.
func (o *openers) run(open func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.atWork++
	if n := len(o.spare); n > 0 {
		o.spare[n-1] <- open // it has room
		o.spare = o.spare[:n-1]
		return
	}
	go o.work(open)
}

func (o *openers) work(open func()) {
	more := make(chan func(), 1)
	for ; open != nil; open = <-more {
		open()
		if !o.rest(more) {
			return
		}
	}
}

// rest makes the caller a spare one, if there is use for it.
func (o *openers) rest(more chan func()) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.atWork--
	switch {
	case o.atWork == 0:
		for _, c := range o.spare {
			close(c)
		}
		o.spare = nil
		return false
	case len(o.spare) == maxSpare:
		return false
	}
	o.spare = append(o.spare, more)
	return true
}
