package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/dialway/dialway/tunnel"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// A Stack is a host of its own inside this program. It is a tunnel.PacketIO. The zero Stack is ready; it must not be
// copied. Its methods may be called from any goroutine.
type Stack struct {
	// Forward takes flows to addresses that are not the stack's: it returns where they go. network is "tcp", "udp" or
	// "ping"; a ping's connection takes whole ICMP echo requests, one a Write, and gives whole replies, one a Read.
	// ctx ends with the stack. An error refuses the flow; nil refuses all. Set it before the first use.
	Forward func(ctx context.Context, network string, src, dst netip.AddrPort) (net.Conn, error)

	once   sync.Once
	stack  *stack.Stack
	ep     endpoint
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	flows  sync.WaitGroup // forwarded

	mu      sync.Mutex
	changed chan struct{} // closed and renewed whenever what follows changes
	addrs   []netip.Addr
	dns     []netip.Addr
	serving bool
	cause   error // why the last link ended, while there is no other
	closed  bool
	pings   map[pingFlow]net.Conn
}

var _ tunnel.PacketIO = (*Stack)(nil)

const (
	nic        = 1
	defaultMTU = 1400
)

// start makes the stack, once.
func (s *Stack) start() {
	s.once.Do(func() {
		s.ctx, s.cancel = context.WithCancel(context.Background())
		s.changed = make(chan struct{})
		s.pings = make(map[pingFlow]net.Conn)
		s.ep.init(defaultMTU)
		s.stack = stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
			// With every address its own, a stack that handles local packets would take every source for itself.
			HandleLocal: s.Forward == nil,
		})
		s.tune()
		// Neither can fail on a new stack.
		s.stack.CreateNIC(nic, &s.ep)
		s.stack.SetRouteTable([]tcpip.Route{
			{Destination: header.IPv4EmptySubnet, NIC: nic},
			{Destination: header.IPv6EmptySubnet, NIC: nic},
		})
		if s.Forward != nil {
			s.stack.SetPromiscuousMode(nic, true)
			s.stack.SetSpoofing(nic, true)
			s.forward()
		}
	})
}

// tune sets TCP up for a tunnel: buffers for long fat paths that grow as needed, and loss found by SACK.
func (s *Stack) tune() {
	set := func(o tcpip.SettableTransportProtocolOption) {
		s.stack.SetTransportProtocolOption(tcp.ProtocolNumber, o)
	}
	sack, moderate := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true)
	cubic := tcpip.CongestionControlOption("cubic")
	recovery := tcpip.TCPRecovery(0) // RACK retransmits without need when packets come in batches
	set(&sack)
	set(&moderate)
	set(&cubic)
	set(&recovery)
	set(&tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: 1 << 20, Max: 8 << 20})
	set(&tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: 1 << 20, Max: 6 << 20})
}

// notify tells whoever waits that something has changed; mu is held.
func (s *Stack) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Configure gives the stack l's addresses, name servers and MTU, in the place of those it had; flows from an address
// that stays go on. It fits demanddial.Interface.Up.
func (s *Stack) Configure(ctx context.Context, l tunnel.Link) error {
	s.start()
	addrs := l.Addrs()
	if mtu := l.MTU(); mtu > 0 {
		s.ep.SetMTU(uint32(mtu))
	}
	if err := s.SetAddrs(addrs...); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dns = l.DNS()
	s.notify()
	return nil
}

// SetAddrs gives the stack addresses, in the place of those it had.
func (s *Stack) SetAddrs(addrs ...netip.Addr) error {
	s.start()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	for _, a := range s.addrs {
		if !slices.Contains(addrs, a) {
			s.stack.RemoveAddress(nic, tcpip.AddrFromSlice(a.AsSlice()))
		}
	}
	for _, a := range addrs {
		if slices.Contains(s.addrs, a) {
			continue
		}
		p := tcpip.ProtocolAddress{Protocol: protocolOf(a), AddressWithPrefix: tcpip.AddrFromSlice(a.AsSlice()).WithPrefix()}
		if err := s.stack.AddProtocolAddress(nic, p, stack.AddressProperties{}); err != nil {
			if _, ok := err.(*tcpip.ErrDuplicateAddress); !ok {
				return fmt.Errorf("netstack: set address %v: %v", a, err)
			}
		}
	}
	s.addrs = slices.Clone(addrs)
	s.notify()
	return nil
}

func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// isOwn reports whether an address is the stack's.
func (s *Stack) isOwn(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.addrs, a)
}

// errServed says that one link is served already.
var errServed = errors.New("netstack: a link is being served already")

// Serve configures the stack from l and moves packets between them until l ends or ctx does. Use it in the place of a
// Router when there is one link. It closes l, not the stack: the next Serve goes on, and flows survive if the address is
// the same. Meanwhile dials fail with the reason for which l ended.
func (s *Stack) Serve(ctx context.Context, l tunnel.Link) error {
	s.start()
	s.mu.Lock()
	if s.closed || s.serving {
		defer s.mu.Unlock()
		l.Close()
		if s.closed {
			return net.ErrClosed
		}
		return errServed
	}
	s.serving, s.cause = true, nil
	s.notify()
	s.mu.Unlock()

	var err error
	if len(l.Addrs()) > 0 { // a link that connects when it is needed configures the stack itself, by its Up
		err = s.Configure(ctx, l)
	}
	if err == nil {
		ctx, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(s.ctx, cancel)
		s.ep.setLink(l)
		err = l.Serve(ctx, s.Write)
		s.ep.setLink(nil)
		stop()
		cancel()
	} else {
		l.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving, s.cause = false, err
	s.notify()
	return err
}

// Close ends every flow; what waits in DialContext, Read or Serve returns net.ErrClosed.
func (s *Stack) Close() error {
	s.start()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.notify()
	for _, c := range s.pings {
		c.Close()
	}
	s.mu.Unlock()
	s.cancel()
	s.ep.close()
	s.flows.Wait()
	s.stack.Close()
	s.stack.Wait()
	return nil
}
