package memnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
)

// A Listener accepts what its Dial makes.
type Listener struct {
	Buffer int // of each connection; 0 means DefaultBuffer

	addr   netip.AddrPort
	queue  chan *Conn
	done   chan struct{}
	once   sync.Once
	mu     sync.Mutex
	port   uint16
	client []*Conn
}

// Listen returns a Listener at an address.
func Listen(addr netip.AddrPort) *Listener {
	return &Listener{addr: addr, queue: make(chan *Conn), done: make(chan struct{}), port: 1024}
}

// Accept waits for a Dial.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close ends Accept and Dial; connections live on.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is the listener's address.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// ErrRefused is what a Dial to a closed Listener gets.
var ErrRefused = errors.New("memnet: connection refused")

// Dial connects from 192.0.2.1 and a fresh port. Its signature is that of a net dialer; the address is not looked at.
func (l *Listener) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	l.port++
	port := l.port
	l.mu.Unlock()
	return l.DialFrom(ctx, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), port))
}

// DialFrom connects from an address.
func (l *Listener) DialFrom(ctx context.Context, from netip.AddrPort) (*Conn, error) {
	client, server := Pipe(from, l.addr, l.Buffer)
	select {
	case l.queue <- server:
		l.mu.Lock()
		l.client = append(l.client, client)
		l.mu.Unlock()
		return client, nil
	case <-l.done:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: l.Addr(), Err: ErrRefused}
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: l.Addr(), Err: ctx.Err()}
	}
}

// Cut breaks every connection made so far.
func (l *Listener) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.client {
		c.Cut()
	}
	l.client = nil
}
