package netstack

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/dialway/dialway/tunnel"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// An endpoint joins the stack to a link or, without one, to whoever calls Read. Packets to a link are written on the
// stack's goroutine, since a link never waits; packets for Read wait in a queue, and too many are dropped.
type endpoint struct {
	mtu      atomic.Uint32
	link     atomic.Pointer[linkBox]
	dispatch atomic.Pointer[dispatcherBox]

	mu     sync.Mutex
	ready  *sync.Cond // mu; queue has changed, or closed
	queue  []*packet
	closed bool
}

// A packet leaves the stack.
type packet struct{ b []byte }

const (
	headroom  = 16   // scratch that a PacketWriter finds in front of a packet
	maxQueue  = 1024 // packets that wait for Read
	batchSize = 64
	maxBuffer = 64 << 10
)

// bursts hold what one call of the stack sends.
type burst struct {
	bufs  [][]byte
	store [][]byte
}

var bursts = sync.Pool{New: func() any { return new(burst) }}

type linkBox struct{ tunnel.PacketWriter }
type dispatcherBox struct{ stack.NetworkDispatcher }

func (e *endpoint) init(mtu uint32) {
	e.mtu.Store(mtu)
	e.ready = sync.NewCond(&e.mu)
}

func (e *endpoint) setLink(l tunnel.PacketWriter) {
	if l == nil {
		e.link.Store(nil)
		return
	}
	e.link.Store(&linkBox{l})
}

// WritePackets is called by the stack.
func (e *endpoint) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	list := pkts.AsSlice()
	if box := e.link.Load(); box != nil {
		b := bursts.Get().(*burst)
		b.bufs = b.bufs[:0]
		for i, p := range list {
			if i == len(b.store) {
				b.store = append(b.store, make([]byte, 0, 2048))
			}
			b.store[i] = appendPacket(b.store[i][:0], p)
			b.bufs = append(b.bufs, b.store[i])
		}
		box.Write(b.bufs, headroom) // an error is the link's end, which Serve knows
		bursts.Put(b)
		return len(list), nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range list {
		if len(e.queue) < maxQueue && !e.closed {
			e.queue = append(e.queue, &packet{appendPacket(nil, p)})
		}
	}
	e.ready.Signal()
	return len(list), nil
}

// appendPacket copies a packet behind headroom.
func appendPacket(b []byte, p *stack.PacketBuffer) []byte {
	if cap(b) < headroom+p.Size() {
		b = make([]byte, 0, headroom+p.Size())
	}
	b = b[:headroom]
	for _, s := range p.AsSlices() {
		b = append(b, s...)
	}
	return b
}

// read waits for packets.
func (e *endpoint) read(bufs [][]byte, sizes []int, offset int) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.queue) == 0 {
		if e.closed {
			return 0, net.ErrClosed
		}
		e.ready.Wait()
	}
	n := min(len(bufs), len(sizes), len(e.queue))
	for i, p := range e.queue[:n] {
		sizes[i] = copy(bufs[i][offset:], p.b[headroom:])
		e.queue[i] = nil
	}
	e.queue = e.queue[n:]
	return n, nil
}

// put hands an IP packet to the stack, as a copy.
func (e *endpoint) put(p []byte) {
	d := e.dispatch.Load()
	if d == nil || len(p) == 0 {
		return
	}
	proto := tcpip.NetworkProtocolNumber(ipv4.ProtocolNumber)
	switch p[0] >> 4 {
	case 4:
	case 6:
		proto = ipv6.ProtocolNumber
	default:
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(p)})
	d.DeliverNetworkPacket(proto, pkt)
	pkt.DecRef()
}

func (e *endpoint) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed, e.queue = true, nil
	e.ready.Broadcast()
}

// What follows is stack.LinkEndpoint.

func (e *endpoint) MTU() uint32                                  { return e.mtu.Load() }
func (e *endpoint) SetMTU(mtu uint32)                            { e.mtu.Store(mtu) }
func (e *endpoint) MaxHeaderLength() uint16                      { return 0 }
func (e *endpoint) LinkAddress() tcpip.LinkAddress               { return "" }
func (e *endpoint) SetLinkAddress(tcpip.LinkAddress)             {}
func (e *endpoint) Capabilities() stack.LinkEndpointCapabilities { return 0 }
func (e *endpoint) IsAttached() bool                             { return e.dispatch.Load() != nil }
func (e *endpoint) Wait()                                        {}
func (e *endpoint) ARPHardwareType() header.ARPHardwareType      { return header.ARPHardwareNone }
func (e *endpoint) AddHeader(*stack.PacketBuffer)                {}
func (e *endpoint) ParseHeader(*stack.PacketBuffer) bool         { return true }
func (e *endpoint) Close()                                       {}
func (e *endpoint) SetOnCloseAction(func())                      {}

func (e *endpoint) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		e.dispatch.Store(nil)
		return
	}
	e.dispatch.Store(&dispatcherBox{d})
}

var _ stack.LinkEndpoint = (*endpoint)(nil)
