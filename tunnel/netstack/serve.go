package netstack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// serving is a Serve that runs.
type serving struct {
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when Serve is about to return
}

var errServing = errors.New("netstack: the stack serves a link already")

// Serve configures the stack from l and moves packets between them until l ends or ctx does. Use it in the place of a
// tunnel.Router when there is one link; one at a time. It closes l, not the stack, and returns what ended l, never nil.
//
// Dials that wait fail with that error, and so do later ones until the next Serve or Configure. Flows that are open have
// Linger to live; when the next link has the same address they go on.
//
// If l has no address yet, as a demanddial.Interface, somebody must call Configure when it has.
//
// A stack without an address sends nothing, so it is no demand to dial for: make an interface that dials on demand
// persistent, or connect it once.
func (s *Stack) Serve(ctx context.Context, l tunnel.Link) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	run := &serving{cancel: cancel, done: make(chan struct{})}
	c, err := s.begin(run)
	if err == nil && len(l.Addrs()) > 0 {
		if err = s.Configure(ctx, l); err != nil {
			s.end(run, err)
		}
	}
	if err != nil {
		l.Close()
		return err
	}
	to := tunnel.PacketWriter(l)
	c.out.link.Store(&to)
	err = l.Serve(ctx, s.Write)
	c.out.link.Store(nil)
	switch {
	case context.Cause(ctx) == errClosed:
		err = errClosed
	case err == nil:
		err = fmt.Errorf("netstack: the link ended without saying why") // against its contract
	}
	s.end(run, err)
	return err
}

// begin makes run the Serve of the stack.
func (s *Stack) begin(run *serving) (*core, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.startLocked()
	switch {
	case err != nil:
		return nil, err
	case s.serving != nil:
		return nil, errServing
	}
	s.serving = run
	s.revive()
	return c, nil
}

// end says that run is over and why.
func (s *Stack) end(run *serving, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving = nil
	close(run.done)
	if s.closed {
		return
	}
	s.ended = err
	s.wake()
	wait := s.Linger
	if wait <= 0 {
		wait = defaultLinger
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		s.mu.Lock()
		over := s.linger == timer // nothing has begun since
		s.mu.Unlock()
		if over {
			s.fail(err)
		}
	})
	s.linger = timer
}
