package ppp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What comes back is nobody else's for a while, but its user's at once.
func TestPoolRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Pool{Prefixes: prefixes("10.0.0.0/30"), Rest: time.Minute}
		a, b := get(t, p, "alice"), get(t, p, "bob")
		p.Put(a)
		time.Sleep(30 * time.Second)
		p.Put(b)
		if _, err := p.Get(context.Background(), "", "carol"); !errors.Is(err, ErrPoolExhausted) {
			t.Errorf("%v", err)
		}
		if got := get(t, p, "bob"); !slices.Equal(got, b) {
			t.Errorf("bob: %v", got)
		}
		time.Sleep(30*time.Second - 1)
		if _, err := p.Get(context.Background(), "", "carol"); err == nil {
			t.Error("a nanosecond early")
		}
		time.Sleep(time.Nanosecond)
		if got := get(t, p, "carol"); !slices.Equal(got, a) {
			t.Errorf("carol: %v", got)
		}
	})
}

// Who was connected when a process ended has the address to himself for the moments in which both processes run.
func TestPoolRestart(t *testing.T) {
	for _, rest := range []time.Duration{0, 10 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pool")
			open := func() *Pool {
				return &Pool{Prefixes: prefixes("10.0.0.0/29", "2001:db8::/61"), Delegate: prefixes("2001:db8:8::/52"), File: file, Rest: rest}
			}
			old := open()
			var given [][]netip.Prefix
			for i := range 5 {
				given = append(given, get(t, old, fmt.Sprint("user", i)))
			}
			nobody := get(t, old, "")
			old.Put(given[4])

			// The old process ends in good order meanwhile, or was killed.
			fresh := open()
			if n := fresh.Stats().IPv4.Used; n != 0 {
				t.Errorf("%d in use", n)
			}
			if got := get(t, fresh, "carol"); got[0] != given[4][0] {
				t.Errorf("carol: %v, want what had come back: %v", got, given[4])
			}
			if got, err := fresh.Get(context.Background(), "", "dave"); !errors.Is(err, ErrPoolExhausted) {
				t.Errorf("dave: %v, %v", got, err)
			}
			for i, g := range given[:4] {
				if got := get(t, fresh, fmt.Sprint("user", i)); !slices.Equal(got, g) {
					t.Errorf("user%d: %v, want %v", i, got, g)
				}
				fresh.Put(g)
			}
			for i, g := range given[:4] {
				get(t, fresh, fmt.Sprint("user", i))
				old.Put(g)
			}
			old.Put(nobody)
			if s := old.Stats(); s.Unsaved == 0 {
				t.Errorf("the old process still writes: %+v", s)
			}
			time.Sleep(max(rest, restartRest) - 1)
			if got, err := fresh.Get(context.Background(), "", "dave"); err == nil {
				t.Errorf("dave, a nanosecond early: %v", got)
			}
			time.Sleep(time.Nanosecond)
			if got := get(t, fresh, "dave"); got[0] != nobody[0] {
				t.Errorf("dave: %v", got)
			}

			// Killed in the middle of writing anew: what it left is in nobody's way.
			if err := os.WriteFile(file+".new", []byte("10.0.0.1/32 \"eve\" +\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			third := open()
			if got := get(t, third, "dave"); got[0] != nobody[0] {
				t.Errorf("dave, after another: %v", got)
			}
			if _, err := os.Stat(file + ".new"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("left: %v", err)
			}
		})
	}
}

// A file of another kind is not read whole, and not written over.
func TestPoolFileOfAnotherKind(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, maxPoolFile+1); err != nil {
		t.Skip(err)
	}
	if _, err := (&Pool{Prefixes: prefixes("10.0.0.0/24"), File: file}).Get(context.Background(), "", "alice"); err == nil || !strings.Contains(err.Error(), "no state file") {
		t.Errorf("%v", err)
	}
}

// FuzzPoolFile starts pools on any file: what is in it decides who gets what, and never that two get the same, or that
// somebody gets what is not the pool's.
func FuzzPoolFile(f *testing.F) {
	f.Add([]byte("10.0.0.1/32 \"alice\" +\n10.0.0.2/32 \"bob\"\n10.0.0.2/32 \"\" +\n2001:db8::/64 \"alice\"\n2001:db8:8::/56 \"eve\" +\n"))
	f.Add([]byte("10.0.0.3/32 \"alice\"\n10.0.0.3/32 \"\"\n10.0.0.4/32 \"x\" +\n10.0.0.0/32 \"x\"\n192.0.2.1/32 \"x\"\n10.0.0.5/32 \"half"))
	f.Add(append(bytes.Repeat([]byte("x"), maxPoolLine+9), '\n'))
	dir := f.TempDir()
	if shm, err := os.MkdirTemp("/dev/shm", "pool"); err == nil { // where a sync costs nothing
		f.Cleanup(func() { os.RemoveAll(shm) })
		dir = shm
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(dir, fmt.Sprint(os.Getpid()))
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		p := &Pool{
			Prefixes: prefixes("10.0.0.0/29", "2001:db8::/61"), Delegate: prefixes("2001:db8:8::/53"), Exclude: prefixes("10.0.0.4/32"), File: file,
			Fixed: map[string][]netip.Prefix{"fixed": prefixes("10.0.0.6/32")},
		}
		seen := make(map[netip.Prefix]bool)
		for i, user := range []string{"alice", "bob", "", "x", "fixed", "alice", "y", "z"} {
			list, err := p.Get(t.Context(), "", user)
			if err != nil && !errors.Is(err, ErrPoolExhausted) {
				t.Fatal(err)
			}
			for _, a := range list {
				if seen[a] || a.Addr().Is4() && (!prefixes("10.0.0.0/29")[0].Contains(a.Addr()) || a.Addr() == netip.MustParseAddr("10.0.0.4")) ||
					user != "fixed" && a == prefixes("10.0.0.6/32")[0] {
					t.Fatalf("%d, %q: %v", i, user, a)
				}
				seen[a] = true
			}
		}
		// What is written is read as what is there.
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		list, err := readPool(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		used := make(map[netip.Prefix]bool)
		for _, r := range list {
			used[r.addr] = r.used
		}
		for a := range seen {
			if !used[a] && a != prefixes("10.0.0.6/32")[0] {
				t.Fatalf("%v is in use, and the file does not say so:\n%s", a, b)
			}
		}
	})
}
