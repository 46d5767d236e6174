// Package latectx has contexts that are made late.
package latectx

import (
	"context"
	"sync"
	"time"
)

// A Context is one of the standard library that ends by End. Of most of them nobody ever asks for what takes such a one, which
// would be memory of each session: so that is made when somebody does. The zero Context has not ended.
type Context struct {
	mu    sync.Mutex
	made  *made // nil: nobody has asked
	ended error // End's cause; nil: it has not been called
}

type made struct {
	context.Context
	cancel context.CancelCauseFunc
}

// End ends it; the first cause stays.
func (c *Context) End(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = cause
	}
	if c.made != nil {
		c.made.cancel(cause)
	}
}

// Beneath is the context that answers, which also ends with parent, and has its values; it is always the same. An End before it
// was made came first, whatever has become of parent since.
func (c *Context) Beneath(parent context.Context) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		if c.ended != nil {
			parent = context.WithoutCancel(parent)
		}
		c.made = new(made)
		c.made.Context, c.made.cancel = context.WithCancelCause(parent)
		if c.ended != nil {
			c.made.cancel(c.ended)
		}
	}
	return c.made.Context
}

func (c *Context) own() context.Context { return c.Beneath(context.Background()) }

// Deadline, Done, Err and Value are of a context beneath none.

func (c *Context) Deadline() (time.Time, bool) { return time.Time{}, false }
func (c *Context) Done() <-chan struct{}       { return c.own().Done() }
func (c *Context) Value(key any) any           { return c.own().Value(key) }

// Err asks nobody else.
func (c *Context) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return context.Canceled
	}
	return nil
}
