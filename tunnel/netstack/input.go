package netstack

import (
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/stack/gro"
)

// An input is where packets come in: it joins consecutive segments of a flow, since most of what the stack does costs
// the same for each.
type input struct {
	groups sync.Pool // of *group

	mu     sync.Mutex
	users  int
	closed bool
	empty  chan struct{} // closed when closed and without users
}

// A group is what comes in at once.
type group struct {
	join gro.GRO
	dev  *device // of what has been joined
}

func newInput() *input {
	i := &input{empty: make(chan struct{})}
	i.groups.New = func() any {
		g := new(group)
		g.join.Init(true)
		return g
	}
	return i
}

// enter returns a group to add packets to; nil means that the stack is closed.
func (i *input) enter() *group {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil
	}
	i.users++
	return i.groups.Get().(*group)
}

// leave delivers what is left of a group.
func (i *input) leave(g *group) {
	g.flush()
	i.groups.Put(g)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.users--; i.users == 0 && i.closed {
		close(i.empty)
	}
}

// close waits until nothing is delivered any more. Delivery never waits.
func (i *input) close() {
	i.mu.Lock()
	i.closed = true
	idle := i.users == 0
	i.mu.Unlock()
	if !idle {
		<-i.empty
	}
}

// add adds a copy of a packet for a device, and delivers what it cannot be joined with.
func (g *group) add(d *device, p []byte) {
	if g.dev != d {
		g.flush()
		g.dev, g.join.Dispatcher = d, d
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(p)})
	pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	if p[0]>>4 == 6 {
		pkt.NetworkProtocolNumber = header.IPv6ProtocolNumber
	}
	g.join.Enqueue(pkt)
	pkt.DecRef()
}

func (g *group) flush() {
	if g.dev != nil {
		g.join.Flush()
		g.dev, g.join.Dispatcher = nil, nil
	}
}
