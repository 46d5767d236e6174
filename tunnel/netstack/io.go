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
	for {
		n, ok := c.out.read(bufs[:min(len(bufs), batchSize)], sizes, offset)
		if n > 0 {
			return n, nil
		}
		if !ok {
			return 0, errClosed
		}
		if len(bufs) == 0 {
			return 0, nil
		}
	}
}

// Write is tunnel.PacketIO's: it takes what the far side sends.
func (s *Stack) Write(bufs [][]byte, offset int) (n int, err error) {
	c, err := s.start()
	if err != nil {
		return 0, err
	}
	in := c.in.enter()
	if in == nil {
		return 0, errClosed
	}
	defer c.in.leave(in)
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
		in.add(d, b[offset:])
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
