package netstack

import (
	"net/netip"
)

// batchSize is how many packets one Read returns at most.
const batchSize = 128

// Read is tunnel.PacketIO's: it returns what the stack sends.
func (s *Stack) Read(bufs [][]byte, sizes []int, offset int) (n int, err error) {
	c, err := s.start()
	if err != nil {
		return 0, err
	}
	var some [batchSize]*outgoing
	var never bool
	list := c.out.take(some[:0], min(len(bufs), len(sizes), batchSize), &never)
	if len(list) == 0 {
		return 0, errClosed
	}
	defer c.out.give(list)
	for _, p := range list {
		b := p.b[headroom:]
		if len(bufs[n])-offset < len(b) {
			continue // the MTU has been raised since the caller made its buffers
		}
		sizes[n] = copy(bufs[n][offset:], b)
		n++
	}
	return n, nil
}

// Write is tunnel.PacketIO's: it takes what the far side sends.
func (s *Stack) Write(bufs [][]byte, offset int) (n int, err error) {
	c, err := s.start()
	if err != nil {
		return 0, err
	}
	for _, b := range bufs {
		src, dst, ok := addresses(b, offset)
		if !ok || martian(src, dst) {
			continue
		}
		d := c.dev
		if s.Forward != nil && forwardable(dst) && !c.isOwn(dst) {
			if c.echoes.take(b[offset:]) {
				n++
				continue
			}
			d = c.fwd
		}
		if !d.deliver(b[offset:]) {
			return n, errClosed
		}
		n++
	}
	return n, nil
}

// addresses returns whom the packet in b[offset:] is from and for.
func addresses(b []byte, offset int) (src, dst netip.Addr, ok bool) {
	if len(b) <= offset {
		return src, dst, false
	}
	switch b = b[offset:]; {
	case b[0]>>4 == 4 && len(b) >= 20:
		return netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), true
	case b[0]>>4 == 6 && len(b) >= 40:
		return netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), true
	}
	return src, dst, false
}

// BatchSize is tunnel.PacketIO's.
func (s *Stack) BatchSize() int { return batchSize }

// MTU is tunnel.PacketIO's: 1400 until a link says otherwise.
func (s *Stack) MTU() int {
	if mtu := s.mtu.Load(); mtu > 0 {
		return int(mtu)
	}
	return defaultMTU
}
