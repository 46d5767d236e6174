package ppp

// A PoolCount counts addresses of a kind.
type PoolCount struct {
	Total uint64 // without those that are fixed for users
	Used  uint64 // of Total
}

// Free returns how many are left, those that rest among them.
func (c PoolCount) Free() uint64 { return c.Total - c.Used }

// A PoolStats is how a Pool stands.
type PoolStats struct {
	Name      string
	IPv4      PoolCount // addresses
	IPv6      PoolCount // /64s, or addresses of a shared one
	Delegated PoolCount // prefixes
	Exhausted uint64    // how often there was nothing left of a kind
	Unsaved   uint64    // how often File could not be written; what it lacks it gets with the next change
}

// Stats returns how the pool stands; all is zero of one that cannot work.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := PoolStats{Name: p.Name, Exhausted: p.exhausted, Unsaved: p.file.unsaved}
	if p.prepare() != nil {
		return s
	}
	s.IPv4, s.IPv6, s.Delegated = p.v4.count(), p.v6.count(), p.delegated.count()
	return s
}

func (l *lruPool) count() PoolCount { return PoolCount{l.total, l.used} }
