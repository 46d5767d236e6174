package sstp

import (
	"context"
	"sync"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A handlerContext is a Handler's context: it ends with the link's, and by end, and has BaseContext's values under the
// session's.
//
// Most Handlers give it to Serve of the link and do nothing else with it, and Serve asks EndsLink alone. A context of the
// standard library beneath the link's would be half a kilobyte of an idle session, so it is made when somebody asks for what
// only it can answer.
type handlerContext struct {
	base context.Context
	link *ppp.Conn

	mu     sync.Mutex
	ctx    context.Context // nil: nobody has asked
	cancel context.CancelCauseFunc
	ended  error // end's cause; nil: it has not been called
}

// end ends it; the first cause stays.
func (c *handlerContext) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = cause
	}
	if c.cancel != nil {
		c.cancel(cause)
	}
}

// real is the context that answers.
func (c *handlerContext) real() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithCancelCause(c.link.Context())
		if c.ended != nil {
			c.cancel(c.ended)
		}
	}
	return c.ctx
}

func (c *handlerContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (c *handlerContext) Done() <-chan struct{}       { return c.real().Done() }
func (c *handlerContext) Err() error                  { return c.real().Err() }

// Value looks in the session's context first.
func (c *handlerContext) Value(key any) any {
	if v := c.real().Value(key); v != nil {
		return v
	}
	return c.base.Value(key)
}

// EndsLink reports that whoever ends this context also ends link: package ppp asks, so that it need not watch.
func (c *handlerContext) EndsLink(link *ppp.Conn) bool { return c.link == link }
