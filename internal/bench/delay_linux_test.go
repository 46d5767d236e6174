package main

import (
	"testing"
	"time"
)

func TestParseTrial(t *testing.T) {
	for in, want := range map[string]string{
		shortLine:                    "20 Mbit/s, 1ms round trip, queue of 300ms",
		"20/5/0.5,40ms,1s":           "20, 5, 0.5 Mbit/s, 40ms round trip, queue of 1s",
		"20,40ms,300ms,1":            "20 Mbit/s, 40ms round trip, queue of 300ms, 1 % loss",
		"20,40ms,300ms,0.5%,outside": "20 Mbit/s, 40ms round trip, queue of 300ms, 0.5 % loss, beside a transfer outside",
		"20,40ms,300ms,outside":      "20 Mbit/s, 40ms round trip, queue of 300ms, beside a transfer outside",
		"":                           "",
		"20":                         "",
		"0,1ms,1ms":                  "",
		"20,1,1ms":                   "",
		"20,1ms,1":                   "",
		"20,1ms,1ms,100":             "",
		"20,1ms,1ms,1,elsewhere":     "",
		"20/x,1ms,1ms":               "",
	} {
		c, err := parseTrial(in)
		if (err != nil) != (want == "") || err == nil && c.name() != want {
			t.Errorf("%q: %v, %v", in, c, err)
		}
	}
	if c, _ := parseTrial("20,40ms,300ms,1"); c.Rate != 20e6 || c.Delay != 20*time.Millisecond || c.Queue != 300*time.Millisecond || c.Loss != 0.01 {
		t.Errorf("%+v", c)
	}
}

func TestParseShare(t *testing.T) {
	for in, want := range map[string]float64{
		`{"end":{"streams":[{"receiver":{"bytes":300}},{"receiver":{"bytes":100}}]}}`: 0.75,
		`{"end":{"streams":[{"receiver":{"bytes":300}}]}}`:                            -1,
		`{"end":{"streams":[{"receiver":{}},{"receiver":{}}]}}`:                       -1,
		`{"error":"the server is busy"}`:                                              -1,
		`oops`:                                                                        -1,
	} {
		got, err := parseShare([]byte(in))
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
}
