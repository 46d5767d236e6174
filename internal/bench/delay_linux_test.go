package main

import "testing"

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
