package demanddial

import "sync"

// ports count the calls that may be open or dialled at once. A nil *ports has no limit.
type ports struct {
	mu      sync.Mutex
	limit   int // 0: none
	used    int
	waiting map[*Interface]struct{} // told when one is free
}

// take takes a port, or notes who would like one.
func (p *ports) take(i *Interface) bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit > 0 && p.used >= p.limit {
		if p.waiting == nil {
			p.waiting = make(map[*Interface]struct{})
		}
		p.waiting[i] = struct{}{}
		return false
	}
	p.used++
	delete(p.waiting, i)
	return true
}

// give gives a port back.
func (p *ports) give(*Interface) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	for i := range p.waiting {
		i.inbox.wake()
	}
	clear(p.waiting)
}

// free reports whether there is a port.
func (p *ports) free() bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limit == 0 || p.used < p.limit
}
