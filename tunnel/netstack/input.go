package netstack

import (
	"sync"

	"github.com/dialway/dialway/internal/offload"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/stack/gro"
)

// An input is where packets come in: it joins segments of a flow, since most of what the stack does costs the same for each.
// Consecutive ones, as they mostly are, become one before the stack sees them; the stack itself joins others.
type input struct {
	groups sync.Pool // of *group

	mu     sync.Mutex
	users  int
	closed bool
	empty  chan struct{} // closed when closed and without users
}

// A group is what comes in at once.
type group struct {
	join offload.Joiner
	rest gro.GRO // what is not consecutive
	dev  *device // of what has been joined
}

func newInput() *input {
	i := &input{empty: make(chan struct{})}
	i.groups.New = func() any {
		g := new(group)
		g.rest.Init(true)
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

// add adds a packet for a device, and delivers what it cannot be joined with. The packet is lent until the group is left;
// what is delivered is a copy.
func (g *group) add(d *device, p []byte) {
	if g.dev != d {
		g.flush()
		g.dev, g.rest.Dispatcher = d, d
	}
	if !g.join.Add(p) {
		g.deliver()
		g.join.Add(p)
	}
}

// deliver hands on what is joined.
func (g *group) deliver() {
	if g.join.Len() == 0 {
		return
	}
	parts, n := g.join.Finish()
	parts = parts[1:] // without the header for a kernel
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	v := buffer.NewView(size)
	for _, p := range parts {
		v.Write(p)
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(v)})
	pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	if parts[0][0]>>4 == 6 {
		pkt.NetworkProtocolNumber = header.IPv6ProtocolNumber
	}
	clear(parts)
	if n == 1 {
		g.rest.Enqueue(pkt)
	} else {
		g.rest.Flush() // order
		pkt.RXChecksumValidated = true
		g.dev.DeliverNetworkPacket(pkt.NetworkProtocolNumber, pkt)
	}
	pkt.DecRef()
}

func (g *group) flush() {
	if g.dev != nil {
		g.deliver()
		g.rest.Flush()
		g.dev, g.rest.Dispatcher = nil, nil
	}
}
