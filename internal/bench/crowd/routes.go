package crowd

import (
	"fmt"
	"time"
)

// routes measures whether forwarding suffers while routes change: turns with a table of many prefixes at rest, and with a
// thousand changes a second.
func routes(r *run) error {
	s, f, err := r.start()
	if err != nil {
		return err
	}
	defer s.stop()
	defer f.close()
	sessions, active, prefixes := pick(r, 10000, 100), pick(r, 100, 20), pick(r, 100000, 1000)
	if _, err := f.grow(sessions); err != nil {
		return err
	}
	list := f.members[:active]
	length := pick(r, 2*time.Second, 300*time.Millisecond)
	turn := func(n, rate int) (got float64, err error) {
		if _, err := s.ask(fmt.Sprintf("routes %d %d", n, rate)); err != nil {
			return 0, err
		}
		return mbit(sum(driveAll(f.ctx, list, length, way{size: 1400, count: 44})), length), nil
	}
	empty, err := turn(0, 0)
	if err != nil {
		return err
	}
	var ratios []float64
	before, err := s.status(false)
	if err != nil {
		return err
	}
	changing := time.Duration(0)
	for range pick(r, 11, 3) {
		still, err := turn(prefixes, 0)
		if err != nil {
			return err
		}
		began := time.Now()
		changed, err := turn(prefixes, 1000)
		if err != nil {
			return err
		}
		if _, err := s.ask(fmt.Sprintf("routes %d 0", prefixes)); err != nil {
			return err
		}
		changing += time.Since(began)
		ratios = append(ratios, changed/still)
	}
	st, err := s.status(false)
	if err != nil {
		return err
	}
	r.say("%d sessions, %d of them active: %.0f Mbit/s without routes; with %d prefixes and %.0f changes a second %.2f of what they carry at rest (median; %.2f to %.2f)",
		sessions, active, empty, prefixes, float64(st.Changes-before.Changes)/changing.Seconds(), median(ratios), quantile(ratios, 0), quantile(ratios, 1))
	r.note(median(ratios), "throughput while routes change")
	if median(ratios) < pick(r, 0.9, 0.5) {
		return fmt.Errorf("%.2f of the throughput", median(ratios))
	}
	return nil
}
