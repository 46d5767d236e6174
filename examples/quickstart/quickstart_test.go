package main

import (
	"strings"
	"testing"
)

func TestQuickstartSaysEachStepAndFetches(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, 1<<20); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	at := 0
	for _, step := range []string{"server", "TCP", "TLS", "HTTP", "SSTP", "LCP", "authentication", "crypto binding", "IPCP", "up", "page", "100 %", "is right", "goodbye"} {
		i := strings.Index(out.String()[at:], step)
		if i < 0 {
			t.Fatalf("%q is not said, or not in its place:\n%s", step, &out)
		}
		at += i
	}
	t.Log("\n" + out.String())
}
