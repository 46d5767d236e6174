package main

import (
	"io"
	"strings"
	"testing"
)

func TestOnly(t *testing.T) {
	systems, loads := []string{"sstp", "tls"}, []string{"up", "down"}
	for _, c := range []struct {
		only                string
		sstp, tls, up, down bool
	}{
		{"", true, true, true, true},
		{"sstp", true, false, true, true},
		{"sstp,tls,down", true, true, false, true},
		{"up", true, true, true, false},
	} {
		conf := &config{only: c.only}
		if got := [4]bool{conf.wants(systems, "sstp"), conf.wants(systems, "tls"), conf.wants(loads, "up"), conf.wants(loads, "down")}; got != [4]bool{c.sstp, c.tls, c.up, c.down} {
			t.Error(c.only, got)
		}
	}
}

func TestParse(t *testing.T) {
	c, err := parse([]string{"-short"}, io.Discard)
	if err != nil || c.rounds != 5 || !c.short {
		t.Error(c, err)
	}
	if _, err := parse([]string{"up"}, io.Discard); err == nil {
		t.Error("an argument")
	}
}

func rowOf(system string, values ...float64) *row {
	x := &row{System: system, Wire: veth.Name, Load: "up", Streams: 1, Inner: control, Outer: control}
	for i, v := range values {
		x.Readings = append(x.Readings, reading{Mbit: v, Client: 1, Server: 1, Round: i + 1})
	}
	return x
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	r := &result{Rows: []*row{rowOf(sysSSTP, 100, 1000, 300), rowOf(sysWG, 50, 100, 100)}}
	r.Rows[1].Readings[0].Client = 5
	r.finish()
	got := map[string]float64{}
	for _, x := range r.Ratios {
		got[x.Name] = x.Value
	}
	if got["sstp / wireguard, up"] != 3 || r.Rows[0].Mbit != 300 || got["sstp / wireguard, up, GiB per CPU second"] != 1 || len(got) != 2 {
		t.Error(got, r.Rows[0].Mbit)
	}
	var text strings.Builder
	r.print(&text)
	if !strings.Contains(text.String(), "3.00") {
		t.Error(text.String())
	}
	if err := r.draw(t.TempDir() + "/x.svg"); err != nil {
		t.Error(err)
	}
}

// The committed build joins when something seems to have fallen: its ratios are of the rounds that it was there.
func TestCommittedBuildBeside(t *testing.T) {
	then := rowOf(committed(sysSSTP), 150, 300)
	for i := range then.Readings {
		then.Readings[i].Round += 2
	}
	single, undrained := rowOf(committed(sysSingle), 40), rowOf(committed(sysUndrained), 20)
	r := &result{Rows: []*row{rowOf(sysSSTP, 200, 200, 100, 400), rowOf(sysWG, 100, 100, 50, 100), then, rowOf(sysSingle, 30), rowOf(sysUndrained, 20), single, undrained}}
	r.finish()
	for _, x := range r.Ratios {
		want := map[string][2]float64{
			"sstp / wireguard, up":                     {2, 3},
			"sstp / wireguard, up, GiB per CPU second": {1, 1},
			"sstp-single / sstp-undrained, up":         {1.5, 2},
		}[x.Name]
		if [2]float64{x.Value, x.Beside} != want {
			t.Errorf("%+v, not %v", x, want)
		}
	}
	if len(r.Ratios) != 3 {
		t.Error(r.Ratios)
	}
}

func TestGuard(t *testing.T) {
	then := &result{Ratios: []ratio{{Name: "a", Value: 3}, {Name: "b", Value: 3}}}
	for _, c := range []struct {
		now ratio
		ok  bool
	}{
		{ratio{Name: "a", Value: 2.01}, true},
		{ratio{Name: "a", Value: 1.99}, false},
		{ratio{Name: "a", Value: 2.5, Goal: 2, Floor: 2.6}, false},
		{ratio{Name: "a", Value: 1.99, Goal: 1, Floor: 1}, false},
		{ratio{Name: "a", Value: 1.5, Floor: 1.4}, true},
		{ratio{Name: "a", Value: 1.3, Floor: 1.4}, false},
		{ratio{Name: "new", Value: 0.1}, true},
		{ratio{Name: "a", Value: 1.5, Beside: 2.2}, true},
		{ratio{Name: "a", Value: 1.4, Beside: 2.2}, false},
		{ratio{Name: "a", Value: 1.9, Beside: 6}, false},
		{ratio{Name: "a", Value: 1.2, Beside: 1.2, Goal: 2, Floor: 1.3}, false},
		{ratio{Name: "a", Value: 1.3, Beside: 1, Floor: 1.4}, false},
	} {
		if err := guard(&result{Ratios: []ratio{c.now}}, then, io.Discard); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.now, err)
		}
	}
	if guard(&result{}, then, io.Discard) == nil {
		t.Error("nothing measured")
	}
}
