package ppp

import (
	"context"
	"errors"
	"time"
)

var errServed = errors.New("ppp: Serve of a link that is being opened or served")

// Serve hands the far side's packets to to until the link ends or ctx does; then it says goodbye, closes the link and
// returns why, never nil. Its goroutine is the link's: it answers keepalives and runs the timers. One call at a time.
//
// The buffers are to's until it returns, [:offset] is scratch, and nothing of them may be kept. Sources are checked:
// only packets from Prefixes (or what Expect says) pass, and at a client only those for this end's addresses. An error
// of to ends the session.
func (c *Conn) Serve(ctx context.Context, to func(bufs [][]byte, offset int) (n int, err error)) error {
	stop, err := c.beginServe(ctx)
	if err != nil {
		return err
	}
	c.to = to
	c.takeEarly(time.Now())
	err = c.run()
	c.to = nil
	stop()
	c.r.Unlock()
	return err
}

// beginServe becomes R, if it may, and lets ctx end the link until stop is called.
func (c *Conn) beginServe(ctx context.Context) (stop func() bool, err error) {
	if !c.r.TryLock() {
		if c.asked.Load() == nil {
			return nil, errServed
		}
		c.over.Wait() // the goodbye is under way
		return nil, c.closedError()
	}
	if err = c.mayServe(); err != nil {
		c.r.Unlock()
		return nil, err
	}
	if c.unused != nil {
		c.unused.Stop()
		c.unused = nil
	}
	if e, ok := ctx.(linkEnder); ok && e.EndsLink(c) {
		return func() bool { return true }, nil // and AfterFunc would cost half a kilobyte for as long as the link lives
	}
	return context.AfterFunc(ctx, func() {
		t := &TerminatedError{Cause: UserRequest, Err: context.Cause(ctx)}
		if c.server {
			t.Cause = AdminReboot
		}
		c.asked.CompareAndSwap(nil, t)
		c.poke()
	}), nil
}

// A linkEnder is a context whose end terminates a link, by what ends it; package sstp's Handlers have one.
type linkEnder interface{ EndsLink(c *Conn) bool }

func (c *Conn) mayServe() error {
	switch {
	case c.ended.Load():
		return c.closedError()
	case c.phase == phaseNew:
		return errors.New("ppp: Serve of a link that was not opened")
	}
	return nil
}

// pass hands a run of packets on.
func (c *Conn) pass(now time.Time, bufs [][]byte, offset int) {
	if c.phase != phaseOpen {
		c.rxDrops.Add(uint64(len(bufs)))
		return
	}
	var bytes int
	for _, b := range bufs {
		bytes += len(b) - offset
	}
	c.rxPkts.Add(uint64(len(bufs)))
	c.rxBytes.Add(uint64(bytes))
	if _, err := c.to(bufs, offset); err != nil {
		c.end(now, &TerminatedError{Cause: NASError, Reason: "the packets' taker failed", Err: err})
	}
}
