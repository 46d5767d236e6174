package hours

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

func at(t *testing.T, zone, s string) time.Time {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	x, err := time.ParseInLocation("2006-01-02 15:04:05", s, loc)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestContains(t *testing.T) {
	const office = "Mon-Fri 08:00-12:00 13:00-18:00, Sat 22:00-02:00 Europe/Berlin"
	for _, c := range []struct {
		hours, zone, at string
		want            bool
	}{
		{office, "Europe/Berlin", "2026-03-16 07:59:59", false}, // a Monday
		{office, "Europe/Berlin", "2026-03-16 08:00:00", true},
		{office, "Europe/Berlin", "2026-03-16 11:59:59", true},
		{office, "Europe/Berlin", "2026-03-16 12:00:00", false},
		{office, "Europe/Berlin", "2026-03-20 17:59:59", true},
		{office, "Europe/Berlin", "2026-03-20 18:00:00", false},
		{office, "Europe/Berlin", "2026-03-21 10:00:00", false},
		{office, "Europe/Berlin", "2026-03-21 22:00:00", true},
		{office, "Europe/Berlin", "2026-03-22 01:59:59", true}, // Sunday, of Saturday's window
		{office, "Europe/Berlin", "2026-03-22 02:00:00", false},
		{office, "America/New_York", "2026-03-16 03:30:00", true}, // Berlin is 5 hours ahead in that week
		{office, "America/New_York", "2026-03-16 02:30:00", false},
		{"Sun 22:00-06:00 UTC", "UTC", "2026-03-16 05:59:00", true}, // across the end of the week
		{"Sun 22:00-06:00 UTC", "UTC", "2026-03-15 05:59:00", false},
		{"sat-mon 00:00-24:00 UTC", "UTC", "2026-03-16 23:59:59", true},
		{"sat-mon 00:00-24:00 UTC", "UTC", "2026-03-17 00:00:00", false},
		{"daily 20:00-06:00 UTC", "UTC", "2026-03-17 06:00:00", false},
		{"Sat Sun 09:00-10:00 UTC", "UTC", "2026-03-22 09:30:00", true},

		// Clocks are put forward from 02:00 to 03:00 on 29 March 2026 and back from 03:00 to 02:00 on 25 October.
		{"Sun 02:15-02:45 Europe/Berlin", "UTC", "2026-03-29 00:30:00", false}, // 01:30
		{"Sun 02:15-02:45 Europe/Berlin", "UTC", "2026-03-29 01:30:00", false}, // 03:30
		{"Sun 01:30-03:30 Europe/Berlin", "UTC", "2026-03-29 00:45:00", true},  // 01:45
		{"Sun 01:30-03:30 Europe/Berlin", "UTC", "2026-03-29 01:15:00", true},  // 03:15
		{"Sun 01:30-03:30 Europe/Berlin", "UTC", "2026-03-29 01:30:00", false}, // 03:30
		{"Sun 02:15-02:45 Europe/Berlin", "UTC", "2026-10-25 00:30:00", true},  // 02:30, summer time
		{"Sun 02:15-02:45 Europe/Berlin", "UTC", "2026-10-25 01:00:00", false}, // 02:00, again
		{"Sun 02:15-02:45 Europe/Berlin", "UTC", "2026-10-25 01:30:00", true},  // 02:30, again
		{"Mon-Fri 08:00-18:00 Europe/Berlin", "UTC", "2026-03-27 07:00:00", true},
		{"Mon-Fri 08:00-18:00 Europe/Berlin", "UTC", "2026-03-30 06:00:00", true},
		{"Mon-Fri 08:00-18:00 Europe/Berlin", "UTC", "2026-03-30 05:59:00", false},
	} {
		h, err := Parse(c.hours)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if got := h.Contains(at(t, c.zone, c.at)); got != c.want {
			t.Errorf("%q contains %s %s: %v", c.hours, c.at, c.zone, got)
		}
	}
}

func TestWithoutAZoneTheSystemsCounts(t *testing.T) {
	h, err := Parse("Mon 08:00-09:00")
	if err != nil {
		t.Fatal(err)
	}
	if !h.Contains(time.Date(2026, 3, 16, 8, 30, 0, 0, time.Local)) {
		t.Error("not in the system's zone")
	}
}

func TestParseRefuses(t *testing.T) {
	for s, want := range map[string]string{
		"":                          "a window is missing",
		" , ":                       "a window is missing",
		"Mon 08:00-09:00,":          "a window is missing",
		"Mon":                       "no times",
		"08:00-09:00":               "no day",
		"Europe/Berlin":             "a window is missing",
		"Mon 08:00-09:00 Mars/Base": `unknown time zone "Mars/Base"`,
		"Mon 08:00-09:00 ../../etc": "no window such",
		"Mon 08:00-08:00":           "empty",
		"Mon 24:00-02:00":           "begins at the end",
		"Mon 08:00-25:00":           "no time such",
		"Mon 08:00-24:01":           "no time such",
		"Mon 08:60-09:00":           "no time such",
		"Mon 8-9":                   "no window such",
		"Mon 08:00":                 "no window",
		"Mon 08:00-9:0":             "no time such",
		"Monday 08:00-09:00":        "no day such",
		"Mon-Fry 08:00-09:00":       "no day such",
		"Mon 08:00-09:00 Tue":       "no window",
		"Mon -08:00-09:00":          "no time such",
		"Mon +8:00-09:00":           "no time such",
	} {
		if _, err := Parse(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", s, err, want)
		}
	}
}

func TestNextChange(t *testing.T) {
	h, err := Parse("Mon-Fri 08:00-18:00 UTC")
	if err != nil {
		t.Fatal(err)
	}
	const long = 8 * 24 * time.Hour
	for _, c := range [][2]string{
		{"2026-03-16 07:00:30", "2026-03-16 08:00:00"},
		{"2026-03-16 08:00:00", "2026-03-16 18:00:00"},
		{"2026-03-20 18:00:00", "2026-03-23 08:00:00"},
	} {
		got, ok := NextChange(h.Contains, at(t, "UTC", c[0]), long)
		if want := at(t, "UTC", c[1]); !ok || !got.Equal(want) {
			t.Errorf("after %s: %v %v", c[0], got, ok)
		}
	}
	from := at(t, "UTC", "2026-03-16 09:00:00")
	if got, ok := NextChange(h.Contains, from, time.Hour); ok || !got.Equal(from.Add(time.Hour)) {
		t.Errorf("%v %v", got, ok)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"Mon-Fri 08:00-18:00, Sat 22:00-02:00 Europe/Berlin", "daily 00:00-24:00 UTC", "Sun 23:59-00:00", "x", "Mon 08:00-09:00 x"} {
		f.Add(s, int64(1<<30))
	}
	f.Fuzz(func(t *testing.T, s string, unix int64) {
		h, err := Parse(s)
		if err != nil {
			return
		}
		if len(h.windows) == 0 {
			t.Fatalf("%q has no window", s)
		}
		for _, w := range h.windows {
			if w.first < 0 || w.first >= week || w.last <= w.first || w.last > w.first+day {
				t.Fatalf("%q: %+v", s, w)
			}
		}
		// Minute for minute, as one would do it by hand: no window is longer than a day.
		now := time.Unix(unix%(1<<33), 0).In(h.zone)
		m := (int(now.Weekday())+6)%7*day + now.Hour()*60 + now.Minute()
		want := false
		for _, w := range h.windows {
			for i := w.first; i < w.last; i++ {
				want = want || i%week == m
			}
		}
		if h.Contains(now) != want {
			t.Fatalf("%q at %v: %v", s, now, !want)
		}
	})
}
