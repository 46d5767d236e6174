package netstack

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// A conn is what streams, datagram sockets and listeners have in common: an endpoint of the stack that can be waited for,
// with deadlines, and that ends once, for a reason.
type conn struct {
	stack   *Stack
	ep      tcpip.Endpoint
	wq      *waiter.Queue
	network string
	bound   netip.Addr // the stack's end; invalid: any. stack.mu guards it while the flow is in stack.flows

	readable, writable chan struct{}
	entries            [2]waiter.Entry
	read, write        deadline

	once  sync.Once
	done  chan struct{}
	cause error // once done is closed
}

func (c *conn) init(s *Stack, ep tcpip.Endpoint, wq *waiter.Queue, network string) {
	c.stack, c.ep, c.wq, c.network = s, ep, wq, network
	c.done = make(chan struct{})
	c.entries[0], c.readable = waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr)
	c.entries[1], c.writable = waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventHUp | waiter.EventErr)
	wq.EventRegister(&c.entries[0])
	wq.EventRegister(&c.entries[1])
}

// wait waits for the endpoint to be ready.
func (c *conn) wait(ready <-chan struct{}, d *deadline) error {
	select {
	case <-ready:
		return nil
	case <-c.done:
		return c.cause
	case <-d.wait():
		return os.ErrDeadlineExceeded
	}
}

// over returns why nothing can be done any more, or not in time.
func (c *conn) over(d *deadline) error {
	switch {
	case isClosed(c.done):
		return c.cause
	case isClosed(d.wait()):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// end closes the endpoint; the first reason counts. A reason other than its owner's makes it end at once.
func (c *conn) end(f flow, err error) bool {
	first := false
	c.once.Do(func() {
		first = true
		c.cause = err
		close(c.done)
		c.stack.remove(f)
		if err != net.ErrClosed {
			c.ep.Abort()
		}
		c.ep.Close()
		c.wq.EventUnregister(&c.entries[0])
		c.wq.EventUnregister(&c.entries[1])
	})
	return first
}

// local is flow's.
func (c *conn) local() netip.Addr { return c.bound }

func (c *conn) SetDeadline(t time.Time) error {
	c.read.set(t)
	c.write.set(t)
	return c.closed()
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.read.set(t)
	return c.closed()
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.write.set(t)
	return c.closed()
}

func (c *conn) closed() error {
	if isClosed(c.done) {
		return &net.OpError{Op: "set", Net: c.network, Err: c.cause}
	}
	return nil
}

// addrs returns the ends of a connection.
func (c *conn) addrs() (local, remote netip.AddrPort) {
	if a, err := c.ep.GetLocalAddress(); err == nil {
		local = fromFull(a)
	}
	if a, err := c.ep.GetRemoteAddress(); err == nil {
		remote = fromFull(a)
	}
	return local, remote
}

// netAddr returns a as package net has it for a network.
func netAddr(network string, a netip.AddrPort) net.Addr {
	switch network[:2] {
	case "tc":
		return net.TCPAddrFromAddrPort(a)
	case "ud":
		return net.UDPAddrFromAddrPort(a)
	}
	return &net.IPAddr{IP: a.Addr().AsSlice()}
}
