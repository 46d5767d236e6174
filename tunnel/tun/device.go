package tun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/dialway/dialway/tunnel"
)

// A Config says how a device is opened; the zero Config lets the system choose the name.
type Config struct {
	Name      string
	MTU       int          // 0 means 1400
	Queues    int          // 0 means 1; each further one is another PacketIO of Device.Queues
	NoOffload bool         // for kernels whose coalesced writes fail
	Logger    *slog.Logger // nil is silent
}

const (
	defaultMTU = 1400

	// batchSize is how many packets a Read returns at most: two or three of the system's large ones.
	batchSize = 128
)

// A Device is the system's TUN device, or one handed in by a mobile system. It is a tunnel.PacketIO; its methods may be
// called from any goroutine.
type Device struct {
	queue
	name string
	more []*queue
	sys  system // addresses and routes; see system_linux.go
}

var _ tunnel.PacketIO = (*Device)(nil)

// A device is what the system gives: a descriptor on Linux, wireguard/tun's elsewhere. It takes and fills what a PacketIO does.
type device interface {
	Read(bufs [][]byte, sizes []int, offset int) (n int, err error)
	Write(bufs [][]byte, offset int) (n int, err error)
	BatchSize() int
	Close() error
}

// A queue is one descriptor of a device.
type queue struct {
	mu      sync.Mutex
	changed *sync.Cond // mu; cur has changed, or closed
	cur     device
	closed  bool
	batch   int
	mtu     *atomic.Int64 // the device's, shared by its queues
	sys     *system       // likewise
}

func (q *queue) init(d device, batch int, mtu *atomic.Int64, sys *system) *queue {
	q.cur, q.batch, q.mtu, q.sys = d, batch, mtu, sys
	q.changed = sync.NewCond(&q.mu)
	return q
}

// current waits for a descriptor.
func (q *queue) current() (device, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.cur == nil && !q.closed {
		q.changed.Wait()
	}
	if q.closed {
		return nil, net.ErrClosed
	}
	return q.cur, nil
}

// still reports whether d is still the descriptor in use.
func (q *queue) still(d device) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.cur == d && !q.closed
}

// Read is tunnel.PacketIO's. After Close it returns net.ErrClosed; while a Swap is made it goes on with the new
// descriptor. Buffers must hold MTU bytes behind offset; when an administrator has raised the interface's MTU, what does
// not fit is lost, MTU returns the new one, and Read returns no packet and no error, so that its caller looks.
func (q *queue) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	for {
		d, err := q.current()
		if err != nil {
			return 0, err
		}
		n, err := d.Read(bufs, sizes, offset)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			continue
		case aboutPacket(err): // it does not fit the buffers, or has a header that is none: lost, as a packet may be
			if q.grown() {
				return 0, nil
			}
			continue
		case !q.still(d):
			continue // swapped, or closed
		}
		return 0, fmt.Errorf("tun: read: %w", err)
	}
}

// grown looks whether the device's MTU has been raised.
func (q *queue) grown() bool {
	mtu := int64(q.sys.currentMTU())
	return mtu > q.mtu.Swap(max(mtu, q.mtu.Load()))
}

// aboutPacket reports whether an error is about what was read, and not about reading.
func aboutPacket(err error) bool {
	var path *os.PathError
	var number syscall.Errno
	return !errors.As(err, &path) && !errors.As(err, &number) && !errors.Is(err, os.ErrClosed)
}

// isCut reports whether an IP packet says that it is longer than it is.
func isCut(p []byte) bool {
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		return int(binary.BigEndian.Uint16(p[2:])) > len(p)
	case len(p) >= 40 && p[0]>>4 == 6:
		return 40+int(binary.BigEndian.Uint16(p[4:])) > len(p)
	}
	return false
}

// Write writes to this queue.
func (q *queue) Write(bufs [][]byte, offset int) (int, error) {
	q.mu.Lock()
	d, closed := q.cur, q.closed
	q.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	if d == nil {
		return 0, nil
	}
	n, err := d.Write(bufs, offset)
	if errors.Is(err, os.ErrClosed) && !q.still(d) {
		err = nil // swapped or closed meanwhile: the next Write knows
	}
	return n, err
}

