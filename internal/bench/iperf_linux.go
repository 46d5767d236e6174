package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// iperf loads from the client's side by iperf3, whose server runs at target. control is the congestion control of its
// connections.
func (l *lab) iperf(target, way string, streams int, d time.Duration, control string) (bytes int64, took time.Duration, err error) {
	args := []string{"-c", target, "-t", strconv.FormatFloat(d.Seconds(), 'f', -1, 64), "-P", strconv.Itoa(streams), "-C", control, "-J"}
	switch way {
	case "up":
	case "down":
		args = append(args, "-R")
	case "both":
		args = append(args, "--bidir")
	default:
		return 0, 0, fmt.Errorf("%q is no load", way)
	}
	for range 5 {
		out, e := l.client.Try("iperf3", args...)
		bytes, took, err = parseIperf([]byte(out))
		if err == nil && e != nil {
			err = e
		}
		if err == nil {
			return bytes, took, nil
		}
		time.Sleep(200 * time.Millisecond) // the server is at one test at a time, and takes a moment from one to the next
	}
	return 0, 0, err
}

// parseIperf adds up what was received, both ways if there are two.
func parseIperf(b []byte) (bytes int64, took time.Duration, err error) {
	type sum struct {
		Bytes   float64 `json:"bytes"`
		Seconds float64 `json:"seconds"`
	}
	var r struct {
		Error string `json:"error"`
		End   struct {
			Received sum `json:"sum_received"`
			Reverse  sum `json:"sum_received_bidir_reverse"`
		} `json:"end"`
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return 0, 0, fmt.Errorf("iperf3: %w: %.200s", err, b)
	}
	if r.Error != "" {
		return 0, 0, fmt.Errorf("iperf3: %s", r.Error)
	}
	s := max(r.End.Received.Seconds, r.End.Reverse.Seconds)
	if s == 0 {
		return 0, 0, fmt.Errorf("iperf3 measured nothing: %.200s", b)
	}
	return int64(r.End.Received.Bytes + r.End.Reverse.Bytes), time.Duration(s * float64(time.Second)), nil
}

// A pong is a ping that was answered.
type pong struct {
	at, took time.Duration // at: since the first was sent
}

const pingEvery = 20 * time.Millisecond

// ping sends so many pings, 50 a second, and returns the round trips that were answered, sorted.
func (l *lab) ping(target string, n int) ([]time.Duration, error) {
	pongs, err := l.pings(target, n)
	list := make([]time.Duration, len(pongs))
	for i, p := range pongs {
		list[i] = p.took
	}
	slices.Sort(list)
	return list, err
}

// pings is ping, in the order in which they were answered.
func (l *lab) pings(target string, n int) ([]pong, error) {
	out, _ := l.client.Try("ping", "-n", "-i", seconds(pingEvery), "-c", strconv.Itoa(n), "-W", "2", target) // not answered is no failure
	list := parsePing(out)
	if len(list) < n/2 {
		return nil, fmt.Errorf("%d of %d pings answered: %.300s", len(list), n, out)
	}
	return list, nil
}

func parsePing(out string) (list []pong) {
	for line := range strings.Lines(out) {
		_, seq, ok := strings.Cut(line, " icmp_seq=")
		if !ok {
			continue
		}
		_, v, ok := strings.Cut(seq, " time=")
		if !ok {
			continue
		}
		n, err := strconv.Atoi(strings.Fields(seq)[0])
		ms, e := strconv.ParseFloat(strings.Fields(v)[0], 64)
		if err == nil && e == nil {
			list = append(list, pong{time.Duration(n-1) * pingEvery, time.Duration(ms * float64(time.Millisecond))})
		}
	}
	return list
}

// percentile takes one of a sorted list, in milliseconds.
func percentile(list []time.Duration, p int) float64 {
	if len(list) == 0 {
		return 0
	}
	return float64(list[min(len(list)*p/100, len(list)-1)]) / float64(time.Millisecond)
}
