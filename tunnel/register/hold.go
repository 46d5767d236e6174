package register

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// A holding is one name of a node:
//
//	                     positive                        TTL/2
//	┌─────────────┐ ──────────────► ┌────────────┐ ───────────────► ┌────────────┐
//	│ registering │                 │ registered │                  │ refreshing │
//	└─────────────┘ ◄───┐           └──────┬─────┘ ◄─────────────── └──────┬─────┘
//	   │       ▲        │                  │ conflict,    positive         │
//	   │ WACK  │ waits  │ in 1 min, ...   │ release demand                │ negative, or no answer: the next server
//	   └───────┘        │                  ▼                               ▼
//	   │ negative,   ┌──┴───┐  ◄───────────┘                            registering
//	   │ no answer   │ lost │
//	   └───────────► └──────┘
//
// At the end, or when ctx ends, what is registered is released.
type holding struct {
	name nbName
	up   bool          // node.mu
	lost chan struct{} // of capacity 1
}

// hold registers a name, and keeps it until ctx ends; then it releases it, within bye's time.
func (n *node) hold(ctx context.Context, bye func() (context.Context, context.CancelFunc), name nbName, report func(Record)) error {
	h := &holding{name: name, lost: make(chan struct{}, 1)}
	n.mu.Lock()
	n.held[h] = struct{}{}
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.held, h)
	}()

	var server netip.Addr // that has taken it
	retry := backoff{first: netBIOSRetry}
	for ctx.Err() == nil {
		s, ttl, err := n.obtain(ctx, name, server)
		if ctx.Err() != nil {
			if s.IsValid() {
				server = s // it may have taken it
			}
			break
		}
		n.setUp(h, err == nil)
		var at netip.AddrPort
		if s.IsValid() {
			at = netip.AddrPortFrom(s, nbPort)
		}
		report(Record{Kind: "NetBIOS", Name: name.String(), Addr: n.addr, Server: at, Err: err})
		var wait <-chan time.Time
		switch {
		case err != nil:
			server = netip.Addr{}
			wait = time.After(retry.next())
		case ttl == 0: // for ever: RFC 1002 section 4.2.5
			server, wait = s, nil
			retry.reset()
		default:
			server, wait = s, time.After(max(ttl/2, nbMinRefresh))
			retry.reset()
		}
		select {
		case <-ctx.Done():
		case <-wait:
		case <-h.lost:
			report(Record{Kind: "NetBIOS", Name: name.String(), Addr: n.addr, Server: at, Err: &TakenError{Name: name.String()}})
			server = netip.Addr{}
			select {
			case <-ctx.Done():
			case <-time.After(retry.next()):
			}
		}
	}
	if !server.IsValid() {
		return nil
	}
	n.setUp(h, false)
	ctx, cancel := bye()
	defer cancel()
	if ctx.Err() != nil {
		return nil // there is no way to say it any more
	}
	// Opcode 6 without RD: RFC 1002 section 4.2.9.
	if _, err := n.ask(ctx, server, nbRelease<<11, name, 0); err != nil {
		return fmt.Errorf("register: releasing %v: %w", name, err)
	}
	return nil
}

func (n *node) setUp(h *holding, up bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h.up = up
}

// obtain refreshes a name with the server that has it, or registers it with the first of the servers that answers.
func (n *node) obtain(ctx context.Context, name nbName, holder netip.Addr) (server netip.Addr, ttl time.Duration, err error) {
	if holder.IsValid() {
		m, err := n.ask(ctx, holder, nbRefresh<<11, name, nbAskTTL)
		if err == nil && m.rcode() == 0 {
			return holder, time.Duration(m.ttl) * time.Second, nil
		}
		if ctx.Err() != nil {
			return holder, 0, context.Cause(ctx)
		}
	}
	err = errNoNBNS
	for i, s := range n.servers {
		ttl, bad := n.register(ctx, s, name)
		var taken *TakenError
		if bad == nil || errors.As(bad, &taken) || ctx.Err() != nil {
			return s, ttl, bad
		}
		if i == 0 {
			err = bad
		}
	}
	return netip.Addr{}, 0, err
}

// register asks one server for a name.
func (n *node) register(ctx context.Context, server netip.Addr, name nbName) (time.Duration, error) {
	m, err := n.ask(ctx, server, nbRegister<<11|nbRecursion, name, nbAskTTL)
	if err != nil {
		return 0, err
	}
	if m.rcode() == 0 && m.flags&nbRecursive == 0 {
		// An end-node challenge, RFC 1002 section 4.2.7: a server that does not ask the owner itself.
		if m, err = n.challenge(ctx, server, m.owner(), name); err != nil {
			return 0, err
		}
	}
	switch m.rcode() {
	case 0:
		return time.Duration(m.ttl) * time.Second, nil
	case nbActive, nbConflict, nbRefused:
		e := &TakenError{Name: name.String()}
		if a := m.owner(); a.IsValid() && a != n.addr && !a.IsUnspecified() {
			e.Addrs = []netip.Addr{a}
		}
		return 0, e
	}
	return 0, fmt.Errorf("register: WINS server %v refuses %v: code %d", server, name, m.rcode())
}

// challenge asks who has a name whether it still wants it, and overwrites what the server has if not.
func (n *node) challenge(ctx context.Context, server, owner netip.Addr, name nbName) (nbMessage, error) {
	if owner.IsValid() && owner != n.addr && owner.IsGlobalUnicast() {
		m, err := n.ask(ctx, owner, nbQuery<<11, name, 0)
		switch {
		case err == nil && m.rcode() == 0:
			return nbMessage{}, &TakenError{Name: name.String(), Addrs: []netip.Addr{owner}}
		case ctx.Err() != nil:
			return nbMessage{}, context.Cause(ctx)
		}
	}
	return n.ask(ctx, server, nbRegister<<11, name, nbAskTTL)
}

// A backoff says how long to wait after a failure: twice as long each time, up to an hour, and some at random.
type backoff struct {
	first time.Duration
	most  time.Duration // 0 means longestRetry
	wait  time.Duration
}

const (
	dnsRetry     = 10 * time.Second
	refusedRetry = 5 * time.Minute
	takenRetry   = 10 * time.Minute
	netBIOSRetry = time.Minute
	longestRetry = time.Hour
)

func (b *backoff) next() time.Duration {
	b.wait = min(max(2*b.wait, b.first), cmp.Or(b.most, longestRetry))
	return b.wait/2 + rand.N(b.wait)
}

func (b *backoff) reset() { b.wait = 0 }
