package tunneltest

import (
	"fmt"
	"net"
	"slices"
	"sync"
)

// A Device is a PacketIO in memory. The zero Device is ready.
type Device struct {
	once   sync.Once
	mu     sync.Mutex
	in     packets
	out    chan []byte
	closed bool
}

func (d *Device) start() {
	d.once.Do(func() {
		d.in.cond.L = &d.mu
		d.out = make(chan []byte, queue)
	})
}

var errDevice = fmt.Errorf("tunneltest: device closed: %w", net.ErrClosed)

// Inject makes packets be read from the device. It copies them and does not wait.
func (d *Device) Inject(packets ...[]byte) {
	d.start()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range packets {
		d.in.put(p)
	}
}

// Sent yields a copy of each packet written to the device; it is closed with the device. When 1024 wait, what is
// written then is dropped.
func (d *Device) Sent() <-chan []byte {
	d.start()
	return d.out
}

// Read returns what was injected, one packet at least, as tunnel.PacketIO. A packet that does not fit its buffer is
// an error.
func (d *Device) Read(bufs [][]byte, sizes []int, offset int) (n int, err error) {
	d.start()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.in.take(min(len(bufs), batch), func() bool { return d.closed }) {
		if len(bufs[n]) < offset+len(p) {
			return n, fmt.Errorf("tunneltest: packet of %d bytes for a buffer of %d", len(p), len(bufs[n])-offset)
		}
		sizes[n] = copy(bufs[n][offset:], p)
		n++
	}
	if n == 0 {
		return 0, errDevice
	}
	return n, nil
}

// Write takes packets, as tunnel.PacketIO, and overwrites its caller's buffers, which are its own until it returns.
func (d *Device) Write(bufs [][]byte, offset int) (n int, err error) {
	d.start()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0, errDevice
	}
	for _, b := range bufs {
		if len(b) < offset {
			continue
		}
		select {
		case d.out <- slices.Clone(b[offset:]):
			n++
		default:
		}
		for i := range b {
			b[i] = poison
		}
	}
	return n, nil
}

// BatchSize is tunnel.PacketIO's: 8.
func (d *Device) BatchSize() int { return batch }

// MTU is tunnel.PacketIO's: 1400.
func (d *Device) MTU() int { return mtu }

// Close makes Read return what was injected and then an error that is net.ErrClosed, and closes Sent.
func (d *Device) Close() error {
	d.start()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.closed = true
		close(d.out)
		d.in.cond.Broadcast()
	}
	return nil
}
