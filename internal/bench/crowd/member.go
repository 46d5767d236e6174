package crowd

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A member is one client's session.
type member struct {
	conn  *ppp.Conn
	local netip.Addr

	came  chan struct{} // the last packet of a batch
	hold  atomic.Pointer[chan struct{}]
	wrong atomic.Uint64

	bytes  uint64 // of whole batches, by whoever drives it
	lost   int    // batches that did not come whole
	number uint32
	trips  []time.Duration // of asks for one packet
	buf    [][]byte
}

// A way is what a member is driven with.
type way struct {
	up     bool
	size   int // of packets
	count  int // in a batch
	hashed bool
	trips  bool // note how long each batch takes
	wait   time.Duration
}

// patience is what a batch may take before it counts as lost, beside so many others.
func patience(members int) time.Duration {
	return 500*time.Millisecond + time.Duration(members)*500*time.Microsecond
}

func newMember(c *ppp.Conn) *member {
	return &member{conn: c, local: c.Info().Local, came: make(chan struct{}, 1)}
}

// take is what the session's packets are handed to.
func (m *member) take(bufs [][]byte, offset int) (int, error) {
	if c := m.hold.Load(); c != nil {
		<-*c
	}
	for _, b := range bufs {
		x, _, ok := get(b[offset:])
		if !ok {
			m.wrong.Add(1)
		} else if x.last {
			select {
			case m.came <- struct{}{}:
			default:
			}
		}
	}
	return len(bufs), nil
}

// drive sends or asks for batches, one at a time, until ctx ends.
func (m *member) drive(ctx context.Context, w way) {
	w.wait = max(w.wait, patience(1))
	t := time.NewTimer(w.wait)
	defer t.Stop()
	for ctx.Err() == nil {
		select {
		case <-m.came: // of a batch that was given up
		default:
		}
		began := time.Now()
		m.send(w)
		t.Reset(w.wait)
		select {
		case <-m.came:
			m.bytes += uint64(w.size * w.count)
			if w.trips {
				m.trips = append(m.trips, time.Since(began))
			}
		case <-t.C:
			m.lost++
		case <-ctx.Done():
			return
		case <-m.conn.Context().Done():
			return
		}
	}
}

// send sends a batch, or the question for one.
func (m *member) send(w way) {
	if !w.up {
		b := m.packet(0, minPacket, message{op: opAsk, count: uint8(w.count), size: uint16(w.size), hashed: w.hashed, number: m.number})
		m.number += uint32(w.count)
		m.buf[0] = b
		m.conn.Write(m.buf[:1], headroom)
		return
	}
	for i := range w.count {
		m.packet(i, w.size, message{op: opData, last: i == w.count-1, hashed: w.hashed, number: m.number})
		m.number++
	}
	m.conn.Write(m.buf[:w.count], headroom)
}

func (m *member) packet(i, size int, x message) []byte {
	for len(m.buf) <= i {
		m.buf = append(m.buf, nil)
	}
	if cap(m.buf[i]) < headroom+size {
		m.buf[i] = make([]byte, headroom+size)
	}
	m.buf[i] = m.buf[i][:headroom+size]
	put(m.buf[i][headroom:], m.local, serverAddr, x)
	return m.buf[i]
}

// driveAll drives members for a time, and returns the bytes of each.
func driveAll(ctx context.Context, list []*member, d time.Duration, w way) (bytes []float64) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	w.wait = patience(len(list))
	var wg sync.WaitGroup
	before := make([]uint64, len(list))
	for i, m := range list {
		before[i] = m.bytes
		m.trips = m.trips[:0]
		wg.Go(func() { m.drive(ctx, w) })
	}
	wg.Wait()
	for i, m := range list {
		bytes = append(bytes, float64(m.bytes-before[i]))
	}
	return bytes
}

func sum(list []float64) (s float64) {
	for _, v := range list {
		s += v
	}
	return s
}

// jain is Jain's index: 1 when all are equal, 1/n when one has all.
func jain(list []float64) float64 {
	var squares float64
	for _, v := range list {
		squares += v * v
	}
	if squares == 0 {
		return 0
	}
	s := sum(list)
	return s * s / (float64(len(list)) * squares)
}

func median(list []float64) float64 { return quantile(list, 0.5) }

func quantile[T float64 | time.Duration](list []T, q float64) (v T) {
	if len(list) == 0 {
		return v
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return list[min(len(list)-1, int(q*float64(len(list))))]
}
