package netstack

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A device is an interface of the stack: what the stack sends by it goes out by way of an output, what comes in is handed
// to its network endpoints.
type device struct {
	mtu      *atomic.Int64
	out      *output
	attached atomic.Bool

	nic    tcpip.NICID
	v4, v6 stack.NetworkEndpoint
}

var (
	_ stack.LinkEndpoint      = (*device)(nil)
	_ stack.GSOEndpoint       = (*device)(nil)
	_ stack.NetworkDispatcher = (*device)(nil)
)

// create makes the interface.
func (d *device) create(gv *stack.Stack, nic tcpip.NICID) (err tcpip.Error) {
	d.nic = nic
	if err = gv.CreateNIC(nic, d); err != nil {
		return err
	}
	if d.v4, err = gv.GetNetworkEndpoint(nic, header.IPv4ProtocolNumber); err != nil {
		return err
	}
	d.v6, err = gv.GetNetworkEndpoint(nic, header.IPv6ProtocolNumber)
	return err
}

// DeliverNetworkPacket takes what comes in. It does what the stack's own dispatcher does, but for this: whether checksums
// have been verified is said by the packet here, and not by the interface. What has been joined has no right ones.
func (d *device) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	pkt.NICID = d.nic
	if protocol == header.IPv4ProtocolNumber {
		d.v4.HandlePacket(pkt)
	} else {
		d.v6.HandlePacket(pkt)
	}
}

func (d *device) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// WritePackets takes what the stack sends. What finds a queue full is lost, as on any link.
func (d *device) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	pkts := list.AsSlice()
	d.out.send(pkts, int(d.MTU()))
	return len(pkts), nil
}

func (d *device) MTU() uint32 {
	if mtu := d.mtu.Load(); mtu > 0 {
		return uint32(mtu)
	}
	return defaultMTU
}

func (d *device) Attach(to stack.NetworkDispatcher) { d.attached.Store(to != nil) }
func (d *device) IsAttached() bool                  { return d.attached.Load() }

// SupportedGSO says that TCP may be sent in pieces larger than packets, with checksums not yet made: see segment. Most of
// the cost of TCP is per piece, and a link likes to have many packets at once.
func (d *device) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// GSOMaxSize is the size of such a piece, with headers.
func (d *device) GSOMaxSize() uint32 { return 1 << 16 }

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
