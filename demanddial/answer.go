package demanddial

import (
	"context"

	"github.com/dialway/dialway/tunnel"
)

// Answer lets a link that the far side dialled be this Interface until it ends, serves it, and returns why it ended. Call
// it in a Handler, for a caller that Set.Match, or something as good, says is this Interface: who calls it answers for
// the name. Whatever state the Interface is in, it becomes Up; but one that is disabled, paused or only calls refuses.
func (i *Interface) Answer(ctx context.Context, l tunnel.Link) error {
	c := newCall(ctx, l)
	c.name = i.Name
	i.inbox.post(func(e *engine) { e.offered(c) })
	select {
	case err := <-c.decided:
		if err != nil {
			c.cancel(err)
			l.Close()
			return err
		}
	case <-ctx.Done():
		return i.withdraw(c, context.Cause(ctx))
	case <-i.inbox.gone():
		return i.withdraw(c, errClosed)
	}
	return c.by.runAnswered(c)
}

// withdraw takes an offer back; if it was accepted just then, the call has ended.
func (i *Interface) withdraw(c *call, why error) error {
	if !c.taken.CompareAndSwap(false, true) {
		if err := <-c.decided; err == nil {
			c.cancel(why)
			return c.by.runAnswered(c)
		}
	}
	c.cancel(why)
	c.link.Close()
	return why
}

// runAnswered serves a call that was accepted, on the Handler's goroutine.
func (e *engine) runAnswered(c *call) error {
	defer e.beside.Done()
	defer c.cancel(nil)
	defer c.detach()
	defer e.wired.ports.give(e.Interface)
	return e.serveCall(c)
}

// offered decides whether a call of the far side is taken.
func (e *engine) offered(c *call) {
	if why := e.refusal(); why != nil {
		e.log.Info("call refused", "why", why)
		c.refuse(why)
		return
	}
	if !e.wired.ports.take(e.Interface) {
		c.refuse(&UnreachableError{Name: e.Name, Reasons: NoResources, Err: errNoPort})
		return
	}
	c.by = e
	e.beside.Add(1)
	c.detach = context.AfterFunc(e.ctx, func() { c.cancel(context.Cause(e.ctx)) }) // it ends with either
	if !e.accept(c) {
		c.detach()
		e.beside.Done()
		e.wired.ports.give(e.Interface)
	}
}

// refusal says why no call is taken; nil: one is.
func (e *engine) refusal() error {
	switch {
	case e.over != nil:
		return e.over
	case e.NoAnswer:
		return &RefusedError{User: e.Name, Router: true, Why: "interface " + e.Name + " only calls"}
	case !e.enabled():
		return &UnreachableError{Name: e.Name, Reasons: Disabled}
	case e.suspends.Load():
		return &UnreachableError{Name: e.Name, Reasons: Paused}
	}
	return nil
}
