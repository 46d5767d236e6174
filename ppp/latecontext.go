package ppp

import (
	"context"
	"sync"
	"time"
)

// A lateContext is a context that ends by end. Of most of them nobody ever asks for what takes a context of the standard
// library, which would be memory of each session: so that is made when somebody does. The zero lateContext has not ended.
type lateContext struct {
	mu    sync.Mutex
	made  *madeContext // nil: nobody has asked
	ended error        // end's cause; nil: it has not been called
}

type madeContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

// end ends it; the first cause stays.
func (c *lateContext) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = cause
	}
	if c.made != nil {
		c.made.cancel(cause)
	}
}

// real is the context that answers.
func (c *lateContext) real() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		c.made = new(madeContext)
		c.made.Context, c.made.cancel = context.WithCancelCause(context.Background())
		if c.ended != nil {
			c.made.cancel(c.ended)
		}
	}
	return c.made.Context
}

func (c *lateContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (c *lateContext) Done() <-chan struct{}       { return c.real().Done() }
func (c *lateContext) Err() error                  { return c.real().Err() }
func (c *lateContext) Value(key any) any           { return c.real().Value(key) }
