package register

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Tracker is the server's side: it removes what stands in DNS of clients whose session has ended, if they did not do it
// themselves. It must not be copied.
//
//	Begin ─── session ─── end ──► Remove ──► done ──► the next Begin for one of its addresses goes on
//	  │ after Wait, with a host's name:        │ failed
//	  └─ no PTR yet? ► Register                └─ again, five times, unless the address has a session again
type Tracker struct {
	// Registrar says how: Domain, Server or DNS, Signer, Dial, TTL. Its Host and ID are not used.
	Registrar *Registrar

	Wait   time.Duration // how long a client has to register itself before it is done for it; 0 means 5 s
	Logger *slog.Logger  // nil is silent

	mu      sync.Mutex
	ending  map[*ending]struct{}
	working sync.WaitGroup
	slots   chan struct{}
}

// An ending is a session that is over and not yet cleared away.
type ending struct {
	prefixes []netip.Prefix
	names    []string           // that were registered for it
	again    context.CancelFunc // no further try
	tried    chan struct{}      // closed after the first try
	over     chan struct{}      // closed when nothing is tried any more
}

const (
	trackTries   = 5
	trackTimeout = 5 * time.Second // of one try, and of waiting for the first
	trackRetry   = 10 * time.Second
	trackAtOnce  = 32
)

// Begin is called before a session is served: it waits, for ten seconds at most, until what an earlier session left that
// had one of its addresses is cleared away, or not tried any more, so that nothing is removed that the new one registers.
// prefixes is what the client was given. host, unless it is "", is registered for it, below Domain, if it does not register
// itself.
//
// end is called once, when the session is over; it does not wait. Close does.
func (t *Tracker) Begin(ctx context.Context, host string, prefixes []netip.Prefix) (end func()) {
	t.mu.Lock()
	if t.slots == nil {
		t.slots = make(chan struct{}, trackAtOnce)
		t.ending = make(map[*ending]struct{})
	}
	var before []*ending
	for e := range t.ending {
		if overlap(e.prefixes, prefixes) {
			before = append(before, e)
		}
	}
	t.mu.Unlock()
	patience := time.NewTimer(trackTimeout)
	defer patience.Stop()
	for _, e := range before {
		select {
		case <-e.tried:
		case <-ctx.Done():
		case <-patience.C:
			patience.Reset(0) // of all of them
		}
		e.again()
	}
	for _, e := range before {
		select {
		case <-e.over: // a try may be under way
		case <-ctx.Done():
		}
	}
	prefixes = slices.Clone(prefixes)
	life, over := context.WithCancel(context.WithoutCancel(ctx))
	registered := make(chan struct{})
	var names []string // until registered is closed its own
	if host == "" {
		close(registered)
	} else {
		t.working.Go(func() {
			defer close(registered)
			names = t.register(life, host, prefixes)
		})
	}
	return func() {
		over()
		again, cancel := context.WithCancel(context.WithoutCancel(ctx))
		e := &ending{prefixes: prefixes, again: cancel, tried: make(chan struct{}), over: make(chan struct{})}
		t.mu.Lock()
		t.ending[e] = struct{}{}
		t.mu.Unlock()
		t.working.Go(func() {
			defer cancel()
			<-registered
			e.names = names
			t.clear(again, e)
			t.mu.Lock()
			delete(t.ending, e)
			t.mu.Unlock()
			close(e.over)
		})
	}
}

// Close waits until what has ended is cleared away, or ctx ends.
func (t *Tracker) Close(ctx context.Context) error {
	done := make(chan struct{})
	go func() { t.working.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		t.mu.Lock()
		for e := range t.ending {
			e.again()
		}
		t.mu.Unlock()
		return context.Cause(ctx)
	}
}

func overlap(a, b []netip.Prefix) bool {
	for _, p := range a {
		if slices.ContainsFunc(b, p.Overlaps) {
			return true
		}
	}
	return false
}

// clear removes what a session has left.
func (t *Tracker) clear(ctx context.Context, e *ending) {
	retry := backoff{first: trackRetry}
	for try := range trackTries {
		if !t.slot(ctx) {
			if try == 0 {
				close(e.tried)
			}
			return
		}
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), trackTimeout) // a try that has begun is not broken off
		removed, err := t.Registrar.remove(one, e.names, e.prefixes)
		cancel()
		<-t.slots
		if try == 0 {
			close(e.tried)
		}
		t.log(removed, err, e.prefixes, "removed from DNS", "not removed from DNS")
		if err == nil || permanent(err) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retry.next()):
		}
	}
}

// slot waits for a turn; false means that it is not wanted any more.
func (t *Tracker) slot(ctx context.Context) bool {
	select {
	case t.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if ctx.Err() == nil {
		return true
	}
	<-t.slots
	return false
}

// register registers a host that has not done it. It returns the name that it may have registered.
func (t *Tracker) register(ctx context.Context, host string, prefixes []netip.Prefix) (names []string) {
	wait := t.Wait
	if wait <= 0 {
		wait = 5 * time.Second
	}
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(wait):
	}
	r := *t.Registrar
	// Who it is, so that it is known again; the names of clients that register themselves have other IDs.
	r.Host, r.ID = host, []byte("session of "+lower(host))
	var addrs []netip.Addr
	for _, p := range prefixes {
		if !p.IsSingleIP() {
			continue
		}
		addrs = append(addrs, p.Addr())
		if names, err := r.updater(nil).pointed(ctx, p.Addr()); err != nil || len(names) > 0 {
			return nil // it has done it, or it cannot be known
		}
	}
	name, err := r.fullName("")
	if len(addrs) == 0 || err != nil {
		return nil
	}
	one, cancel := context.WithTimeout(ctx, trackTimeout)
	defer cancel()
	list, err := r.Register(one, addrs...)
	t.log(list, err, prefixes, "registered for the client", "not registered for the client")
	return []string{name}
}

func (t *Tracker) log(list []Record, err error, prefixes []netip.Prefix, good, bad string) {
	if t.Logger == nil {
		return
	}
	for _, r := range list {
		if r.Err == nil {
			t.Logger.Info(good, "record", r.Kind, "name", r.Name, "addr", r.Addr)
		}
	}
	if err != nil {
		t.Logger.Warn(bad, "addrs", prefixes, "err", err)
	}
}
