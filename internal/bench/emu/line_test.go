package emu

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A pipe is a device: what is put is read, and what is written is kept with its time.
type pipe struct {
	in     chan []byte
	closed chan struct{}
	once   sync.Once

	mu  sync.Mutex
	got []arrival
}

type arrival struct {
	id byte
	at time.Time
}

func newPipe() *pipe { return &pipe{in: make(chan []byte, 10000), closed: make(chan struct{})} }

func (p *pipe) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	select {
	case b := <-p.in:
		sizes[0] = copy(bufs[0][offset:], b)
		return 1, nil
	case <-p.closed:
		return 0, net.ErrClosed
	}
}

func (p *pipe) Write(bufs [][]byte, offset int) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range bufs {
		p.got = append(p.got, arrival{b[offset], time.Now()})
	}
	return len(bufs), nil
}

func (p *pipe) BatchSize() int { return 1 }
func (p *pipe) MTU() int       { return 1500 }
func (p *pipe) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }

func (p *pipe) arrivals() []arrival {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got
}

func TestRateAndDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe(), newPipe()
		l := Join(a, b, Config{Rate: 8e6, Delay: 20 * time.Millisecond, Queue: time.Second})
		defer l.Close()
		start := time.Now()
		for i := range 100 {
			p := make([]byte, 1000-perPacket) // 1 ms each
			p[0] = byte(i)
			a.in <- p
		}
		b.in <- []byte{7}
		time.Sleep(time.Second)
		got := b.arrivals()
		if len(got) != 100 {
			t.Fatal(len(got))
		}
		for i, g := range got {
			if want := time.Duration(i+21) * time.Millisecond; g.id != byte(i) || g.at.Sub(start) != want {
				t.Fatalf("packet %d: %d at %v, want %v", i, g.id, g.at.Sub(start), want)
			}
		}
		if got := a.arrivals(); len(got) != 1 || got[0].id != 7 || got[0].at.Sub(start) > 21*time.Millisecond {
			t.Errorf("the other way: %v", got)
		}
		if ab, ba := l.Stats(); ab != (Stats{Sent: 100}) || ba != (Stats{Sent: 1}) {
			t.Error(ab, ba)
		}
	})
}

func TestRateChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe(), newPipe()
		l := Join(a, b, Config{Rate: 8e6, Queue: time.Second})
		defer l.Close()
		start := time.Now()
		for i := range 4 {
			if i == 2 {
				time.Sleep(10 * time.Millisecond)
				l.SetRate(2e6)
			}
			p := make([]byte, 1000-perPacket)
			p[0] = byte(i)
			a.in <- p
		}
		time.Sleep(time.Second)
		got := b.arrivals()
		if len(got) != 4 {
			t.Fatal(len(got))
		}
		for i, want := range []time.Duration{1, 2, 14, 18} {
			if got[i].at.Sub(start) != want*time.Millisecond {
				t.Errorf("packet %d at %v", i, got[i].at.Sub(start))
			}
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe(), newPipe()
		l := Join(a, b, Config{Rate: 8e6, Queue: 50 * time.Millisecond})
		defer l.Close()
		for range 500 {
			a.in <- make([]byte, 1000-perPacket)
		}
		time.Sleep(time.Second)
		if ab, _ := l.Stats(); ab.Sent != 51 || ab.Full != 449 {
			t.Errorf("%+v", ab)
		}
	})
}

func TestLossIsDrawnFromItsSeed(t *testing.T) {
	lost := func(seed uint64) (n uint64) {
		synctest.Test(t, func(t *testing.T) {
			a, b := newPipe(), newPipe()
			l := Join(a, b, Config{Loss: 0.01, Seed: seed})
			defer l.Close()
			for range 5000 {
				a.in <- []byte{1}
			}
			time.Sleep(time.Second)
			ab, _ := l.Stats()
			if n = ab.Noise; ab.Sent+n != 5000 {
				t.Errorf("%+v", ab)
			}
		})
		return n
	}
	x, y := lost(1), lost(1)
	if x != y || x < 20 || x > 100 {
		t.Error(x, y)
	}
	if lost(2) == x && lost(3) == x {
		t.Error("every seed loses alike")
	}
}
