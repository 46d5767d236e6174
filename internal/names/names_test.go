package names

import (
	"slices"
	"strings"
	"testing"
)

func TestNext(t *testing.T) {
	long := strings.Repeat("\x3f"+strings.Repeat("x", 63), 4)
	for _, x := range []struct {
		b        string
		i        int
		pointers bool
		name     string
		next     int // 0: no name
	}{
		{"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04", 0, true, "eng.apple.com", 15},
		{"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04", 15, true, "marketing.apple.com", 27}, // RFC 3397 section 2
		{"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04", 15, false, "", 0},
		{"\x00\x00", 0, false, "", 1},
		{"\xc0\x00", 0, true, "", 0},                   // to itself
		{"\x01a\xc0\x04\x01b\xc0\x00", 0, true, "", 0}, // ahead
		{"\x01a\xc0", 0, true, "", 0},
		{"\x03en", 0, true, "", 0},
		{"\x01a", 0, true, "", 0},
		{"\x41" + strings.Repeat("x", 65) + "\x00", 0, true, "", 0},
		{"\x03a b\x00", 0, true, "", 0},
		{"\x03a.b\x00", 0, true, "", 0},
		{long + "\x00", 0, true, "", 0},
	} {
		name, next, ok := Next([]byte(x.b), x.i, x.pointers)
		if name != x.name || next != x.next || ok != (x.next > 0) {
			t.Errorf("%q at %d: %q, %d, %v", x.b, x.i, name, next, ok)
		}
	}
}

func TestAppend(t *testing.T) {
	got := string(Append([]byte{1}, []string{"a.example.", "", "a..b", strings.Repeat("x", 64), strings.Repeat("x.", 200), "b"}))
	if got != "\x01\x01a\x07example\x00\x01b\x00" {
		t.Errorf("%q", got)
	}
}

// What is read is written so that it reads the same, and reading ends.
func FuzzNext(f *testing.F) {
	f.Add([]byte("\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04"), true)
	f.Fuzz(func(t *testing.T, b []byte, pointers bool) {
		var list []string
		for i := 0; i < len(b); {
			name, next, ok := Next(b, i, pointers)
			if !ok {
				break
			}
			if next <= i || next > len(b) {
				t.Fatalf("from %d to %d of %d", i, next, len(b))
			}
			if name != "" {
				list = append(list, name)
			}
			i = next
		}
		var again []string
		out := Append(nil, list)
		for i := 0; i < len(out); {
			name, next, ok := Next(out, i, false)
			if !ok {
				t.Fatalf("%q became %q", list, out)
			}
			again, i = append(again, name), next
		}
		if !slices.Equal(list, again) {
			t.Errorf("%q came back as %q", list, again)
		}
	})
}
