package tun

import (
	"errors"
	"os"
	"sync"
	"syscall"

	wtun "golang.zx2c4.com/wireguard/tun"
)

const (
	// headroom is what the library writes in front of a packet: 10 bytes of virtio header.
	headroom = 16

	// bufferSize lets the library join packets in a buffer: with less capacity they go down one by one.
	bufferSize = 64 << 10

	// Some kernels answer EINVAL to joined packets that others take. Joining is given up when the refusals, which weigh
	// refusalWeight, outweigh what has been taken: eight in a row, or more than one in 16. A packet that is none, which is
	// refused as well, does not do that.
	refusalWeight = 16
	maxRefusals   = 8 * refusalWeight
)

// A writer copies packets into buffers of its own: the library writes in front of packets and behind them, and what it
// is given here is lent, with another packet on either side. The buffers are made when they are first needed.
type writer struct {
	mu       sync.Mutex
	bufs     [][]byte
	refusals int
}

func (w *writer) write(d wtun.Device, batch int, bufs [][]byte, offset int) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refusals >= maxRefusals {
		batch = 1
	}
	for len(bufs) > 0 {
		k := min(batch, len(bufs))
		for len(w.bufs) < k {
			w.bufs = append(w.bufs, make([]byte, bufferSize))
		}
		m := 0
		for _, b := range bufs[:k] {
			if size := len(b) - offset; size > 0 && size <= bufferSize-headroom {
				w.bufs[m] = w.bufs[m][:headroom+size]
				copy(w.bufs[m][headroom:], b[offset:])
				m++
			}
		}
		if m > 0 {
			sent, err := w.put(d, m)
			if n += sent; errors.Is(err, os.ErrClosed) {
				return n, err
			}
		}
		bufs = bufs[k:]
	}
	return n, nil
}

// put writes the first m buffers. Only a closed device is an error; anything else (the interface is down, the queue is
// full) loses packets.
func (w *writer) put(d wtun.Device, m int) (int, error) {
	_, err := d.Write(w.bufs[:m], headroom)
	switch {
	case err == nil:
		if m > 1 {
			w.refusals = max(w.refusals-1, 0)
		}
		return m, nil
	case errors.Is(err, os.ErrClosed):
		return 0, os.ErrClosed
	case errors.Is(err, syscall.EINVAL) && m > 1:
		w.refusals += refusalWeight
	}
	return 0, err
}
