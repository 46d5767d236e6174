package main

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestParseIperf(t *testing.T) {
	for in, want := range map[string]string{
		`{"end":{"sum_received":{"bytes":1000,"seconds":2}}}`:                                                          "1000 2s ",
		`{"end":{"sum_received":{"bytes":1000,"seconds":2},"sum_received_bidir_reverse":{"bytes":500,"seconds":2.5}}}`: "1500 2.5s ",
		`{"error":"the server is busy running a test"}`:                                                                "busy",
		`{"end":{}}`: "nothing",
		`oops`:       "oops",
	} {
		n, took, err := parseIperf([]byte(in))
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", in, err)
			}
		} else if got := strings.Fields(want); got[0] != strconv.FormatInt(n, 10) || took.String() != got[1] {
			t.Error(in, n, took)
		}
	}
}

func TestParsePing(t *testing.T) {
	list := parsePing("64 bytes from 10.8.0.1: icmp_seq=1 ttl=64 time=3.5 ms\n64 bytes from 10.8.0.1: icmp_seq=4 ttl=64 time=0.25 ms\nno answer\n")
	if len(list) != 2 || list[0] != (pong{0, 3500 * time.Microsecond}) || list[1] != (pong{3 * pingEvery, 250 * time.Microsecond}) {
		t.Error(list)
	}
	ms := time.Millisecond
	if l := []time.Duration{ms, 2 * ms}; percentile(l, 99) != 2 || percentile(l, 50) != 2 || percentile(l, 0) != 1 || percentile(nil, 50) != 0 {
		t.Error("percentile")
	}
}
