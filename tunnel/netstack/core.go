package netstack

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// The stack has two interfaces towards the same far side: what listens on all of the stack's addresses must not catch
// flows to the addresses that it only forwards.
const (
	nicOwn     tcpip.NICID = 1 // packets to the stack's addresses
	nicForward tcpip.NICID = 2 // packets to others; takes and sends from any address
)

const (
	// maxBuffer bounds what one TCP flow keeps in each direction; the stack tunes buffers up to it. 8 MiB keep 500 Mbit/s
	// going over 130 ms.
	maxBuffer = 8 << 20

	startBuffer = 1 << 20
)

// A core is a Stack that has started.
type core struct {
	gv       *stack.Stack
	in       *input
	out      *output
	dev, fwd *device
	own      atomic.Pointer[[]netip.Addr]
	echoes   *echoes // nil: nothing is forwarded

	ctx    context.Context // ends with the stack
	cancel context.CancelFunc
}

func newCore(s *Stack) (*core, error) {
	c := &core{in: newInput(), out: newOutput()}
	c.own.Store(new([]netip.Addr))
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.dev, c.fwd = &device{mtu: &s.mtu, out: c.out}, &device{mtu: &s.mtu, out: c.out}
	c.gv = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
		// Flows to the stack's own addresses stay inside. The check that goes with it takes every address for an own one
		// where any is accepted.
		HandleLocal: s.Forward == nil,
	})
	if err := c.tune(); err != nil {
		c.gv.Destroy()
		return nil, fmt.Errorf("netstack: %v", err)
	}
	if err := c.dev.create(c.gv, nicOwn); err != nil {
		c.gv.Destroy()
		return nil, fmt.Errorf("netstack: %v", err)
	}
	routes := []tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nicOwn},
		{Destination: header.IPv6EmptySubnet, NIC: nicOwn},
	}
	if s.Forward != nil {
		if err := c.forward(s); err != nil {
			c.gv.Destroy()
			return nil, fmt.Errorf("netstack: %v", err)
		}
		routes = append(routes,
			tcpip.Route{Destination: header.IPv4EmptySubnet, NIC: nicForward},
			tcpip.Route{Destination: header.IPv6EmptySubnet, NIC: nicForward})
	}
	c.gv.SetRouteTable(routes)
	return c, nil
}

func (c *core) tune() tcpip.Error {
	sack := tcpip.TCPSACKEnabled(true)
	// RACK takes the batches in which packets come through a tunnel for loss, and hardly recovers from a burst of it:
	// measured, up to a hundred times slower than SACK alone.
	recovery := tcpip.TCPRecovery(0)
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: startBuffer, Max: maxBuffer}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: startBuffer, Max: maxBuffer}
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &recovery, &moderate, &receive, &send} {
		if err := c.gv.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return err
		}
	}
	return nil
}

// isOwn reports whether an address is the stack's; it is asked for each packet.
func (c *core) isOwn(a netip.Addr) bool {
	for _, o := range *c.own.Load() {
		if o == a {
			return true
		}
	}
	return false
}

func (c *core) addAddr(a netip.Addr) error {
	p := tcpip.ProtocolAddress{Protocol: protocolOf(a), AddressWithPrefix: toAddress(a).WithPrefix()}
	if err := c.gv.AddProtocolAddress(nicOwn, p, stack.AddressProperties{}); err != nil {
		return toError(err)
	}
	return nil
}

func (c *core) removeAddr(a netip.Addr) { c.gv.RemoveAddress(nicOwn, toAddress(a)) }

func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return header.IPv4ProtocolNumber
	}
	return header.IPv6ProtocolNumber
}

func toAddress(a netip.Addr) tcpip.Address {
	if a.Is4() {
		return tcpip.AddrFrom4(a.As4())
	}
	return tcpip.AddrFrom16(a.As16())
}

func fromAddress(a tcpip.Address) netip.Addr {
	ip, _ := netip.AddrFromSlice(a.AsSlice())
	return ip.Unmap()
}

func toFull(a netip.AddrPort) tcpip.FullAddress {
	f := tcpip.FullAddress{Port: a.Port()}
	if a.Addr().IsValid() {
		f.Addr = toAddress(a.Addr())
	}
	return f
}

func fromFull(f tcpip.FullAddress) netip.AddrPort {
	return netip.AddrPortFrom(fromAddress(f.Addr), f.Port)
}
