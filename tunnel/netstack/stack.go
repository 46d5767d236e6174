package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/tunnel"
)

const (
	defaultMTU    = 1400
	defaultLinger = 30 * time.Second
)

// A Stack is a host of its own inside this program. It is a [tunnel.PacketIO]. The zero Stack is ready: it starts with the
// first call of a method and runs until Close. A Stack must not be copied.
type Stack struct {
	// Forward takes flows to unicast addresses that are not the stack's: it returns where they go, and the stack carries
	// what comes either way until one end closes. network is "tcp", "udp" or "ping", src who sends, dst what for; a ping
	// has no ports. An error refuses the flow: by a TCP reset, or in silence. ctx ends with the stack, or 30 s later; it
	// bounds the call only.
	//
	// The connection of a ping takes ICMP echo requests, a whole message a Write, and gives replies, a whole message a
	// Read, under whatever identifier; no connection and no error mean that the stack answers.
	//
	// What is carried as datagrams ends when none has come either way for two minutes, or 20 s for DNS and pings. nil
	// refuses all flows. Set it before the first call. Forward must not call Close.
	Forward func(ctx context.Context, network string, src, dst netip.AddrPort) (net.Conn, error)

	// Linger is how long flows outlive the Serve that carried them when no other begins; then they fail with its error.
	// 0 means 30 s.
	Linger time.Duration

	core  atomic.Pointer[core] // nil until the stack has started
	mtu   atomic.Int64         // 0 means defaultMTU
	close sync.Once

	mu      sync.Mutex
	closed  bool
	addrs   []netip.Addr
	dns     []netip.Addr // of the link
	setDNS  []netip.Addr // instead of those
	search  []string
	goodDNS netip.Addr // the one that answered last
	flows   map[flow]struct{}
	changed chan struct{}  // closed when anything has changed that a dial waits for
	ended   error          // why nothing is served any more
	serving *serving       // nil: no Serve runs
	linger  *time.Timer    // ends flows
	tasks   sync.WaitGroup // forwarded flows
}

var _ tunnel.PacketIO = (*Stack)(nil)

// A flow is what Close and a change of address end.
type flow interface {
	fail(err error)
	local() netip.Addr // invalid: any
}

var errClosed = fmt.Errorf("netstack: stack closed: %w", net.ErrClosed)

// start returns the running stack.
func (s *Stack) start() (*core, error) {
	if c := s.core.Load(); c != nil {
		return c, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.startLocked()
}

func (s *Stack) startLocked() (*core, error) {
	c := s.core.Load()
	if s.closed {
		return nil, errClosed
	}
	if c == nil {
		var err error
		if c, err = newCore(s); err != nil {
			return nil, err
		}
		s.flows = make(map[flow]struct{})
		s.changed = make(chan struct{})
		s.core.Store(c)
	}
	return c, nil
}

// wake lets waiting dials look again. s.mu is held.
func (s *Stack) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Configure gives the stack l's addresses, name servers and MTU, in the place of what it had. Flows whose address stays
// go on, others fail. It fits demanddial.Interface.Up.
func (s *Stack) Configure(ctx context.Context, l tunnel.Link) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	var dns []netip.Addr
	for _, a := range l.DNS() {
		dns = append(dns, a.Unmap().WithZone(""))
	}
	return s.set(l.Addrs(), func() {
		s.dns = dns
		if mtu := l.MTU(); mtu > 0 {
			s.mtu.Store(int64(mtu))
		}
	})
}

// SetAddrs gives the stack addresses, in the place of what it had: those of a server, which has them before any link.
func (s *Stack) SetAddrs(addrs ...netip.Addr) error { return s.set(addrs, func() {}) }

// set replaces the addresses and does what more there is to do with them.
func (s *Stack) set(addrs []netip.Addr, more func()) error {
	s.mu.Lock()
	c, err := s.startLocked()
	if err != nil {
		s.mu.Unlock()
		return err
	}
	more()
	old := s.addrs
	s.addrs = nil
	for _, a := range addrs {
		a = a.Unmap().WithZone("")
		if !a.IsValid() || s.has(a) {
			continue
		}
		if !slices.Contains(old, a) {
			if e := c.addAddr(a); e != nil {
				err = errors.Join(err, fmt.Errorf("netstack: address %v: %w", a, e))
				continue
			}
		}
		s.addrs = append(s.addrs, a)
	}
	var gone []netip.Addr
	for _, a := range old {
		if !s.has(a) {
			gone = append(gone, a)
			c.removeAddr(a)
		}
	}
	own := slices.Clone(s.addrs)
	c.own.Store(&own)
	s.revive()
	var lost []flow
	for f := range s.flows {
		if slices.Contains(gone, f.local()) {
			lost = append(lost, f)
		}
	}
	s.mu.Unlock()
	for _, f := range lost {
		f.fail(fmt.Errorf("netstack: %v is no longer an address of the stack", f.local()))
	}
	return err
}

// has reports whether a is the stack's. s.mu is held.
func (s *Stack) has(a netip.Addr) bool {
	return slices.Contains(s.addrs, a)
}

// revive takes back what the end of a Serve has begun. s.mu is held.
func (s *Stack) revive() {
	s.ended = nil
	if s.linger != nil {
		s.linger.Stop()
		s.linger = nil
	}
	s.wake()
}

// add makes f end with the stack.
func (s *Stack) add(f flow) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.flows[f] = struct{}{}
	return nil
}

func (s *Stack) remove(f flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.flows, f)
}

// fail ends all flows of the stack.
func (s *Stack) fail(err error) {
	s.mu.Lock()
	all := make([]flow, 0, len(s.flows))
	for f := range s.flows {
		all = append(all, f)
	}
	s.mu.Unlock()
	for _, f := range all {
		f.fail(err)
	}
}

// task counts a goroutine that Close waits for; false means that it must not start.
func (s *Stack) task() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.tasks.Add(1)
	return true
}

// Close ends every flow and a Serve that runs, and waits for their goroutines; what waits in Read, DialContext, Accept or
// a connection returns an error that is net.ErrClosed.
func (s *Stack) Close() error {
	s.close.Do(func() {
		s.mu.Lock()
		s.closed = true
		c, running := s.core.Load(), s.serving
		if c != nil {
			s.revive()
			s.ended = errClosed
		}
		s.mu.Unlock()
		if c == nil {
			return
		}
		s.fail(errClosed)
		c.gv.Close() // also what its owners have closed and is still being sent
		if running != nil {
			running.cancel(errClosed)
			<-running.done
		}
		c.cancel()
		s.tasks.Wait()
		c.in.close()
		c.gv.Wait()
		c.out.close()
	})
	return nil
}
