package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dialway/dialway/internal/bench/emu"
)

// A trial is one line that -only delay measures.
type trial struct {
	emu.Config
	rates   []float64 // one after the other, in the time of a load; the first is Config's
	outside bool      // beside a transfer outside of the tunnel
}

func (t *trial) name() string {
	var rates []string
	for _, r := range t.rates {
		rates = append(rates, strconv.FormatFloat(r/1e6, 'g', -1, 64))
	}
	s := fmt.Sprintf("%s Mbit/s, %v round trip, queue of %v", strings.Join(rates, ", "), 2*t.Delay, t.Queue)
	if t.Loss > 0 {
		s += fmt.Sprintf(", %g %% loss", 100*t.Loss)
	}
	if t.outside {
		s += ", beside a transfer outside"
	}
	return s
}

// parseTrial reads RATE[/RATE...],RTT,QUEUE[,LOSS][,outside]: Mbit/s, durations, per cent.
func parseTrial(s string) (*trial, error) {
	t := new(trial)
	f := strings.Split(s, ",")
	if len(f) > 3 && f[len(f)-1] == "outside" {
		t.outside, f = true, f[:len(f)-1]
	}
	if len(f) != 3 && len(f) != 4 {
		return nil, fmt.Errorf("%q is not RATE,RTT,QUEUE", s)
	}
	for _, r := range strings.Split(f[0], "/") {
		rate, err := strconv.ParseFloat(r, 64)
		if err != nil || rate <= 0 {
			return nil, fmt.Errorf("rate %q", r)
		}
		t.rates = append(t.rates, rate*1e6)
	}
	t.Rate, t.Seed = t.rates[0], 1
	rtt, err := time.ParseDuration(f[1])
	if err != nil {
		return nil, err
	}
	t.Delay = rtt / 2
	if t.Queue, err = time.ParseDuration(f[2]); err != nil {
		return nil, err
	}
	if len(f) == 4 {
		loss, err := strconv.ParseFloat(strings.TrimSuffix(f[3], "%"), 64)
		if err != nil || loss < 0 || loss >= 100 {
			return nil, fmt.Errorf("loss %q", f[3])
		}
		t.Loss = loss / 100
	}
	return t, nil
}

// delay measures what a bulk transfer costs a ping beside it, with either congestion control inside and outside; what the
// tunnel carries of what the line does without one; and how two transfers share it.
func delay(c *config) error {
	t, err := parseTrial(c.line)
	if err != nil {
		return fmt.Errorf("-line: %w", err)
	}
	return withPrograms(func(dir string) error {
		otherBuild = c.other
		return t.run(c, dir)
	})
}

// A contender is a system on a line of its own.
type contender struct {
	system, outer string
	lab           *lab
	path          *path
}

// run measures all at the same time: a line is much slower than this machine.
func (t *trial) run(c *config, dir string) error {
	length := c.seconds
	all := []*contender{{system: sysNone}, {system: sysSSTP, outer: "cubic"}, {system: sysSSTP, outer: "bbr"}}
	if c.other != "" {
		all = append(all, &contender{system: sysOther, outer: "cubic"}, &contender{system: sysOther, outer: "bbr"})
	}
	for _, x := range all {
		defer x.close()
		if err := x.open(dir, t); err != nil {
			return fmt.Errorf("%s: %w", x.system, err)
		}
	}
	fmt.Println(t.name())
	fmt.Printf("%-12s %6s %6s %5s %9s %7s %9s %9s %9s %6s %6s %8s\n", "", "outer", "inner", "", "Mbit/s", "part", "p50 ms", "p99 ms", "start ms", "over", "share", "outside")
	controls, ways := []string{"cubic", "bbr"}, []string{"up", "down", "both"}
	for _, inner := range controls {
		for _, way := range ways {
			if !c.wants(controls, inner) || !c.wants(ways, way) {
				continue
			}
			rows, errs := make([]delayRow, len(all)), make([]error, len(all))
			var wg sync.WaitGroup
			for i, x := range all {
				wg.Go(func() { rows[i], errs[i] = x.measure(t, inner, way, length, c.short) })
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				return err
			}
			for i, x := range all {
				r := rows[i]
				fmt.Printf("%-12s %6s %6s %5s %9.1f %6.0f%% %9.1f %9.1f %9.1f %5.1f%% %5.0f%% %8.1f\n", x.system, x.outer, inner, way, r.mbit,
					100*r.mbit/rows[0].mbit, r.p50, r.p99, r.start, 100*r.over, 100*r.share, r.outside)
			}
		}
	}
	return nil
}

