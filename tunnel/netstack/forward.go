package netstack

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	// forwardTimeout bounds a call of Forward.
	forwardTimeout = 30 * time.Second

	// maxOpening bounds TCP flows that wait for Forward, maxDatagrams those of datagrams that are open: what a far side
	// can make this host keep.
	maxOpening   = 1024
	maxDatagrams = 4096

	// datagramIdle ends a flow of datagrams: RFC 4787 section 4.3, REQ-5. Questions that are answered once need less.
	datagramIdle = 2 * time.Minute
	questionIdle = 20 * time.Second

	copySize = 32 << 10
)

// forward makes the stack take flows to any address.
func (c *core) forward(s *Stack) tcpip.Error {
	f := &forwarder{stack: s, core: c}
	f.buffers.New = func() any { return new([copySize]byte) }
	c.echoes = newEchoes(f)
	if err := c.fwd.create(c.gv, nicForward); err != nil {
		return err
	}
	if err := c.gv.SetPromiscuousMode(nicForward, true); err != nil {
		return err
	}
	if err := c.gv.SetSpoofing(nicForward, true); err != nil {
		return err
	}
	t := tcp.NewForwarder(c.gv, startBuffer, maxOpening, f.tcp)
	u := udp.NewForwarder(c.gv, f.udp)
	for number, handle := range map[tcpip.TransportProtocolNumber]func(stack.TransportEndpointID, *stack.PacketBuffer) bool{
		tcp.ProtocolNumber: t.HandlePacket, udp.ProtocolNumber: u.HandlePacket,
	} {
		c.gv.SetTransportProtocolHandler(number, func(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
			return pkt.NICID == nicForward && handle(id, pkt)
		})
	}
	return nil
}

type forwarder struct {
	stack     *Stack
	core      *core
	datagrams atomic.Int64
	buffers   sync.Pool // of *[copySize]byte
}

// ask calls Forward.
func (f *forwarder) ask(network string, src, dst netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(f.core.ctx, forwardTimeout)
	defer cancel()
	return f.stack.Forward(ctx, network, src, dst)
}

func ends(id stack.TransportEndpointID) (src, dst netip.AddrPort) {
	return netip.AddrPortFrom(fromAddress(id.RemoteAddress), id.RemotePort), netip.AddrPortFrom(fromAddress(id.LocalAddress), id.LocalPort)
}

// tcp is called on a goroutine of its own for each SYN. The far side learns that it is connected when Forward's
// connection is.
func (f *forwarder) tcp(r *tcp.ForwarderRequest) {
	if !f.stack.task() {
		r.Complete(false)
		return
	}
	defer f.stack.tasks.Done()
	src, dst := ends(r.ID())
	out, err := f.ask("tcp", src, dst)
	if err != nil || out == nil {
		r.Complete(true)
		return
	}
	defer out.Close()
	wq := new(waiter.Queue)
	ep, e := r.CreateEndpoint(wq)
	if e != nil {
		r.Complete(true)
		return
	}
	r.Complete(false)
	in := newStream(f.stack, ep, wq, "tcp")
	in.localAddr, in.remoteAddr = dst, src
	if err := f.stack.add(in); err != nil {
		in.fail(err)
		return
	}
	f.join(in, out)
}

// join carries bytes both ways. An end is passed on as an end, a failure as a reset.
func (f *forwarder) join(in *stream, out net.Conn) {
	stop := context.AfterFunc(f.core.ctx, func() { out.Close() })
	defer stop()
	reset := func(err error) {
		in.fail(err)
		if c, ok := out.(interface{ SetLinger(sec int) error }); ok {
			c.SetLinger(0) // Close resets
		}
		out.Close()
	}
	var up sync.WaitGroup
	up.Go(func() {
		if err := f.copy(out, in); err != nil {
			reset(err)
		}
	})
	if err := f.copy(in, out); err != nil {
		reset(err)
	}
	up.Wait()
	in.Close()
}

// copy carries bytes one way and passes the end on.
func (f *forwarder) copy(to, from net.Conn) error {
	b := f.buffers.Get().(*[copySize]byte)
	defer f.buffers.Put(b)
	if _, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, b[:]); err != nil {
		return err
	}
	if w, ok := to.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return to.Close() // it cannot be half closed
}

// udp is called by whoever delivers the first packet of a flow.
func (f *forwarder) udp(r *udp.ForwarderRequest) bool {
	if f.datagrams.Add(1) > maxDatagrams || !f.stack.task() {
		f.datagrams.Add(-1)
		return false
	}
	wq := new(waiter.Queue)
	ep, e := r.CreateEndpoint(wq)
	if e != nil {
		f.datagrams.Add(-1)
		f.stack.tasks.Done()
		return true
	}
	src, dst := ends(r.ID())
	in := newDatagram(f.stack, ep, wq, "udp")
	in.remote = src
	go func() {
		defer f.stack.tasks.Done()
		defer f.datagrams.Add(-1)
		defer in.Close()
		if f.stack.add(in) != nil {
			return
		}
		out, err := f.ask("udp", src, dst)
		if err != nil || out == nil {
			return
		}
		idle := datagramIdle
		if dst.Port() == 53 {
			idle = questionIdle
		}
		f.exchange(in, out, idle)
	}()
	return true
}

// exchange carries datagrams both ways until none has come for a while, or one end fails.
func (f *forwarder) exchange(in, out net.Conn, idle time.Duration) {
	stop := context.AfterFunc(f.core.ctx, func() { out.Close() })
	defer stop()
	var last atomic.Int64
	last.Store(time.Now().UnixNano())
	carry := func(to, from net.Conn) {
		// The largest datagram that the other side can have sent.
		b := make([]byte, 64<<10)
		for {
			from.SetReadDeadline(time.Unix(0, last.Load()).Add(idle))
			n, err := from.Read(b)
			var late net.Error
			switch {
			case err == nil:
				last.Store(time.Now().UnixNano())
				to.Write(b[:n]) // what is lost is lost
				continue
			case errors.As(err, &late) && late.Timeout() && time.Since(time.Unix(0, last.Load())) < idle:
				continue // the other way has carried something
			}
			in.Close()
			out.Close()
			return
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		carry(out, in)
	}()
	carry(in, out)
	<-done
}
