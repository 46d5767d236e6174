package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/dialway/dialway/internal/bench/emu"
)

// shortLine is a line whose delay is all queue.
var shortLine = wire{"20 Mbit/s, 1 ms", "", &emu.Config{Rate: 20e6, Delay: 500 * time.Microsecond, Queue: 300 * time.Millisecond}}

// delay measures what a bulk transfer costs a ping beside it, with either congestion control inside and outside; what the
// tunnel carries of what the line does without one; and how two transfers share it.
func delay(c *config) error {
	return withPrograms(func(dir string) error { return delayIn(c, dir) })
}

func delayIn(c *config, dir string) error {
	length := 8 * time.Second
	if c.short {
		length = 4 * time.Second
	}
	fmt.Printf("%-12s %6s %6s %5s %9s %7s %9s %9s %9s\n", "", "outer", "inner", "", "Mbit/s", "part", "p50 ms", "p99 ms", "share")
	alone := map[string]float64{} // without a tunnel
	for _, x := range []struct{ system, outer string }{{sysNone, "cubic"}, {sysSSTP, "cubic"}, {sysSSTP, "bbr"}} {
		if err := delayOf(dir, x.system, x.outer, length, alone); err != nil {
			return fmt.Errorf("%s: %w", x.system, err)
		}
	}
	return nil
}

func delayOf(dir, name, outer string, length time.Duration, alone map[string]float64) error {
	var l *lab
	var p *path
	err := attempt(func() {
		l = newLab(dir, shortLine, outer)
		for _, x := range systems {
			if x.name == name {
				p = x.start(l)
			}
		}
	})
	if l != nil {
		defer l.close()
	}
	if err != nil {
		return err
	}
	for _, inner := range []string{"cubic", "bbr"} {
		for _, way := range []string{"up", "down"} {
			s := stage{inner: inner, length: length, settle: length / 4}
			what, err := s.one(l, p, load{way, 1, true})
			if err != nil {
				return err
			}
			key := inner + way
			if name == sysNone {
				alone[key] = what.Mbit
				outer = ""
			}
			share, err := l.share(p.target, way, inner, length)
			if err != nil {
				return err
			}
			fmt.Printf("%-12s %6s %6s %5s %9.1f %6.0f%% %9.1f %9.1f %8.0f%%\n", name, outer, inner, way, what.Mbit,
				100*what.Mbit/alone[key], what.P50, what.P99, 100*share)
		}
	}
	return nil
}

// share is the part that the first of two transfers gets.
func (l *lab) share(target, way, control string, d time.Duration) (part float64, err error) {
	args := []string{"-c", target, "-t", strconv.FormatFloat(d.Seconds(), 'f', -1, 64), "-P", "2", "-C", control, "-J"}
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