func (x *contender) open(dir string, t *trial) error {
	control := x.outer
	if control == "" {
		control = "cubic"
	}
	return attempt(func() {
		x.lab = newLab(dir, wire{line: &t.Config}, control)
		for _, s := range systems {
			if s.name == x.system {
				x.path = s.start(x.lab)
			}
		}
		if t.outside {
			x.lab.spawn(x.lab.server, false, "iperf3", "-s", "-p", "5202")
		}
	})
}

func (x *contender) close() {
	if x.lab != nil {
		x.lab.close()
	}
}

// A delayRow is what was measured.
type delayRow struct {
	mbit, p50, p99 float64
	start          float64 // p99 of the first two seconds, milliseconds
	over           float64 // part of the pings after them that took more than goodDelay beyond the line
	share          float64 // of the first of two transfers
	outside        float64 // Mbit/s of the transfer outside
}

const (
	startUp   = 2 * time.Second
	goodDelay = 40 * time.Millisecond
)

func (x *contender) measure(t *trial, inner, way string, length time.Duration, short bool) (r delayRow, err error) {
	x.lab.line.SetRate(t.Rate)
	outside := make(chan error, 1)
	if t.outside {
		go func() {
			args := []string{"-c", outerServer, "-p", "5202", "-t", seconds(length), "-C", "cubic", "-J"}
			if way == "down" {
				args = append(args, "-R")
			}
			out, err := x.lab.client.Try("iperf3", args...)
			bytes, took, e := parseIperf([]byte(out))
			r.outside = float64(bytes) * 8 / took.Seconds() / 1e6
			outside <- errors.Join(err, e)
		}()
	} else {
		outside <- nil
	}
	pinged := make(chan error, 1)
	var pings []pong
	go func() {
		var err error
		pings, err = x.lab.pings(x.path.target, int(length/pingEvery)-5)
		pinged <- err
	}()
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		for _, r := range t.rates[1:] {
			time.Sleep(length / time.Duration(len(t.rates)))
			x.lab.line.SetRate(r)
		}
	}()
	bytes, took, err := x.path.load(way, 1, length, inner)
	<-changed
	if err := errors.Join(err, <-pinged, <-outside); err != nil {
		return r, err
	}
	r.mbit = float64(bytes) * 8 / took.Seconds() / 1e6
	var begin, rest []time.Duration
	for _, p := range pings {
		if p.at < startUp {
			begin = append(begin, p.took)
			continue
		}
		rest = append(rest, p.took)
		if p.took > 2*t.Delay+goodDelay {
			r.over++
		}
	}
	r.over /= float64(max(len(rest), 1))
	slices.Sort(begin)
	slices.Sort(rest)
	r.start, r.p50, r.p99 = percentile(begin, 99), percentile(rest, 50), percentile(rest, 99)
	x.lab.line.SetRate(t.Rate)
	if !short && way != "both" && !t.outside && len(t.rates) == 1 {
		r.share, err = x.lab.share(x.path.target, way, inner, length)
	}
	return r, err
}

// share is the part that the first of two transfers gets.
func (l *lab) share(target, way, control string, d time.Duration) (part float64, err error) {
	args := []string{"-c", target, "-t", seconds(d), "-P", "2", "-C", control, "-J"}
	if way == "down" {
		args = append(args, "-R")
	}
	for range 5 {
		var out string
		if out, err = l.client.Try("iperf3", args...); err == nil {
			if part, err = parseShare([]byte(out)); err == nil {
				return part, nil
			}
		}
		time.Sleep(200 * time.Millisecond) // the server takes a moment from one test to the next
	}
	return 0, err
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

func parseShare(b []byte) (float64, error) {
	var r struct {
		Error string `json:"error"`
		End   struct {
			Streams []struct {
				Receiver struct {
					Bytes float64 `json:"bytes"`
				} `json:"receiver"`
			} `json:"streams"`
		} `json:"end"`
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return 0, fmt.Errorf("iperf3: %w: %.200s", err, b)
	}
	if r.Error != "" || len(r.End.Streams) != 2 {
		return 0, fmt.Errorf("iperf3: %s, %d streams", r.Error, len(r.End.Streams))
	}
	a, z := r.End.Streams[0].Receiver.Bytes, r.End.Streams[1].Receiver.Bytes
	if a+z == 0 {
		return 0, errors.New("iperf3 carried nothing")
	}
	return a / (a + z), nil
}
