package crowd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// soak has sessions come and go for a time, by a goodbye or without, each moving data both ways whose every packet is
// checked. Then all that was used must have come back: goroutines, descriptors and memory of both processes.
func soak(r *run) error {
	// A pool remembers what it gave, up to 65,536 addresses: this one has given all that it has before the first look.
	s, err := startServer(r.dir, nil, netip.PrefixFrom(clients.Addr(), 25))
	if err != nil {
		return err
	}
	defer s.stop()
	// Once around first: pools and tables then have the size that they will have.
	if err := r.comeAndGo(s, min(r.Soak/6, 10*time.Second)); err != nil {
		return err
	}
	theirs, ours, err := rest(s)
	if err != nil {
		return err
	}
	if err := r.comeAndGo(s, r.Soak); err != nil {
		return err
	}
	var then, now status
	for range 20 { // the last goodbyes are on their way
		if then, now, err = rest(s); err != nil {
			return err
		}
		if err = errors.Join(returned("server", theirs, then), returned("clients", ours, now)); err == nil {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	r.say("server: %s; clients: %s", growth(theirs, then), growth(ours, now))
	if then.Wrong > 0 {
		err = errors.Join(err, fmt.Errorf("the server got %d packets that were not as they had been sent", then.Wrong))
	}
	return err
}

// rest is what both processes have when nothing goes on.
func rest(s *server) (theirs, ours status, err error) {
	if theirs, err = s.settled(0); err != nil {
		return theirs, ours, err
	}
	for range 4 {
		tidy()
	}
	return theirs, own(), nil
}

// returned says what has not come back.
func returned(who string, start, end status) error {
	const slack = 1 << 20 // the runtime's own, and what pools keep
	switch {
	case end.Goroutines > start.Goroutines:
		return fmt.Errorf("%s: %d goroutines, %d at the start", who, end.Goroutines, start.Goroutines)
	case end.Files > start.Files:
		return fmt.Errorf("%s: %d descriptors, %d at the start", who, end.Files, start.Files)
	case end.Heap > start.Heap+start.Heap/5+slack:
		return fmt.Errorf("%s: %d KiB of heap, %d at the start", who, end.Heap/kib, start.Heap/kib)
	}
	return nil
}

func growth(a, b status) string {
	return fmt.Sprintf("goroutines %d to %d, descriptors %d to %d, heap %d to %d KiB, resident %d to %d MiB",
		a.Goroutines, b.Goroutines, a.Files, b.Files, a.Heap/kib, b.Heap/kib, a.Resident>>20, b.Resident>>20)
}

// atOnce is how many sessions a soak has at once.
const atOnce = 40

func (r *run) comeAndGo(s *server, d time.Duration) error {
	f := newFleet(s)
	defer f.close()
	ctx, cancel := context.WithTimeout(f.ctx, d)
	defer cancel()
	var sessions, batches, lost, wrong atomic.Uint64
	var mu sync.Mutex
	var bad error
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for ctx.Err() == nil {
				m, err := f.join(f.ctx)
				if err != nil {
					mu.Lock()
					bad = errors.Join(bad, err)
					mu.Unlock()
					return
				}
				sessions.Add(1)
				for range 1 + rand.N(5) {
					before := m.bytes
					w := way{up: rand.N(2) == 0, size: []int{64, 576, 1400, 4000}[rand.N(4)], count: 1 + rand.N(44), hashed: true}
					part, cancel := context.WithTimeout(ctx, time.Duration(50+rand.N(300))*time.Millisecond)
					m.drive(part, w)
					cancel()
					batches.Add((m.bytes - before) / uint64(w.size*w.count))
				}
				lost.Add(uint64(m.lost))
				if rand.N(3) > 0 {
					m.conn.Close()
					<-m.conn.Context().Done()
				} else {
					go m.conn.Close() // while the next is opened
				}
				wrong.Add(m.wrong.Load())
			}
		})
	}
	wg.Wait()
	r.say("%v: %d sessions, %d batches both ways, %d not whole, %d packets wrong", d.Round(time.Second), sessions.Load(), batches.Load(), lost.Load(), wrong.Load())
	switch {
	case bad != nil:
		return bad
	case wrong.Load() > 0:
		return fmt.Errorf("clients got %d packets that were not as they had been sent", wrong.Load())
	case batches.Load() == 0:
		return errors.New("nothing was carried")
	}
	return nil
}
