package netstack

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/dialway/dialway/internal/packet"
)

const (
	// maxEchoes bounds flows of echo requests, echoQueue what waits for Forward's connection in each.
	maxEchoes = 256
	echoQueue = 16

	echoHeader = 8 // type, code, checksum, identifier, sequence number: RFC 792, RFC 4443 section 4.1
	echoHops   = 64
)

// Echo requests to addresses that are not the stack's are Forward's. The stack would answer them all: it takes every
// address for its own there, and a client would think that every host is up.
type echoes struct {
	f *forwarder

	mu    sync.Mutex
	flows map[echoKey]*echo
}

// An echoKey tells flows apart: what one ping program sends to one host.
type echoKey struct {
	src, dst netip.Addr
	id       uint16
}

func newEchoes(f *forwarder) *echoes { return &echoes{f: f, flows: make(map[echoKey]*echo)} }

// take takes an echo request, or a fragment of one, which is lost; false means that p is something else.
func (e *echoes) take(p []byte) bool {
	message, key, ok := parseEcho(p)
	if message == nil {
		return ok
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	flow := e.flows[key]
	if flow == nil {
		if len(e.flows) >= maxEchoes || !e.f.stack.task() {
			return true
		}
		flow = &echo{echoKey: key, core: e.f.core, requests: make(chan []byte, echoQueue), done: make(chan struct{})}
		e.flows[key] = flow
		go e.run(flow)
	}
	select {
	case flow.requests <- slices.Clone(message):
	default: // Forward takes its time
	}
	return true
}

// run carries a flow until it is idle.
func (e *echoes) run(flow *echo) {
	defer e.f.stack.tasks.Done()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.flows, flow.echoKey)
	}()
	defer flow.Close()
	src, dst := netip.AddrPortFrom(flow.src, 0), netip.AddrPortFrom(flow.dst, 0)
	switch out, err := e.f.ask("ping", src, dst); {
	case err != nil:
	case out == nil:
		flow.answer()
	default:
		e.f.exchange(flow, out, questionIdle)
	}
}

// An echo is one flow of echo requests: a net.Conn that gives requests and takes replies, as whole ICMP messages.
type echo struct {
	echoKey
	core     *core
	requests chan []byte
	read     deadline
	once     sync.Once
	done     chan struct{}
}

// answer answers requests until none has come for a while, or the stack closes.
func (e *echo) answer() {
	stop := time.NewTimer(questionIdle)
	defer stop.Stop()
	for {
		select {
		case m := <-e.requests:
			m[0] = e.replyType()
			e.Write(m)
			stop.Reset(questionIdle)
		case <-stop.C:
			return
		case <-e.core.ctx.Done():
			return
		}
	}
}

func (e *echo) replyType() byte {
	if e.dst.Is4() {
		return 0
	}
	return 129
}

// Read waits for a request.
func (e *echo) Read(b []byte) (int, error) {
	select {
	case m := <-e.requests:
		return copy(b, m), nil
	case <-e.done:
		return 0, net.ErrClosed
	case <-e.read.wait():
		return 0, os.ErrDeadlineExceeded
	}
}

// Write sends a reply to who has asked, under the identifier that he knows: a ping socket of the system has another.
func (e *echo) Write(m []byte) (int, error) {
	if len(m) < echoHeader || m[0] != e.replyType() || m[1] != 0 {
		return len(m), nil // an error message, or somebody else's
	}
	e.core.out.sendOne(func(b []byte) []byte { return e.append(b, m) })
	return len(m), nil
}

// append appends the packet of a reply.
func (e *echo) append(b, m []byte) []byte {
	start := len(b)
	if e.dst.Is4() {
		src, dst, n := e.dst.As4(), e.src.As4(), 20+len(m)
		b = append(b, 0x45, 0, byte(n>>8), byte(n), 0, 0, 0, 0, echoHops, packet.ProtoICMP, 0, 0)
		b = append(append(b, src[:]...), dst[:]...)
		packet.IPv4(b[start:]).SetChecksum()
	} else {
		src, dst := e.dst.As16(), e.src.As16()
		b = append(b, 0x60, 0, 0, 0, byte(len(m)>>8), byte(len(m)), packet.ProtoICMPv6, echoHops)
		b = append(append(b, src[:]...), dst[:]...)
	}
	start = len(b)
	b = append(b, m...)
	own := b[start:]
	binary.BigEndian.PutUint16(own[4:], e.id)
	own[2], own[3] = 0, 0
	var sum uint64
	if e.dst.Is6() {
		sum = packet.PseudoSum(e.dst, e.src, packet.ProtoICMPv6, len(m))
	}
	binary.BigEndian.PutUint16(own[2:], packet.Checksum(own, sum))
	return b
}

func (e *echo) Close() error {
	e.once.Do(func() { close(e.done) })
	return nil
}

func (e *echo) SetReadDeadline(t time.Time) error {
	e.read.set(t)
	return nil
}

func (e *echo) SetDeadline(t time.Time) error      { return e.SetReadDeadline(t) }
func (e *echo) SetWriteDeadline(t time.Time) error { return nil } // Write does not wait
func (e *echo) LocalAddr() net.Addr                { return &net.IPAddr{IP: e.dst.AsSlice()} }
func (e *echo) RemoteAddr() net.Addr               { return &net.IPAddr{IP: e.src.AsSlice()} }

// parseEcho returns the ICMP message of an echo request. ok without a message means that p is a fragment of ICMP.
func parseEcho(p []byte) (message []byte, key echoKey, ok bool) {
	var upper packet.Upper
	proto, request := byte(packet.ProtoICMP), byte(8)
	if v4, whole := packet.ParseIPv4(p); whole {
		p, upper, key.src, key.dst = v4, v4.Upper(), v4.Src(), v4.Dst()
	} else if v6, whole := packet.ParseIPv6(p); whole {
		p, upper, key.src, key.dst = v6, v6.Upper(), v6.Src(), v6.Dst()
		proto, request = packet.ProtoICMPv6, 128
	}
	if !upper.Whole || upper.Proto != proto {
		return nil, key, false
	}
	if upper.Fragment {
		return nil, key, true
	}
	m := p[upper.Start:]
	if len(m) < echoHeader || m[0] != request || m[1] != 0 {
		return nil, key, false
	}
	var sum uint64
	if proto == packet.ProtoICMPv6 {
		sum = packet.PseudoSum(key.src, key.dst, proto, len(m))
	}
	if packet.Checksum(m, sum) != 0 {
		return nil, key, true
	}
	key.id = binary.BigEndian.Uint16(m[4:])
	return m, key, true
}
