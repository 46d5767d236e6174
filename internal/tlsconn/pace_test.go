package tlsconn

import (
	"fmt"
	"testing"
	"time"
)

const ms = time.Millisecond

// TestPacerKeepsTheQueueShort: whatever the rate, the round trip, the buffer and the congestion control, a ping waits
// little, and the line carries what it would without a bound.
func TestPacerKeepsTheQueueShort(t *testing.T) {
	for _, mbit := range []float64{2, 5, 20, 100} {
		for _, base := range []time.Duration{1 * ms, 10 * ms, 40 * ms, 80 * ms} {
			for _, buffer := range []time.Duration{20 * ms, 300 * ms} {
				for _, bbr := range []bool{false, true} {
					t.Run(fmt.Sprintf("%v Mbit per s, %v, %v, bbr %v", mbit, base, buffer, bbr), func(t *testing.T) {
						free, s := newSim(mbit*1e6/8, base, buffer), newSim(mbit*1e6/8, base, buffer)
						free.tcp.deny = true
						if bbr {
							free.withBBR()
							s.withBBR()
						}
						free.run(3 * time.Second)
						s.run(3 * time.Second)
						want, _, _, _ := free.run(12 * time.Second)
						part, _, p50, p99 := s.run(12 * time.Second)
						less := 0.03
						if buffer < base {
							less = 0.2 // what a loss costs is much, and when one comes is chance
						}
						if part < want-less {
							t.Errorf("%.2f of the line's rate, %.2f without a bound", part, want)
						}
						// Beside the queue there are a few packets on their way, and BBR's own next to nothing, every ten seconds.
						packets := time.Duration(paceMin / s.line.rate * float64(time.Second))
						if p50 > 22*ms+2*packets || p99 > 36*ms+3*packets {
							t.Errorf("a ping takes %v, %v more, with a bound of %d in state %d", p50, p99, s.pacer.bound.bytes, s.pacer.bound.state)
						}
						// Kernels' buffers may be filled badly.
						if !bbr && buffer == 300*ms && mbit >= 20 {
							s.tcp.fill = 2
							s.run(2 * time.Second)
							part, _, _, p99 := s.run(8 * time.Second)
							if part < 0.93 || p99 > 40*ms {
								t.Errorf("%.2f of the line's rate, %v, with large buffers", part, p99)
							}
						}
					})
				}
			}
		}
	}
}

// TestPacerBegins: the queue is found before it is long, even where an inner connection fits into what TCP takes, so that
// nothing ever waits for TCP.
func TestPacerBegins(t *testing.T) {
	for _, inner := range []int{0, 400e3} {
		for _, base := range []time.Duration{1 * ms, 40 * ms} {
			s := newSim(20e6/8, base, 300*ms)
			s.inner = inner
			if _, _, _, p99 := s.run(2 * time.Second); p99 > 120*ms {
				t.Errorf("inner %d, %v: a ping takes %v more in the beginning", inner, base, p99)
			}
			if part, _, _, p99 := s.run(5 * time.Second); part < 0.97 || p99 > 36*ms {
				t.Errorf("inner %d, %v: %.2f of the rate, a ping takes %v more", inner, base, part, p99)
			}
		}
	}
}

// TestPacerFollowsTheLine: a line that becomes slower makes a queue of what is on its way, once; one that becomes faster
// is found.
func TestPacerFollowsTheLine(t *testing.T) {
	for _, bbr := range []bool{false, true} {
		for _, base := range []time.Duration{1 * ms, 40 * ms} {
			s := newSim(20e6/8, base, 300*ms)
			if bbr {
				s.withBBR()
			}
			s.run(4 * time.Second)
			s.line.rate /= 4
			s.run(time.Second)
			if part, _, _, p99 := s.run(4 * time.Second); part < 0.95 || p99 > 50*ms {
				t.Errorf("bbr %v, %v: slower: %.2f, %v", bbr, base, part, p99)
			}
			s.line.rate *= 4
			s.run(3 * time.Second)
			if part, _, _, p99 := s.run(4 * time.Second); part < 0.95 || p99 > 40*ms {
				t.Errorf("bbr %v, %v: faster: %.2f, %v", bbr, base, part, p99)
			}
		}
	}
}

