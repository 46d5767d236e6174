package netstack

import (
	"context"
	"io"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	maxDialing = 1024 // TCP flows that wait for Forward
	udpIdle    = time.Minute
	dialTime   = 30 * time.Second
)

// forward ends flows to anybody's addresses here, and hands them to Forward.
func (s *Stack) forward() {
	t := tcp.NewForwarder(s.stack, 0, maxDialing, func(r *tcp.ForwarderRequest) {
		s.flow(func() { s.forwardTCP(r) })
	})
	s.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, t.HandlePacket)
	u := udp.NewForwarder(s.stack, func(r *udp.ForwarderRequest) bool {
		src, dst := ends(r.ID())
		if s.isOwn(dst.Addr()) {
			return false
		}
		var wq waiter.Queue
		ep, err := r.CreateEndpoint(&wq)
		if err != nil {
			return true
		}
		s.flow(func() { s.forwardUDP(gonet.NewUDPConn(&wq, ep), src, dst) })
		return true
	})
	s.stack.SetTransportProtocolHandler(udp.ProtocolNumber, u.HandlePacket)
}

// flow runs f on a goroutine that Close waits for.
func (s *Stack) flow(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.flows.Add(1)
	go func() {
		defer s.flows.Done()
		f()
	}()
}

// ends are a flow's two ends; the stack plays its destination.
func ends(id stack.TransportEndpointID) (src, dst netip.AddrPort) {
	return netip.AddrPortFrom(addrOf(id.RemoteAddress), id.RemotePort), netip.AddrPortFrom(addrOf(id.LocalAddress), id.LocalPort)
}

func addrOf(a tcpip.Address) netip.Addr {
	addr, _ := netip.AddrFromSlice(a.AsSlice())
	return addr
}

func (s *Stack) forwardTCP(r *tcp.ForwarderRequest) {
	src, dst := ends(r.ID())
	if s.isOwn(dst.Addr()) {
		r.Complete(true) // nobody listens
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, dialTime)
	out, err := s.Forward(ctx, "tcp", src, dst)
	cancel()
	if err != nil {
		r.Complete(true)
		return
	}
	defer out.Close()
	var wq waiter.Queue
	ep, terr := r.CreateEndpoint(&wq)
	if terr != nil {
		r.Complete(true)
		return
	}
	r.Complete(false)
	in := gonet.NewTCPConn(&wq, ep)
	defer in.Close()
	stop := context.AfterFunc(s.ctx, func() {
		in.Close()
		out.Close()
	})
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(out, in)
		closeWrite(out)
	}()
	io.Copy(in, out)
	in.CloseWrite()
	<-done
}

// closeWrite passes an end of one direction on.
func closeWrite(c net.Conn) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		w.CloseWrite()
		return
	}
	c.Close()
}

func (s *Stack) forwardUDP(in net.Conn, src, dst netip.AddrPort) {
	defer in.Close()
	ctx, cancel := context.WithTimeout(s.ctx, dialTime)
	out, err := s.Forward(ctx, "udp", src, dst)
	cancel()
	if err != nil {
		return
	}
	defer out.Close()
	stop := context.AfterFunc(s.ctx, func() {
		in.Close()
		out.Close()
	})
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		datagrams(out, in)
		out.Close()
	}()
	datagrams(in, out)
	in.Close()
	<-done
}

// datagrams copies until nothing has come for udpIdle.
func datagrams(to, from net.Conn) {
	b := make([]byte, maxBuffer)
	for {
		from.SetReadDeadline(time.Now().Add(udpIdle))
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}
