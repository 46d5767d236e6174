package demanddial

import (
	"strings"
	"testing"
	"time"
)

func TestParseHours(t *testing.T) {
	h, err := ParseHours("Mon-Fri 08:00-18:00 UTC")
	if err != nil {
		t.Fatal(err)
	}
	if !h(time.Date(2026, 3, 16, 8, 0, 0, 0, time.UTC)) || h(time.Date(2026, 3, 16, 18, 0, 0, 0, time.UTC)) {
		t.Error("wrong hours")
	}
	if _, err := ParseHours("Mon 08:00-18:00 Middle/Earth"); err == nil || !strings.Contains(err.Error(), "unknown time zone") {
		t.Error(err)
	}
}