// TestPacerBesideOthers: when others fill the buffer, who holds back gets nothing. The bound is tried now and then, and
// holds when they have gone.
func TestPacerBesideOthers(t *testing.T) {
	for _, base := range []time.Duration{1 * ms, 40 * ms} {
		for _, bbr := range []bool{false, true} {
			s := newSim(20e6/8, base, 300*ms)
			s.run(4 * time.Second)
			o := s.other()
			if bbr {
				o.bbr = new(simBBR)
			}
			s.run(5 * time.Second)
			part, all, _, _ := s.run(60 * time.Second)
			if part < 0.15 || all < 0.95 {
				t.Errorf("%v, bbr %v: %.2f of the rate beside another, which has %.2f", base, bbr, part, all-part)
			}
			s.others = nil
			s.run(paceStay + 3*time.Second)
			if part, _, _, p99 := s.run(5 * time.Second); part < 0.95 || p99 > 36*ms {
				t.Errorf("%v, bbr %v: alone again: %.2f of the rate, a ping takes %v", base, bbr, part, p99)
			}
		}
	}
}

// TestPacerDoesNotMistakeJitterForQueue: where a round trip varies, a bound by it would only cost.
func TestPacerDoesNotMistakeJitterForQueue(t *testing.T) {
	for jitter, least := range map[time.Duration]float64{10 * ms: 0.93, 30 * ms: 0.55} {
		for _, base := range []time.Duration{1 * ms, 10 * ms, 40 * ms} {
			s := newSim(20e6/8, base, 300*ms)
			s.line.jitter = jitter
			s.run(2 * time.Second)
			if part, _, _, p99 := s.run(20 * time.Second); part < least || p99 > 120*ms {
				t.Errorf("%v, jitter %v: %.2f of the rate, %v", base, jitter, part, p99)
			}
		}
	}
}

// TestPacerLeavesLossAlone: what is lost by chance is no queue.
func TestPacerLeavesLossAlone(t *testing.T) {
	for _, bbr := range []bool{false, true} {
		free, s := newSim(20e6/8, 40*ms, 300*ms), newSim(20e6/8, 40*ms, 300*ms)
		free.tcp.deny = true
		free.line.loss, s.line.loss = 0.01, 0.01
		if bbr {
			free.withBBR()
			s.withBBR()
		}
		want, _, _, _ := free.run(20 * time.Second)
		if part, _, _, _ := s.run(20 * time.Second); part < 0.9*want {
			t.Errorf("bbr %v: %.2f of the rate, %.2f without a bound", bbr, part, want)
		}
	}
}

// TestPacerLeavesFastLinesAlone: where the bound would be large, or there is no queue, or no bound is to be had, there is
// none.
func TestPacerLeavesFastLinesAlone(t *testing.T) {
	fast := newSim(4e9/8, 100*ms, 300*ms)
	short := newSim(1e9/8, 20*ms, 5*ms)
	denied := newSim(20e6/8, 1*ms, 300*ms)
	denied.tcp.deny = true
	for name, s := range map[string]*sim{"fast": fast, "no queue": short, "denied": denied} {
		s.run(2 * time.Second)
		if s.tcp.sndbuf != 0 || s.pacer.bound.bytes != 0 || s.pacer.bound.state == paceBound {
			t.Errorf("%s: bound %d, %d in state %d", name, s.tcp.sndbuf, s.pacer.bound.bytes, s.pacer.bound.state)
		}
	}
}

// TestRoom: on a slow line little goes at once, and little is left unsent below; elsewhere that would cost.
func TestRoom(t *testing.T) {
	for mbit, want := range map[float64]struct{ room, lowat int }{
		1:    {minRoom, notSentLeast},
		5:    {minRoom, notSentLeast},
		20:   {2388, 8 << 10},
		50:   {5970, notSentLowat},
		1000: {maxRoom, notSentLowat},
	} {
		s := newSim(mbit*1e6/8, 20*ms, 300*ms)
		if room(s) != maxRoom {
			t.Error("there is little room before anything is known")
		}
		s.run(5 * time.Second)
		if r := room(s); r < want.room*9/10 || r > want.room*11/10 || s.tcp.notSent != want.lowat {
			t.Errorf("%v Mbit/s: room %d, %d unsent", mbit, r, s.tcp.notSent)
		}
	}
}

// TestPacerCountsNoIdleness: while there is nothing to send the line is not slow.
func TestPacerCountsNoIdleness(t *testing.T) {
	s := newSim(1e9/8, ms, 300*ms)
	s.run(time.Second)
	for range 20 {
		s.off = true
		s.run(time.Second)
		s.off = false
		s.run(20 * ms)
		if room(s) != maxRoom {
			t.Fatalf("room of %d on a line of 1 Gbit/s: %d bytes per second", room(s), s.pacer.line)
		}
	}
}

func TestPacerDoesNotAllocate(t *testing.T) {
	s := newSim(20e6/8, 40*ms, 300*ms)
	s.run(time.Second)
	now := simStart.Add(s.now)
	if n := testing.AllocsPerRun(100, func() {
		for range 1000 {
			now = now.Add(ms)
			s.pacer.observe(now, 4<<10, ms)
		}
	}); n > 0 {
		t.Errorf("%v allocations a second", n)
	}
}
