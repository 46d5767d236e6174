package netstack

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/packet"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// piece returns a piece of TCP as the stack hands it to its device.
func piece(six bool, payload []byte, flags byte, gso stack.GSO) *stack.PacketBuffer {
	ip := []byte{0x45, 0, 0, 0, 0, 7, 0, 0, 64, 6, 0, 0, 10, 8, 0, 1, 10, 8, 0, 2}
	if six {
		src, dst := addrA6.As16(), addrB6.As16()
		ip = append(append([]byte{0x60, 0, 0, 0, 0, 0, 6, 64}, src[:]...), dst[:]...)
	}
	tcp := []byte{0, 80, 1, 2, 0xff, 0xff, 0xff, 0xf0, 1, 1, 1, 1, 0x80, flags, 1, 0, 0xaa, 0xaa, 0, 0, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: len(ip) + len(tcp), Payload: buffer.MakeWithData(payload)})
	copy(pkt.TransportHeader().Push(len(tcp)), tcp)
	copy(pkt.NetworkHeader().Push(len(ip)), ip)
	pkt.GSOOptions = gso
	return pkt
}

func TestSegments(t *testing.T) {
	const ack, psh, fin = 0x10, 0x08, 0x01
	for _, c := range []struct {
		six            bool
		size, mss, mtu int
		want           int // packets
	}{
		{false, 0, 1348, 1400, 1}, {false, 1, 1348, 1400, 1}, {false, 1348, 1348, 1400, 1}, {false, 1349, 1348, 1400, 2},
		{false, 60000, 1348, 1400, 45}, {true, 60000, 1328, 1400, 46}, {true, 1328, 1328, 1400, 1},
		{false, 3000, 1348, 1000, 4}, {true, 3000, 1328, 1280, 3}, // begun under a larger MTU
	} {
		gso := stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, MSS: uint16(c.mss)}
		pkt := piece(c.six, noise(c.size), ack|psh|fin, gso)
		var b batch
		b.add(pkt, c.mtu)
		pkt.DecRef()
		if b.used != c.want {
			t.Errorf("%+v: %d packets", c, b.used)
		}
		var all []byte
		for i, p := range b.bufs[:b.used] {
			p = p[headroom:]
			if len(p) > c.mtu {
				t.Errorf("%+v: packet of %d bytes", c, len(p))
			}
			var tcp []byte
			var src, dst netip.Addr
			if v4, ok := packet.ParseIPv4(p); ok && !c.six {
				if len(v4) != len(p) || packet.Checksum(v4[:20], 0) != 0 || int(binary.BigEndian.Uint16(p[4:])) != 7+i {
					t.Errorf("%+v: %x", c, p[:20])
				}
				tcp, src, dst = v4.Payload(), v4.Src(), v4.Dst()
			} else if v6, ok := packet.ParseIPv6(p); ok && c.six && len(v6) == len(p) {
				tcp, src, dst = v6[40:], v6.Src(), v6.Dst()
			} else {
				t.Fatalf("%+v: %x", c, p)
			}
			if packet.Checksum(tcp, packet.PseudoSum(src, dst, 6, len(tcp))) != 0 {
				t.Errorf("%+v: packet %d has a wrong checksum", c, i)
			}
			if seq := binary.BigEndian.Uint32(tcp[4:]); seq != 0xfffffff0+uint32(len(all)) {
				t.Errorf("%+v: sequence number %x after %d bytes", c, seq, len(all))
			}
			if want := byte(ack); i == b.used-1 && tcp[13] != ack|psh|fin || i < b.used-1 && tcp[13] != want {
				t.Errorf("%+v: flags %x", c, tcp[13])
			}
			all = append(all, tcp[32:]...)
		}
		if !bytes.Equal(all, noise(c.size)) {
			t.Errorf("%+v: another payload", c)
		}
	}
}

func TestPacketsWithTheirChecksumAreNotTouched(t *testing.T) {
	pkt := piece(false, []byte("payload"), 0x18, stack.GSO{})
	defer pkt.DecRef()
	var b batch
	b.add(pkt, 1400)
	if want := bytes.Join(pkt.AsSlices(), nil); b.used != 1 || !bytes.Equal(b.bufs[0][headroom:], want) {
		t.Errorf("%x, want %x", b.bufs[0][headroom:], want)
	}
}

func TestSegmentsDoNotAllocate(t *testing.T) {
	pkt := piece(false, noise(60000), 0x10, stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, MSS: 1348})
	defer pkt.DecRef()
	var b batch
	if n := testing.AllocsPerRun(100, func() {
		b.used = 0
		b.add(pkt, 1400)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A damager is a link that damages what is written to it.
type damager struct {
	*link
	damage func(p []byte)
}

func (d *damager) Write(bufs [][]byte, offset int) (int, error) {
	for _, p := range bufs {
		d.damage(p[offset:])
	}
	return d.link.Write(bufs, offset)
}

// TestDamagedPacketsDoNotArrive: what is joined is verified by who joins, all else by the stack.
func TestDamagedPacketsDoNotArrive(t *testing.T) {
	x, y := pipe([]netip.Addr{addrA, addrA6}, []netip.Addr{addrB, addrB6})
	var n atomic.Int64
	a := serve(t, new(Stack), &damager{x, func(p []byte) {
		if len(p) > 100 && n.Add(1)%20 == 0 {
			p[len(p)-1] ^= 1
		}
	}})
	b := serve(t, new(Stack), y)
	l := listen(t, b, "tcp", ":80")
	for _, to := range []string{"10.8.0.2:80", "[fd00::2]:80"} {
		data := noise(200_000)
		go func() {
			c, err := l.Accept()
			if err == nil {
				c.Write([]byte("x"))
				io.Copy(c, c)
				c.Close()
			}
		}()
		c := dial(t, a, "tcp", to)
		c.SetDeadline(time.Now().Add(20 * time.Second))
		c.Read(make([]byte, 1))
		go func() {
			c.Write(data)
			c.(*stream).CloseWrite()
		}()
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", to, len(got), err)
		}
	}
	if n.Load() < 100 {
		t.Errorf("%d packets", n.Load())
	}
}
