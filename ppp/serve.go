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
	if !c.r.TryLock() {
		if c.asked.Load() == nil {
			return errServed
		}
		<-c.over // the goodbye is under way
		return c.closedError()
	}
	defer c.r.Unlock()
	if c.ended.Load() {
		return c.closedError()
	}
	if c.phase == phaseNew {
		return errors.New("ppp: Serve of a link that was not opened")
	}
	if c.unused != nil {
		c.unused.Stop()
	}
	stop := context.AfterFunc(ctx, func() {
		t := &TerminatedError{Cause: UserRequest, Err: context.Cause(ctx)}
		if c.server {
			t.Cause = AdminReboot
		}
		c.asked.CompareAndSwap(nil, t)
		c.poke()
	})
	defer stop()
	c.takeEarly(time.Now(), to)
	return c.run(to)
}

// pass hands a run of packets on.
func (c *Conn) pass(now time.Time, bufs [][]byte, offset int, to func(bufs [][]byte, offset int) (int, error)) {
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
	if _, err := to(bufs, offset); err != nil {
		c.end(now, &TerminatedError{Cause: NASError, Reason: "the packets' taker failed", Err: err})
	}
}
