package tlsconn

import (
	"testing"
	"time"
)

// A slowLine is TCP over a line with a buffer, as a pacer sees it. TCP sends all it may, and has always more; its window
// grows to the end of the buffer, as one does that only a loss makes smaller.
type slowLine struct {
	rate   float64       // bytes per second
	base   time.Duration // round trip without queue
	buffer float64       // bytes
	others float64       // bytes of others in the buffer
	lag    time.Duration // of the round trip, though there is no queue

	window float64
	bound  float64 // 0: none
	bounds []int
	acked  float64
	deny   bool
}

func (l *slowLine) path() (path, bool) {
	return path{acked: uint64(l.acked), rtt: l.base + l.lag + l.queue(), minRTT: l.base}, true
}

func (l *slowLine) limit(n int) bool {
	if l.deny && n > 0 {
		return false
	}
	l.bound = float64(n)
	l.bounds = append(l.bounds, n)
	return true
}

func (l *slowLine) held() float64 {
	if l.bound > 0 {
		return min(l.window, l.bound)
	}
	return l.window
}

// queue is how long the buffer takes.
func (l *slowLine) queue() time.Duration {
	return time.Duration((max(0, l.held()-l.rate*(l.base+l.lag).Seconds()) + l.others) / l.rate * float64(time.Second))
}

func (l *slowLine) pass(d time.Duration) {
	full := l.base + l.lag + l.queue()
	l.acked += min(l.rate*d.Seconds(), l.held()*d.Seconds()/full.Seconds())
	l.window = min(l.window+l.rate*d.Seconds()/8, l.buffer+l.rate*l.base.Seconds())
}

// run lets W wait every other millisecond.
func (l *slowLine) run(p *pacer, from time.Time, d time.Duration) (end time.Time, rate uint64) {
	for end = from; end.Before(from.Add(d)); end = end.Add(2 * time.Millisecond) {
		if r := p.observe(end); r > 0 {
			rate = r
		}
		l.pass(2 * time.Millisecond)
	}
	return end, rate
}

var paceStart = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// TestPacerKeepsTheQueueShort: whatever rate and round trip, the line's buffer holds little, and the line is busy.
func TestPacerKeepsTheQueueShort(t *testing.T) {
	for name, l := range map[string]*slowLine{
		"2 Mbit/s":           {rate: 250e3, base: 10 * time.Millisecond},
		"20 Mbit/s":          {rate: 2.5e6, base: time.Millisecond},
		"20 Mbit/s, far":     {rate: 2.5e6, base: 40 * time.Millisecond},
		"20 Mbit/s, farther": {rate: 2.5e6, base: 200 * time.Millisecond},
		"100 Mbit/s":         {rate: 12.5e6, base: 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			l.buffer, l.window = l.rate*0.3, 14e3
			p := &pacer{sock: l}
			now, rate := l.run(p, paceStart, 10*time.Second)
			most := paceMargin + time.Duration(paceMin/l.rate*float64(time.Second))
			if q := l.queue(); q > most {
				t.Errorf("queue of %v, bound %v in state %d", q, l.bound, p.state)
			}
			if float64(rate) < 0.99*l.rate {
				t.Errorf("%d bytes per second of %.0f", rate, l.rate)
			}
			// A line that becomes faster, or slower.
			for _, f := range []float64{4, 1. / 16} {
				l.rate *= f
				now, rate = l.run(p, now, 20*time.Second)
				if float64(rate) < 0.95*l.rate {
					t.Errorf("%d bytes per second of %.0f then", rate, l.rate)
				}
				if q, most := l.queue(), 2*paceMargin+time.Duration(paceMin/l.rate*float64(time.Second)); l.bound > 0 && q > most {
					t.Errorf("queue of %v then", q)
				}
			}
		})
	}
}

// TestPacerLeavesFastLinesAlone: where the bound would be large, there is none.
func TestPacerLeavesFastLinesAlone(t *testing.T) {
	for name, l := range map[string]*slowLine{
		"no queue": {rate: 250e6, base: time.Millisecond, window: 250e3},
		"queue":    {rate: 250e6, base: time.Millisecond, window: 14e3, buffer: 10e6},
		"denied":   {rate: 2.5e6, base: time.Millisecond, window: 14e3, buffer: 1e6, deny: true},
	} {
		t.Run(name, func(t *testing.T) {
			if l.buffer == 0 {
				l.buffer = 1
			}
			p := &pacer{sock: l}
			l.run(p, paceStart, 3*time.Second)
			if l.bound != 0 || p.state != paceFree {
				t.Errorf("bound %v in state %d", l.bound, p.state)
			}
		})
	}
}

// TestPacerGivesWayToNobody: when others fill the buffer, holding back would only give them what is ours. After a while
// it is tried again, and works when they have gone.
func TestPacerGivesWayToNobody(t *testing.T) {
	l := &slowLine{rate: 2.5e6, base: time.Millisecond, buffer: 750e3, window: 14e3, others: 500e3}
	p := &pacer{sock: l}
	now, _ := l.run(p, paceStart, 6*time.Second)
	if p.state != paceCrowded || l.bound != 0 {
		t.Fatalf("state %d, bound %v", p.state, l.bound)
	}
	free := 0
	for range 3000 {
		now, _ = l.run(p, now, 20*time.Millisecond)
		if l.bound == 0 {
			free++
		}
	}
	if free < 2500 {
		t.Errorf("free for %d of 3000", free)
	}
	l.others = 0
	l.run(p, now, paceRelease+time.Second)
	if p.state != paceBound || l.queue() > 2*paceMargin {
		t.Errorf("state %d, queue %v", p.state, l.queue())
	}
}

// TestPacerDoesNotMistakeLagForQueue: a bound that costs throughput is no good, whatever the round trip says.
func TestPacerDoesNotMistakeLagForQueue(t *testing.T) {
	l := &slowLine{rate: 2.5e6, base: time.Millisecond, lag: 50 * time.Millisecond, buffer: 250e3, window: 14e3}
	p := &pacer{sock: l}
	now, _ := l.run(p, paceStart, 10*time.Second)
	from := l.acked
	l.run(p, now, 60*time.Second)
	if rate := (l.acked - from) / 60; rate < 0.85*l.rate {
		t.Errorf("%.0f bytes per second of %.0f", rate, l.rate)
	}
}

// TestPacerCountsOnlyBacklog: while W is away there may be nothing to send, which is no slow line.
func TestPacerCountsOnlyBacklog(t *testing.T) {
	l := &slowLine{rate: 250e6, base: time.Millisecond, window: 1e6, buffer: 1}
	p := &pacer{sock: l}
	now, rate := l.run(p, paceStart, time.Second)
	if rate < 200e6 {
		t.Fatal(rate)
	}
	for range 100 {
		now = now.Add(time.Second)
		if rate := p.observe(now); rate != 0 {
			t.Fatalf("%d bytes per second, of a line that had nothing to carry", rate)
		}
	}
}

func TestPacerDoesNotAllocate(t *testing.T) {
	l := &slowLine{rate: 2.5e6, base: time.Millisecond, window: 1e6, buffer: 1e6}
	p := &pacer{sock: l}
	now := paceStart
	if n := testing.AllocsPerRun(100, func() {
		l.bounds = l.bounds[:0]
		now, _ = l.run(p, now, time.Second)
	}); n > 0 {
		t.Errorf("%v allocations a second", n)
	}
}
