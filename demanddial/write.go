package demanddial

import (
	"fmt"
	"net"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// errClosed is what a closed Interface says.
var errClosed = fmt.Errorf("demanddial: interface closed: %w", net.ErrClosed)

// Write passes packets on, or holds copies of them and dials. It never waits, may be called from any goroutine, and fails
// only once the Interface is closed.
func (i *Interface) Write(bufs [][]byte, offset int) (n int, err error) {
	return i.Receive(nil, bufs, offset)
}

// Receive is Write for what came by a link, which is then told of what cannot be delivered: an Interface is a
// tunnel.Receiver.
func (i *Interface) Receive(from tunnel.PacketWriter, bufs [][]byte, offset int) (n int, err error) {
	l := i.live.Load()
	if l == nil {
		return i.hold(from, bufs, offset)
	}
	return i.pass(l, bufs, offset), nil
}

// pass gives the link what Out lets pass: runs of packets, so that no list is made.
func (i *Interface) pass(l *live, bufs [][]byte, offset int) (n int) {
	if i.Out == nil {
		return i.send(l, bufs, offset)
	}
	for len(bufs) > 0 {
		run := 0
		for run < len(bufs) && i.Out(packetOf(bufs[run], offset)) {
			run++
		}
		if run > 0 {
			n += i.send(l, bufs[:run], offset)
		}
		if run < len(bufs) {
			i.n.filtered.Add(1)
			run++
		}
		bufs = bufs[run:]
	}
	return n
}

// send gives packets to the link. That a link fails is no error of the Interface: its Serve will return.
func (i *Interface) send(l *live, bufs [][]byte, offset int) int {
	if l.timed {
		i.used(bufs, offset)
	}
	sum(&i.n.txPackets, &i.n.txBytes, bufs, offset)
	n, _ := l.link.Write(bufs, offset)
	if n < len(bufs) {
		i.n.dropped.Add(uint64(len(bufs) - max(n, 0)))
	}
	return n
}

// used notes that packets pass, if Demand counts one of them.
func (i *Interface) used(bufs [][]byte, offset int) {
	if i.Demand == nil {
		i.use.Store(time.Now().UnixNano())
		return
	}
	for _, b := range bufs {
		if i.Demand(packetOf(b, offset)) {
			i.use.Store(time.Now().UnixNano())
			return
		}
	}
}

// packetOf returns a packet that a filter may look at; nil for what is none.
func packetOf(b []byte, offset int) []byte {
	if len(b) < offset {
		return nil
	}
	return b[offset:len(b):len(b)]
}
