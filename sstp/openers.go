package sstp

import "sync"

// An openers runs what opens sessions, and what is computed beside that, on goroutines that have done so before: TLS needs a deep
// stack, which each new goroutine would grow step by step, and which the one of an open session had better never have had.
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

// run has f called, by a spare one or a new one.
func (o *openers) run(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.atWork++
	if n := len(o.spare); n > 0 {
		o.spare[n-1] <- f // it has room
		o.spare = o.spare[:n-1]
		return
	}
	go o.work(f)
}

func (o *openers) work(f func()) {
	more := make(chan func(), 1)
	for ; f != nil; f = <-more {
		f()
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
