package tun

import (
	"errors"
	"os"
	"sync"

	"github.com/dialway/dialway/internal/offload"
	wtun "golang.zx2c4.com/wireguard/tun"
)

const (
	// headroom is what the library writes in front of a packet, at most.
	headroom = 16

	// bufferSize is the largest packet, and what is in front of it.
	bufferSize = 64<<10 + headroom
)

// A library is a device of wireguard/tun, for systems that this package has no code of its own for. What is written is
// copied: the library writes in front of packets, and what it is given here is lent, with another packet on either side.
type library struct {
	wtun.Device

	mu  sync.Mutex
	buf []byte
	one [1][]byte
}

// Read is tunnel.PacketIO's. The library slices without looking when a packet is larger than its buffer.
func (l *library) Read(bufs [][]byte, sizes []int, offset int) (n int, err error) {
	defer func() {
		if recover() != nil {
			n, err = 0, offload.ErrTooSmall
		}
	}()
	n, err = l.Device.Read(bufs, sizes, offset)
	if n == 1 && sizes[0] == len(bufs[0])-offset && isCut(bufs[0][offset:]) {
		return 0, offload.ErrTooSmall
	}
	return n, err
}

// Write is tunnel.PacketIO's. Only a closed device is an error; anything else (the interface is down, the queue is full)
// loses packets.
func (l *library) Write(bufs [][]byte, offset int) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf == nil {
		l.buf = make([]byte, bufferSize)
	}
	for _, b := range bufs {
		size := len(b) - offset
		if size <= 0 || size > bufferSize-headroom {
			continue
		}
		l.one[0] = l.buf[:headroom+size]
		copy(l.one[0][headroom:], b[offset:])
		switch _, err := l.Device.Write(l.one[:], headroom); {
		case errors.Is(err, os.ErrClosed):
			return n, os.ErrClosed
		case err == nil:
			n++
		}
	}
	return n, nil
}
