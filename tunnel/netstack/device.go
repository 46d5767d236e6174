package netstack

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A device is an interface of the stack: packets for it come in by deliver and go out into a queue.
type device struct {
	mtu *atomic.Int64
	out *queue

	mu         sync.RWMutex // held for reading while packets are delivered, so that none comes when the stack is taken apart
	dispatcher stack.NetworkDispatcher
	closed     bool
}

var _ stack.LinkEndpoint = (*device)(nil)

func newDevice(s *Stack, out *queue) *device { return &device{mtu: &s.mtu, out: out} }

// deliver hands a copy of a packet to the stack; false means that it is closed. It does not wait: what the stack has to
// say to it goes into the queue.
func (d *device) deliver(p []byte) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return false
	}
	if d.dispatcher == nil {
		return true
	}
	proto := header.IPv4ProtocolNumber
	if p[0]>>4 == 6 {
		proto = header.IPv6ProtocolNumber
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(p)})
	d.dispatcher.DeliverNetworkPacket(proto, pkt)
	pkt.DecRef()
	return true
}

// close makes deliver say so.
func (d *device) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// WritePackets takes what the stack sends. What finds the queue full is lost, as on any link.
func (d *device) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	pkts := list.AsSlice()
	for _, pkt := range pkts {
		p := d.out.get()
		p.b = append(p.b, pkt.NetworkHeader().Slice()...)
		p.b = append(p.b, pkt.TransportHeader().Slice()...)
		pkt.Data().ReadTo(p, true)
		d.out.put(p)
	}
	return len(pkts), nil
}

func (d *device) MTU() uint32 {
	if mtu := d.mtu.Load(); mtu > 0 {
		return uint32(mtu)
	}
	return defaultMTU
}

func (d *device) Attach(to stack.NetworkDispatcher) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dispatcher = to
}

func (d *device) IsAttached() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.dispatcher != nil
}

// The rest is about layers that a tunnel does not have.

func (d *device) SetMTU(uint32)                                {}
func (d *device) MaxHeaderLength() uint16                      { return 0 }
func (d *device) LinkAddress() tcpip.LinkAddress               { return "" }
func (d *device) SetLinkAddress(tcpip.LinkAddress)             {}
func (d *device) Capabilities() stack.LinkEndpointCapabilities { return 0 }
func (d *device) Wait()                                        {}
func (d *device) ARPHardwareType() header.ARPHardwareType      { return header.ARPHardwareNone }
func (d *device) AddHeader(*stack.PacketBuffer)                {}
func (d *device) ParseHeader(*stack.PacketBuffer) bool         { return true }
func (d *device) Close()                                       {}
func (d *device) SetOnCloseAction(func())                      {}
