package sstp

import (
	"context"
	"testing"

	"github.com/dialway/dialway/ppp"
)

type baseKey struct{}

// The link's end before that of the context is its cause, and the values are the session's and BaseContext's, whenever somebody
// asks.
func TestHandlerContextOfAnEndedLink(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		defer ts.stop()
		c, ended := ts.session(t, nil)
		c.Terminate(ppp.UserRequest, "")
		why := <-ended
		h := &handlerContext{base: context.WithValue(t.Context(), baseKey{}, 7), link: c}
		h.end(ErrServerClosed)
		if <-h.Done(); context.Cause(h) != why || h.Value(baseKey{}) != 7 {
			t.Errorf("%v, %v", context.Cause(h), h.Value(baseKey{}))
		}
	})
}

// A handlerContext ends by end and with the link, with its cause, whether or not somebody asked before.
func TestHandlerContext(t *testing.T) {
	for _, asked := range []bool{false, true} {
		link := ppp.Server(nil, ppp.Call{}, nil)
		c := &handlerContext{base: context.WithValue(t.Context(), baseKey{}, 7), link: link}
		if asked {
			if c.Err() != nil || c.Value(baseKey{}) != 7 {
				t.Error(c.Err(), c.Value(baseKey{}))
			}
		}
		c.end(ErrServerClosed)
		c.end(context.Canceled) // the first cause stays
		<-c.Done()
		if c.Err() != context.Canceled || context.Cause(c) != ErrServerClosed {
			t.Errorf("asked %v: %v, because %v", asked, c.Err(), context.Cause(c))
		}
		below, cancel := context.WithTimeout(c, 1)
		if cancel(); context.Cause(below) != ErrServerClosed {
			t.Error(context.Cause(below))
		}
		if !c.EndsLink(link) || link.Context().Err() != nil {
			t.Error("the link has ended, or is another's")
		}
	}
}