// BatchSize is tunnel.PacketIO's.
func (q *queue) BatchSize() int { return q.batch }

// MTU is tunnel.PacketIO's.
func (q *queue) MTU() int { return int(q.mtu.Load()) }

// Close closes this queue.
func (q *queue) Close() error { return q.swap(nil, true) }

// swap puts d in the place of the present descriptor, which it closes.
func (q *queue) swap(d device, closing bool) error {
	q.mu.Lock()
	old := q.cur
	if q.closed {
		old, d = d, nil
	}
	q.cur, q.closed = d, q.closed || closing
	q.changed.Broadcast()
	q.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// Name returns the system's name of the device; empty for one that was handed in.
func (d *Device) Name() string { return d.name }

// Queues returns all queues of the device, itself first: a Router serves each on a goroutine of its own.
func (d *Device) Queues() []tunnel.PacketIO {
	all := []tunnel.PacketIO{d}
	for _, q := range d.more {
		all = append(all, q)
	}
	return all
}

// Write is tunnel.PacketIO's; any offset will do. What the system does not take is dropped. With several queues, the source
// of the first packet chooses one. The system answers a flow by the queue that it came by, so what a session sends and what
// it gets are the work of one queue's reader, and sessions are shared out among them.
func (d *Device) Write(bufs [][]byte, offset int) (int, error) {
	if len(d.more) > 0 && len(bufs) > 0 {
		if i := bySource(bufs[0], offset, 1+len(d.more)); i > 0 {
			return d.more[i-1].Write(bufs, offset)
		}
	}
	return d.queue.Write(bufs, offset)
}

// bySource is one of n for a packet's source address.
func bySource(b []byte, offset, n int) int {
	if len(b) < offset+20 {
		return 0
	}
	p := b[offset:]
	src := binary.BigEndian.Uint32(p[12:]) // IPv4's; of IPv6, the middle of its source, where networks differ
	if p[0]>>4 == 6 && len(p) >= 40 {
		src ^= binary.BigEndian.Uint32(p[20:]) // and its end, where hosts do
	}
	return int(uint64(src*0x9e3779b1) * uint64(n) >> 32) // Fibonacci hashing: neighbours go apart
}

// Close removes addresses and routes that this Device set, and closes it. A device that Open made is gone then.
func (d *Device) Close() error {
	err := d.sys.close()
	for _, q := range d.more {
		err = errors.Join(err, q.Close())
	}
	return errors.Join(err, d.queue.Close())
}

// FromFile takes over a descriptor that the system opened (Android, iOS). f may be nil: Read then waits for Swap. mtu 0
// means 1400.
func FromFile(f *os.File, mtu int) (*Device, error) {
	if mtu == 0 {
		mtu = defaultMTU
	}
	d := new(Device)
	size := new(atomic.Int64)
	size.Store(int64(mtu))
	if f == nil {
		d.queue.init(nil, batchSize, size, &d.sys)
		return d, nil
	}
	w, err := take(f)
	if err != nil {
		return nil, err
	}
	d.queue.init(w, w.BatchSize(), size, &d.sys)
	return d, nil
}

// Swap puts f in the place of the present descriptor, which it closes; a Read that waits goes on with f. With nil there is
// none until the next Swap. f is the Device's afterwards, unless there is an error, which leaves all as it was. mtu 0
// leaves the MTU.
func (d *Device) Swap(f *os.File, mtu int) error {
	var w device
	if f != nil {
		var err error
		if w, err = take(f); err != nil {
			return err
		}
	}
	if mtu > 0 {
		d.mtu.Store(int64(mtu))
	}
	return d.queue.swap(w, false)
}

func take(f *os.File) (device, error) {
	w, err := adopt(f)
	if err != nil {
		return nil, fmt.Errorf("tun: take over %s: %w", f.Name(), err)
	}
	return w, nil
}
