package main

import (
	"cmp"
	"encoding/json"
	"os"
	"slices"
)

// A reading is one measurement.
type reading struct {
	Mbit   float64 `json:"mbit,omitempty"`
	Client float64 `json:"client,omitempty"` // CPU seconds per GiB of the client's end
	Server float64 `json:"server,omitempty"`
	P50    float64 `json:"p50,omitempty"` // of pings, in milliseconds
	P99    float64 `json:"p99,omitempty"`
	Idle   float64 `json:"idle,omitempty"`  // part of all processors' time
	Taken  float64 `json:"taken,omitempty"` // by the host, of the same
	Round  int     `json:"round,omitempty"`
}

// both is the CPU of both ends.
func (r reading) both() float64 { return r.Client + r.Server }

// A row is what was measured of one system in one way: the medians of its readings, one of each round.
type row struct {
	System  string `json:"system"`
	Wire    string `json:"wire"`
	Load    string `json:"load"` // up, down, both; idle
	Streams int    `json:"streams,omitempty"`
	Inner   string `json:"inner,omitempty"` // congestion control of the connections that load
	Outer   string `json:"outer,omitempty"` // of the tunnel's own; empty: it has none
	reading
	Readings []reading `json:"readings"`
}

// key is what tells rows apart.
func (r *row) key() row {
	return row{System: r.System, Wire: r.Wire, Load: r.Load, Streams: r.Streams, Inner: r.Inner, Outer: r.Outer}
}

// A ratio compares two systems: the median over the rounds, so that only what was measured within a minute is compared.
type ratio struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Goal  float64 `json:"goal,omitempty"`  // at least
	Floor float64 `json:"floor,omitempty"` // below it, CI fails whatever was committed

	Beside float64 `json:"beside,omitempty"` // the same of the committed build, where that was measured beside
}

// A result is a whole run.
type result struct {
	Machine string  `json:"machine"`
	When    string  `json:"when"`
	Rounds  int     `json:"rounds"`
	Rows    []*row  `json:"rows"`
	Ratios  []ratio `json:"ratios"`
}

// add adds a reading to its row.
func (r *result) add(key row, what reading) {
	i := slices.IndexFunc(r.Rows, func(x *row) bool { return equal(x.key(), key) })
	if i < 0 {
		i = len(r.Rows)
		r.Rows = append(r.Rows, &key)
	}
	r.Rows[i].Readings = append(r.Rows[i].Readings, what)
}

func equal(a, b row) bool {
	return a.System == b.System && a.Wire == b.Wire && a.Load == b.Load && a.Streams == b.Streams && a.Inner == b.Inner && a.Outer == b.Outer
}

// finish computes medians and ratios.
func (r *result) finish() {
	for _, x := range r.Rows {
		x.reading = reading{
			Mbit:   medianOf(x.Readings, func(r reading) float64 { return r.Mbit }),
			Client: medianOf(x.Readings, func(r reading) float64 { return r.Client }),
			Server: medianOf(x.Readings, func(r reading) float64 { return r.Server }),
			P50:    medianOf(x.Readings, func(r reading) float64 { return r.P50 }),
			P99:    medianOf(x.Readings, func(r reading) float64 { return r.P99 }),
			Idle:   meanOf(x.Readings, func(r reading) float64 { return r.Idle }),
			Taken:  meanOf(x.Readings, func(r reading) float64 { return r.Taken }),
		}
	}
	r.Ratios = nil
	for _, c := range comparisons {
		if v := r.compare(c); v > 0 {
			r.Ratios = append(r.Ratios, ratio{Name: c.name(), Value: v, Goal: c.goal, Floor: c.floor, Beside: r.compare(c.committed())})
		}
	}
}

// A comparison is a ratio that is promised, or watched. More is better in each.
type comparison struct {
	system, reference string
	load              string
	cpu               bool // of what a GiB costs both ends, the reference's to the system's
	goal, floor       float64
}

// comparisons are of one stream over veth, with cubic inside and outside.
var comparisons = []comparison{
	{sysSSTP, sysWG, "up", false, 2, 1.3},
	{sysSSTP, sysWG, "down", false, 2, 1.3},
	{sysSSTP, sysTLS, "up", false, 0.45, 0},
	{sysSSTP, sysTLS, "down", false, 0.45, 0},
	{sysSSTP, sysWG, "up", true, 1 / 0.45, 0},
	{sysSSTP, sysWG, "down", true, 1 / 0.45, 0},
	{sysSSTP, sysOther, "up", false, 0, 0},
	{sysSSTP, sysOther, "down", false, 0, 0},
	{sysSSTP, sysOther, "up", true, 0, 0},
	{sysSSTP, sysOther, "down", true, 0, 0},
	{sysSSTP, sysOpenVPN, "up", false, 0, 0},
	{sysSSTP, sysOpenVPN, "down", false, 0, 0},
	{sysStack, sysWGStack, "down", false, 0.6, 0},
	{sysStack, sysWGStack, "up", false, 0, 2.3},
	{sysSingle, sysUndrained, "up", false, 1.3, 0},
}

func (c comparison) name() string {
	name := c.system + " / " + c.reference + ", " + c.load
	if c.cpu {
		name += ", GiB per CPU second"
	}
	return name
}

// committed is the same comparison of the committed build.
func (c comparison) committed() comparison {
	c.system = committed(c.system)
	if c.reference == sysUndrained {
		c.reference = committed(c.reference)
	}
	return c
}

// compare returns 0 where there is nothing to compare.
func (r *result) compare(c comparison) float64 {
	a, b := r.find(c.system, veth.Name, c.load), r.find(c.reference, veth.Name, c.load)
	if a == nil || b == nil {
		return 0
	}
	var list []float64
	for _, of := range a.Readings {
		i := slices.IndexFunc(b.Readings, func(to reading) bool { return to.Round == of.Round })
		if i < 0 {
			continue
		}
		to := b.Readings[i]
		x, y := of.Mbit, to.Mbit
		if c.cpu {
			x, y = to.both(), of.both()
		}
		if x > 0 && y > 0 {
			list = append(list, x/y)
		}
	}
	return middle(list)
}

// meanOf is of what may well be nothing, once or always.
func meanOf(list []reading, f func(reading) float64) (mean float64) {
	for _, r := range list {
		mean += f(r) / float64(len(list))
	}
	return mean
}

// medianOf is of what was measured: nothing was where it is 0.
func medianOf(list []reading, f func(reading) float64) float64 {
	var values []float64
	for _, r := range list {
		if v := f(r); v != 0 {
			values = append(values, v)
		}
	}
	return middle(values)
}

// middle is the median; 0 of nothing.
func middle(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	list = slices.SortedFunc(slices.Values(list), cmp.Compare[float64])
	n := len(list)
	return (list[(n-1)/2] + list[n/2]) / 2
}

func readResult(file string) (*result, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(result)
	return r, json.Unmarshal(b, r)
}

func (r *result) write(file string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
