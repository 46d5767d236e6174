package netstack

import (
	"encoding/binary"

	"github.com/dialway/dialway/internal/packet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A segmenter makes packets of a piece of TCP that is larger than one, and of any, the checksum that the stack leaves
// to its device. It is an io.Writer, which the stack writes the payload to.
type segmenter struct {
	batch   *batch
	ip, tcp []byte // headers of the piece
	size    int    // payload of a packet
	cur     *[]byte
	room    int // for payload in cur
	made    int // packets before cur
}

const (
	flagFIN = 0x01
	flagPSH = 0x08
)

// add adds a packet of the stack, or the packets that it has to become for the MTU.
//
// A flow that has begun under a larger MTU goes on with packets of the size that fits now: the stack has been told a
// maximum segment size once.
func (b *batch) add(pkt *stack.PacketBuffer, mtu int) {
	s := &b.seg
	*s = segmenter{batch: b, ip: pkt.NetworkHeader().Slice(), tcp: pkt.TransportHeader().Slice(), size: 1 << 16}
	partial := pkt.GSOOptions.Type != stack.GSONone && pkt.GSOOptions.NeedsCsum
	if partial {
		s.size = max(min(int(pkt.GSOOptions.MSS), mtu-len(s.ip)-len(s.tcp)), 1)
	}
	s.open()
	pkt.Data().ReadTo(s, true)
	if partial {
		s.finish(true)
	}
}

// Write takes payload.
func (s *segmenter) Write(b []byte) (int, error) {
	n := len(b)
	for {
		k := min(len(b), s.room)
		*s.cur = append(*s.cur, b[:k]...)
		s.room -= k
		if b = b[k:]; len(b) == 0 {
			return n, nil
		}
		s.finish(false)
		s.open()
	}
}

func (s *segmenter) open() {
	s.cur = s.batch.next()
	*s.cur = append(append(*s.cur, s.ip...), s.tcp...)
	s.room = s.size
}

// finish makes the headers right.
func (s *segmenter) finish(last bool) {
	p := (*s.cur)[headroom:]
	tcp := p[len(s.ip):]
	var sum uint64
	if p[0]>>4 == 4 {
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		// RFC 6864 section 4.2: identification matters only to what may be fragmented, and differs there.
		binary.BigEndian.PutUint16(p[4:], binary.BigEndian.Uint16(p[4:])+uint16(s.made))
		v4 := packet.IPv4(p)
		v4.SetChecksum()
		sum = packet.PseudoSum(v4.Src(), v4.Dst(), packet.ProtoTCP, len(tcp))
	} else {
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-40))
		v6 := packet.IPv6(p)
		sum = packet.PseudoSum(v6.Src(), v6.Dst(), packet.ProtoTCP, len(tcp))
	}
	binary.BigEndian.PutUint32(tcp[4:], binary.BigEndian.Uint32(tcp[4:])+uint32(s.made*s.size))
	if !last {
		tcp[13] &^= flagFIN | flagPSH
	}
	tcp[16], tcp[17] = 0, 0
	binary.BigEndian.PutUint16(tcp[16:], packet.Checksum(tcp, sum))
	s.made++
}
