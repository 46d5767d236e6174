package emu

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// A Line joins two devices.
type Line struct {
	a, b    tunnel.PacketIO
	ab, ba  direction
	running sync.WaitGroup
}

// Stats counts packets of one direction.
type Stats struct {
	Sent  uint64 // have come out of the far device
	Full  uint64 // lost by a full queue
	Noise uint64 // lost by chance
}

// Join starts a line between two devices, alike in both directions. The devices are the line's: Close closes them.
func Join(a, b tunnel.PacketIO, c Config) *Line {
	l := &Line{a: a, b: b}
	l.start(&l.ab, a, b, c)
	c.Seed++
	l.start(&l.ba, b, a, c)
	return l
}

func (l *Line) start(d *direction, from, to tunnel.PacketIO, c Config) {
	d.init(c)
	l.running.Go(func() { d.read(from) })
	l.running.Go(func() { d.write(to) })
}

// Stats returns what was counted from a to b, and from b to a.
func (l *Line) Stats() (ab, ba Stats) { return l.ab.stats(), l.ba.stats() }

// SetRate changes the rate of both directions, in bits per second, for packets that come from now on; not from or to 0.
func (l *Line) SetRate(bits float64) {
	l.ab.rate.Store(math.Float64bits(bits))
	l.ba.rate.Store(math.Float64bits(bits))
}

// Close ends the line and closes its devices.
func (l *Line) Close() {
	l.a.Close()
	l.b.Close()
	l.running.Wait()
}

// A direction carries packets one way: one goroutine reads and decides, one waits and writes.
type direction struct {
	shape shaper
	rate  atomic.Uint64 // math.Float64bits of what SetRate was told last; 0: nothing
	rand  *rand.Rand
	ready chan struct{} // something has been queued, or the direction is over

	mu    sync.Mutex
	queue []waiting
	head  int
	spare [][]byte
	over  bool

	sent, full, noise atomic.Uint64
}

// A waiting packet arrives at its time.
type waiting struct {
	packet  []byte
	arrives time.Time
}

func (d *direction) init(c Config) {
	d.shape.Config = c
	d.rand = rand.New(rand.NewPCG(c.Seed, 0x6c696e65))
	d.ready = make(chan struct{}, 1)
}

func (d *direction) stats() Stats { return Stats{d.sent.Load(), d.full.Load(), d.noise.Load()} }

func (d *direction) read(from tunnel.PacketIO) {
	defer d.signal()
	n := max(from.BatchSize(), 1)
	bufs, sizes := make([][]byte, n), make([]int, n)
	for i := range bufs {
		bufs[i] = make([]byte, max(from.MTU(), 1500))
	}
	for {
		n, err := from.Read(bufs, sizes, 0)
		now := time.Now()
		for i := range n {
			d.take(now, bufs[i][:sizes[i]])
		}
		d.signal()
		if err != nil {
			d.mu.Lock()
			d.over = true
			d.mu.Unlock()
			return
		}
	}
}

func (d *direction) signal() {
	select {
	case d.ready <- struct{}{}:
	default:
	}
}

// take queues a copy of a packet, or loses it.
func (d *direction) take(now time.Time, p []byte) {
	if d.shape.Loss > 0 && d.rand.Float64() < d.shape.Loss {
		d.noise.Add(1)
		return
	}
	if r := d.rate.Load(); r != 0 {
		d.shape.Rate = math.Float64frombits(r)
	}
	arrives, ok := d.shape.admit(now, len(p))
	if !ok {
		d.full.Add(1)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var b []byte
	if n := len(d.spare); n > 0 {
		b, d.spare = d.spare[n-1], d.spare[:n-1]
	}
	d.queue = append(d.queue, waiting{append(b[:0], p...), arrives})
}

// due takes what has arrived by now. If nothing has, it says how long that takes; 0 and nothing: the queue is empty.
func (d *direction) due(now time.Time, into []waiting) (_ []waiting, wait time.Duration, over bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.head < len(d.queue) && !d.queue[d.head].arrives.After(now) {
		into = append(into, d.queue[d.head])
		d.queue[d.head] = waiting{}
		d.head++
	}
	switch {
	case d.head == len(d.queue):
		d.queue, d.head = d.queue[:0], 0
	case d.head >= 1024:
		d.queue, d.head = d.queue[:copy(d.queue, d.queue[d.head:])], 0
		fallthrough
	default:
		wait = max(d.queue[d.head].arrives.Sub(now), 1)
	}
	return into, wait, d.over
}

func (d *direction) write(to tunnel.PacketIO) {
	var list []waiting
	one := make([][]byte, 1)
	for {
		var wait time.Duration
		var over bool
		list, wait, over = d.due(time.Now(), list[:0])
		if over {
			return
		}
		for _, w := range list {
			one[0] = w.packet
			to.Write(one, 0) // one that is down, or closed, loses it, as a line does
			d.sent.Add(1)
		}
		if len(list) > 0 {
			d.mu.Lock()
			for _, w := range list {
				d.spare = append(d.spare, w.packet)
			}
			d.mu.Unlock()
			continue
		}
		if wait == 0 {
			<-d.ready
			continue
		}
		time.Sleep(wait) // what comes meanwhile arrives later
	}
}
