package crowd

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// scale measures, for more and more sessions, what the server pays for each: memory and goroutines of one that is fresh, its
// keepalives, and, of another server, throughput by size of packet and memory after all that.
func scale(r *run) error {
	for _, about := range []func(s *server, f *fleet, base status) error{r.fresh, r.busy} {
		if err := r.warmed(about); err != nil {
			return err
		}
	}
	return nil
}

// warm is how many sessions there are before any is counted: what every process needs once is no session's.
const warm = 16

// warmed has do run with a server and clients of its own, the warm ones, and with what the server says of those.
func (r *run) warmed(do func(s *server, f *fleet, base status) error) error {
	s, f, err := r.start()
	if err != nil {
		return err
	}
	defer s.stop()
	defer f.close()
	if _, err := f.grow(warm); err != nil {
		return err
	}
	base, err := s.settled(warm)
	if err != nil {
		return err
	}
	return do(s, f, base)
}

// counts are how many sessions there are, one after the other.
func (r *run) counts() []int { return pick(r, []int{1, 10, 100, 1000, 10000}, []int{1, 10, 100}) }

// fresh is about sessions that have carried nothing.
func (r *run) fresh(s *server, f *fleet, base status) error {
	r.say("%8s %10s %10s %10s", "sessions", "opened/s", "KiB fresh", "goroutines")
	last := 0
	for _, n := range r.counts() {
		took, err := f.grow(warm + n)
		if err != nil {
			return err
		}
		opened := float64(n-last) / took.Seconds()
		last = n
		st, err := s.settled(warm + n)
		if err != nil {
			return err
		}
		kb, per := float64(st.Resident-base.Resident)/kib/float64(n), float64(st.Goroutines-base.Goroutines)/float64(n)
		r.say("%8d %10.0f %10.1f %10.2f", n, opened, kb, per)
		r.note(kb, "KiB fresh, %d sessions", n)
		r.note(per, "goroutines, %d sessions", n)
		if n >= 10 { // the rest is the runtime's own
			r.point("Resident memory of a fresh session", curve{X: "sessions", Y: "KiB", Log: true}, "", float64(n), kb)
		}
	}
	if err := r.keepalives(s, last); err != nil {
		return err
	}
	st, err := s.settled(warm + last)
	if err != nil {
		return err
	}
	kb := float64(st.Resident-base.Resident) / kib / float64(last)
	r.say("after their first keepalives: %.1f KiB for each", kb)
	r.note(kb, "KiB after the first keepalives")
	return nil
}

// busy is about sessions that carry much.
func (r *run) busy(s *server, f *fleet, base status) error {
	r.say("%8s | up and down in Mbit/s, server CPU in s/GiB, by size of packet", "sessions")
	n := 0
	for _, n = range r.counts() {
		if _, err := f.grow(warm + n); err != nil {
			return err
		}
		if _, err := s.settled(warm + n); err != nil {
			return err
		}
		r.say("%8d |%s", n, r.carry(s, f, n))
		tidy()
	}
	time.Sleep(time.Second)
	st, err := s.settled(warm + n)
	if err != nil {
		return err
	}
	burst := float64(st.Resident-base.Resident) / kib / float64(n)
	r.say("after all that, idle: %.1f KiB for each of %d, %d goroutines more than sessions", burst, n, st.Goroutines-base.Goroutines-n)
	r.note(burst, "KiB after a burst")
	if per := float64(st.Goroutines-base.Goroutines) / float64(n); per > 1.02 {
		return fmt.Errorf("%.2f goroutines for an idle session", per)
	}
	if r.Short && burst > 100 {
		return fmt.Errorf("%.1f KiB for an idle session", burst)
	}
	return nil
}

// carry has n sessions carry packets of each size, both ways in turn, and returns the line about it.
func (r *run) carry(s *server, f *fleet, n int) (line string) {
	length := pick(r, time.Second, 300*time.Millisecond)
	if n > 1000 {
		length *= 3 // for many turns of each
	}
	batch := max(1, min(44, 20000/n)) // no more on the way than buffers hold
	for _, size := range []int{64, 512, 1400, 4000} {
		for _, up := range []bool{true, false} {
			cpu := s.cpu()
			bytes := sum(driveAll(f.ctx, f.members[warm:], length, way{up: up, size: size, count: batch}))
			cpu = s.cpu() - cpu
			rate := mbit(bytes, length)
			line += fmt.Sprintf(" %5.0f", rate)
			if !up {
				line += fmt.Sprintf(" (%d)", size)
			}
			r.note(rate, "Mbit/s, %d sessions, %d bytes, up %v", n, size, up)
			way, series := "Down", fmt.Sprintf("%d bytes", size)
			if up {
				way = "Up"
			}
			r.point(way, curve{X: "active sessions", Y: "Mbit/s", Log: true}, series, float64(n), rate)
			if bytes > 0 && !up {
				r.point("Server's processor time, down", curve{X: "active sessions", Y: "s/GiB", Log: true}, series, float64(n), cpu.Seconds()/(bytes/(1<<30)))
			}
			if bytes > 1<<24 {
				line += fmt.Sprintf(" %.1f", cpu.Seconds()/(bytes/(1<<30)))
			}
		}
	}
	return line
}

// keepalives measures what n idle sessions cost, over two intervals of their keepalives, which are a minute: in two minutes an
// idle Go program collects its garbage once. The first keepalive of each is none of it: the session's stack grows for that, once.
func (r *run) keepalives(s *server, n int) error {
	d := pick(r, 2*time.Minute, time.Second)
	tidy()
	time.Sleep(pick(r, 75*time.Second, 0)) // a minute, and the time in which they were opened
	before, away := s.cpu(), stolen()
	time.Sleep(d)
	part := (s.cpu() - before).Seconds() / d.Seconds() * 100
	lost := (stolen() - away).Seconds() / d.Seconds() / float64(runtime.NumCPU()) * 100
	r.say("%d idle sessions, keepalives each minute: %.2f %% of a processor, while the machine's host took %.0f %% of all away", n, part, lost)
	r.note(part, "%% of a processor for keepalives of %d", n)
	if !r.Short && part >= 2 {
		return fmt.Errorf("keepalives of %d idle sessions take %.2f %% of a processor", n, part)
	}
	return nil
}

// stolen is the time that a virtual machine's processors have waited for those of its host, since it was started; 0 where it is
// not known. What a wake costs is mostly what has to be fetched from memory, and beside neighbours that is up to twice as much:
// so the figure needs this one beside it.
func stolen() time.Duration {
	b, _ := os.ReadFile("/proc/stat")
	var user, nice, system, idle, wait, irq, soft, steal int64
	fmt.Sscanf(string(b), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &soft, &steal)
	return time.Duration(steal) * (time.Second / 100)
}
