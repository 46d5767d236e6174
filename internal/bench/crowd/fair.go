package crowd

import (
	"fmt"
	"time"
)

// fair measures how equally sessions that are active at once share what there is.
func fair(r *run) error {
	s, f, err := r.start()
	if err != nil {
		return err
	}
	defer s.stop()
	defer f.close()
	n := pick(r, 1000, 50)
	if _, err := f.grow(n); err != nil {
		return err
	}
	length := pick(r, 20*time.Second, 3*time.Second)
	least := 1.0
	for _, up := range []bool{true, false} {
		bytes := driveAll(f.ctx, f.members, length, way{up: up, size: 1400, count: 16})
		j := jain(bytes)
		r.say("%d sessions, up %v: %.0f Mbit/s, Jain's index %.3f; least %.0f %%, most %.0f %% of the mean", n, up,
			mbit(sum(bytes), length), j, 100*quantile(bytes, 0)*float64(n)/sum(bytes), 100*quantile(bytes, 1)*float64(n)/sum(bytes))
		r.note(j, "Jain's index, up %v", up)
		least = min(least, j)
	}
	if least < 0.95 {
		return fmt.Errorf("shared unequally: Jain's index %.3f", least)
	}
	return nil
}

// stall measures what a session that does not read costs the others: a hundred, of which one takes nothing, though the
// server sends it something all the time.
func stall(r *run) error {
	s, f, err := r.start()
	if err != nil {
		return err
	}
	defer s.stop()
	defer f.close()
	const n = 100
	if _, err := f.grow(n); err != nil {
		return err
	}
	lazy, rest := f.members[0], f.members[1:]
	length := pick(r, 3*time.Second, time.Second)
	pings := way{size: 64, count: 1, trips: true}
	var rates, trips []float64
	for range pick(r, 5, 1) {
		var all [2]struct{ rate, trip float64 }
		for i, stalled := range []bool{false, true} {
			halt := func() {}
			if stalled {
				halt = lazy.stallAndAsk()
			}
			all[i].rate = sum(driveAll(f.ctx, rest, length, way{size: 1400, count: 16}))
			driveAll(f.ctx, rest, length, pings)
			var list []time.Duration
			for _, m := range rest {
				list = append(list, m.trips...)
			}
			all[i].trip = quantile(list, 0.99).Seconds()
			halt()
		}
		rates, trips = append(rates, all[1].rate/all[0].rate), append(trips, all[1].trip/all[0].trip)
	}
	r.say("99 sessions beside one that does not read, against without: %.2f of the throughput, %.2f of the p99 of a round trip (medians)", median(rates), median(trips))
	r.note(median(rates), "throughput beside one stalled")
	r.note(median(trips), "round trip beside one stalled")
	if median(rates) < pick(r, 0.8, 0.5) {
		return fmt.Errorf("%.2f of the throughput", median(rates))
	}
	return nil
}

// stallAndAsk stops a member's reading, and asks for packets all the time, until the func it returns is called.
func (m *member) stallAndAsk() (halt func()) {
	hold, stop, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	m.hold.Store(&hold)
	go func() {
		defer close(over)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			m.send(way{size: 1400, count: 16}) // 18 Mbit/s, of which none is taken
		}
	}()
	return func() {
		close(stop)
		<-over
		m.hold.Store(nil)
		close(hold)
		time.Sleep(300 * time.Millisecond) // what was held comes now
	}
}
