package sstp

import (
	"context"
	"time"

	"github.com/dialway/dialway/internal/latectx"
	"github.com/dialway/dialway/ppp"
)

// A handlerContext is a Handler's context: it ends with the link's, and by End, and has BaseContext's values under the
// session's.
//
// Most Handlers give it to Serve of the link and do nothing else with it, and Serve asks EndsLink alone. A context of the
// standard library beneath the link's would be half a kilobyte of an idle session, so it is made late.
type handlerContext struct {
	late latectx.Context
	base context.Context
	link *ppp.Conn
}

// end ends it; what has ended it already, or the link, stays the cause.
func (c *handlerContext) end(cause error) {
	if c.link.Context().Err() == nil {
		c.late.End(cause)
	}
}

func (c *handlerContext) real() context.Context       { return c.late.Beneath(c.link.Context()) }
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
