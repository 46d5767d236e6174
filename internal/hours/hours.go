// Package hours has weekly windows of time in a named time zone, such as dial-out hours and logon hours.
package hours

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hours are weekly windows. They are times of the wall clock: where a clock is put forward the hour that is skipped has
// no time in it, and where it is put back the hour that comes twice counts both times.
type Hours struct {
	windows []window
	zone    *time.Location
}

// A window is from first to last, both in minutes since Monday 00:00; last is beyond it and may be in the next week.
type window struct{ first, last int }

const (
	day  = 24 * 60
	week = 7 * day
)

var days = [...]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// Parse reads windows such as
//
//	Mon-Fri 08:00-12:00 13:00-18:00, Sat 22:00-02:00 Europe/Berlin
//	Sat Sun 00:00-24:00
//	daily 20:00-06:00 UTC
//
// that is: days or ranges of days, or "daily", then times; further windows stand behind a comma. A window that ends
// before it begins ends on the next day, and is that of the day on which it begins. The name of a time zone at the end is
// of all windows; without one they are in the system's zone.
func Parse(s string) (*Hours, error) {
	h, err := parse(s)
	if err != nil {
		return nil, fmt.Errorf("hours %q: %w", s, err)
	}
	return h, nil
}

func parse(s string) (*Hours, error) {
	h := &Hours{zone: time.Local}
	parts := strings.Split(s, ",")
	for n, part := range parts {
		fields := strings.Fields(part)
		if n == len(parts)-1 && len(fields) > 0 && isZone(fields[len(fields)-1]) {
			name := fields[len(fields)-1]
			zone, err := time.LoadLocation(name)
			if err != nil {
				return nil, fmt.Errorf("unknown time zone %q", name)
			}
			h.zone, fields = zone, fields[:len(fields)-1]
		}
		list, err := parseWindows(fields)
		if err != nil {
			return nil, err
		}
		h.windows = append(h.windows, list...)
	}
	return h, nil
}

// isZone reports whether a word at the end can only be a time zone: it is neither days nor a time.
func isZone(s string) bool {
	if _, err := parseDays(s); err == nil {
		return false
	}
	return !strings.Contains(s, ":") && s[0] > '9'
}

func parseWindows(fields []string) (list []window, err error) {
	var on []int
	n := 0
	for ; n < len(fields) && !strings.Contains(fields[n], ":"); n++ {
		if len(on) > 0 && fields[n][0] <= '9' {
			return nil, fmt.Errorf("%q is no window such as 08:00-18:00", fields[n])
		}
		more, err := parseDays(fields[n])
		if err != nil {
			return nil, err
		}
		on = append(on, more...)
	}
	switch {
	case len(on) == 0 && n == len(fields):
		return nil, errors.New("a window is missing")
	case len(on) == 0:
		return nil, fmt.Errorf("no day stands before %q", fields[n])
	case n == len(fields):
		return nil, fmt.Errorf("no times stand behind %q", fields[n-1])
	}
	for _, f := range fields[n:] {
		from, to, err := parseTimes(f)
		if err != nil {
			return nil, err
		}
		for _, d := range on {
			list = append(list, window{d*day + from, d*day + to})
		}
	}
	return list, nil
}

func parseDays(s string) ([]int, error) {
	if strings.EqualFold(s, "daily") {
		return []int{0, 1, 2, 3, 4, 5, 6}, nil
	}
	first, last, ranged := strings.Cut(strings.ToLower(s), "-")
	if !ranged {
		last = first
	}
	from, to := slices.Index(days[:], first), slices.Index(days[:], last)
	if from < 0 || to < 0 {
		return nil, fmt.Errorf("%q is no day such as Mon, nor days such as Mon-Fri", s)
	}
	var list []int
	for d := from; ; d = (d + 1) % len(days) {
		list = append(list, d)
		if d == to {
			return list, nil
		}
	}
}

func parseTimes(s string) (from, to int, err error) {
	first, last, ok := strings.Cut(s, "-")
	if !ok {
		return 0, 0, fmt.Errorf("%q is no window such as 08:00-18:00", s)
	}
	if from, err = parseTime(first); err != nil {
		return 0, 0, err
	}
	if to, err = parseTime(last); err != nil {
		return 0, 0, err
	}
	switch {
	case from == day:
		return 0, 0, fmt.Errorf("%q begins at the end of the day", s)
	case from == to:
		return 0, 0, fmt.Errorf("%q is empty; the whole day is 00:00-24:00", s)
	case to < from:
		to += day
	}
	return from, to, nil
}

func parseTime(s string) (int, error) {
	h, m, ok := strings.Cut(s, ":")
	hour, err1 := strconv.ParseUint(h, 10, 8)
	minute, err2 := strconv.ParseUint(m, 10, 8)
	if !ok || err1 != nil || err2 != nil || len(h) > 2 || len(m) != 2 || minute > 59 || hour > 24 || hour == 24 && minute > 0 {
		return 0, fmt.Errorf("%q is no time such as 08:00", s)
	}
	return int(hour*60 + minute), nil
}

// Contains reports whether t is in one of the windows.
func (h *Hours) Contains(t time.Time) bool {
	t = t.In(h.zone)
	m := (int(t.Weekday())+6)%7*day + t.Hour()*60 + t.Minute() // a week begins on Monday here
	for _, w := range h.windows {
		if m >= w.first && m < w.last || m+week < w.last {
			return true
		}
	}
	return false
}

// NextChange returns when contains next differs from what it is at t, and false if it does not within the limit.
// contains is asked about full minutes.
func NextChange(contains func(time.Time) bool, t time.Time, limit time.Duration) (time.Time, bool) {
	now, end := contains(t), t.Add(limit)
	for t = t.Truncate(time.Minute).Add(time.Minute); !t.After(end); t = t.Add(time.Minute) {
		if contains(t) != now {
			return t, true
		}
	}
	return end, false
}
