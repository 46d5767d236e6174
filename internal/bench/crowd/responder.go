package crowd

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/dialway/dialway/tunnel"
)

// A responder is the server's host: it answers what sessions send, by the Router.
type responder struct {
	router  *tunnel.Router
	addr    netip.Addr
	batches sync.Pool

	packets, bytes, wrong atomic.Uint64 // that came
}

const (
	headroom   = 32
	maxAnswers = 64
)

// An answers is the packets of one answer.
type answers struct {
	room [maxAnswers][]byte
	bufs [][]byte
}

// Write takes a batch of one session; n is all.
func (r *responder) Write(bufs [][]byte, offset int) (int, error) {
	var bytes uint64
	for _, b := range bufs {
		p := b[offset:]
		bytes += uint64(len(p))
		m, src, ok := get(p)
		if !ok {
			r.wrong.Add(1)
			continue
		}
		switch {
		case m.op == opAsk:
			r.answer(src, min(int(m.count), maxAnswers), int(m.size), m)
		case m.op == opData && m.last:
			r.answer(src, 0, 0, m)
		}
	}
	r.packets.Add(uint64(len(bufs)))
	r.bytes.Add(bytes)
	return len(bufs), nil
}

// answer sends count packets, or an acknowledgement.
func (r *responder) answer(to netip.Addr, count, size int, m message) {
	a, _ := r.batches.Get().(*answers)
	if a == nil {
		a = new(answers)
	}
	defer r.batches.Put(a)
	a.bufs = a.bufs[:0]
	if count == 0 {
		a.add(r.addr, to, minPacket, message{op: opAck, last: true, number: m.number})
	}
	for i := range count {
		a.add(r.addr, to, size, message{op: opData, last: i == count-1, hashed: m.hashed, number: m.number + uint32(i)})
	}
	r.router.Write(a.bufs, headroom)
}

func (a *answers) add(src, dst netip.Addr, size int, m message) {
	size = max(size, minPacket)
	i := len(a.bufs)
	if cap(a.room[i]) < headroom+size {
		a.room[i] = make([]byte, headroom+size)
	}
	b := a.room[i][:headroom+size]
	put(b[headroom:], src, dst, m)
	a.bufs = append(a.bufs, b)
}
