package dhcpinform

import (
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A pool whose process was killed asks for what it had; what was in use is its users' alone for half a minute. The old
// process, should it still run, returns nothing.
func TestLeasesSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "leases")
		old := &LeasePool{Block: 4, File: file}
		s := leaseHost(t, old)
		own, _ := old.Own(t.Context())
		a, b, c := lease1(t, old, "alice"), lease1(t, old, "bob"), lease1(t, old, "")
		old.Put(single(b))
		time.Sleep(2 * time.Second) // a second after the change it is saved
		if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", fi, err)
		}
		s.take()

		fresh := &LeasePool{Block: 4, Max: 4, File: file, Wait: time.Minute}
		s2 := leaseHost(t, fresh, func(x *leaseServer) { x.held, x.next = maps.Clone(s.held), s.next })
		if got, _ := fresh.Own(t.Context()); got != own {
			t.Errorf("own: %v, had %v", got, own)
		}
		synctest.Wait()
		for _, h := range s2.take() {
			if _, named := h.m.option(optServer); h.kind != typeRequest || named || !h.m.ciaddr().IsUnspecified() || !h.m.broadcast() {
				t.Errorf("%d: %x", h.kind, h.m) // RFC 2131 section 4.3.2, INIT-REBOOT
			}
		}
		if x := fresh.Stats(); x.Leased != 4 || x.Used != 0 {
			t.Errorf("%+v", x)
		}
		if _, err := fresh.Claim(t.Context(), "", "dave", a); !errors.Is(err, ErrNoLease) {
			t.Errorf("what alice may still have: %v", err)
		}
		if got := lease1(t, fresh, "dave"); got != b {
			t.Errorf("dave: %v, want what was free: %v", got, b)
		}
		if got := lease1(t, fresh, "Alice"); got != a {
			t.Errorf("alice: %v, had %v", got, a)
		}
		began := time.Now()
		if got := lease1(t, fresh, "eve"); got != c || time.Since(began) < keptTime-3*time.Second {
			t.Errorf("eve: %v after %v", got, time.Since(began))
		}
		s.stop()
		if n := s.count(typeRelease); n != 0 {
			t.Errorf("the old process has returned %d leases of the new one", n)
		}
		s2.stop()
		if n := s2.count(typeRelease); n != 4 {
			t.Errorf("%d returned", n)
		}
	})
}

// After a restart a server's no is heeded, and where none answers what is remembered is used until its end.
func TestRememberedLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "leases")
		old := &LeasePool{Block: 2, File: file}
		leaseHost(t, old)
		a := lease1(t, old, "alice")
		old.Put(single(a))
		time.Sleep(2 * time.Second)

		p := &LeasePool{Block: 2, File: file}
		s2 := leaseHost(t, p) // has never heard of it
		if got := lease1(t, p, "alice"); got.IsValid() && p.Stats().NAKs != 2 {
			t.Errorf("%v, %+v", got, p.Stats())
		}
		s2.set(func() { s2.silent = true })
		time.Sleep(2 * time.Second)

		var lost atomic.Int32
		p3 := &LeasePool{Block: 2, File: file, Wait: 10 * time.Minute, Lost: func(netip.Addr, error) { lost.Add(1) }}
		began := time.Now()
		leaseHost(t, p3, func(x *leaseServer) { x.silent = true })
		if got := lease1(t, p3, "alice"); !got.IsValid() || time.Since(began) > 70*time.Second {
			t.Errorf("%v after %v", got, time.Since(began))
		}
		time.Sleep(time.Hour)
		if n := lost.Load(); n != 2 {
			t.Errorf("%d lost", n)
		}
	})
}

func TestLeaseFileThatIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		big := filepath.Join(dir, "big")
		if err := os.WriteFile(big, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(big, maxLeaseFile+1); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{big, dir} {
			p := &LeasePool{Addr: adr("192.0.2.2"), File: file}
			began := time.Now()
			_, getErr := p.Get(t.Context(), "", "alice")
			_, ownErr := p.Own(t.Context())
			if err := p.Serve(t.Context(), newWire()); err == nil || getErr == nil || ownErr == nil || time.Since(began) != 0 {
				t.Errorf("%s is taken: %v, %v, %v", file, err, getErr, ownErr)
			}
		}
		// One that can no longer be written is told, and the pool goes on.
		sub := filepath.Join(dir, "sub")
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		p := &LeasePool{Block: 2, File: filepath.Join(sub, "leases")}
		leaseHost(t, p)
		if _, err := p.Own(t.Context()); err != nil {
			t.Fatal(err)
		}
		os.RemoveAll(sub)
		lease1(t, p, "alice")
		time.Sleep(5 * time.Second)
		if p.Stats().Unsaved == 0 {
			t.Error("it is not counted")
		}
		os.Mkdir(sub, 0o700)
		time.Sleep(2 * time.Second)
		if _, err := os.Stat(p.File); err != nil {
			t.Error(err)
		}
	})
}

// FuzzLeaseFile starts pools on any file.
func FuzzLeaseFile(f *testing.F) {
	f.Add([]byte(`{"slot":1,"addr":"192.0.2.10","server":"192.0.2.1","from":"192.0.2.1:67","ends":"2000-01-01T01:00:00Z","user":"alice","used":true}
{"slot":0,"addr":"192.0.2.11","server":"192.0.2.1","from":"","ends":"0001-01-01T00:00:00Z"}
{"slot":-1}
{"slot":3,"addr":"192.0.2.10","server":"192.0.2.1","from":"192.0.2.1:67","ends":"2000-01-01T01:00:00Z"}
`))
	f.Add([]byte("{\n[]\nnull\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		synctest.Test(t, func(t *testing.T) {
			file := filepath.Join(dir, "leases")
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			p := &LeasePool{Block: 4, Max: 40, File: file, Wait: time.Hour}
			leaseHost(t, p)
			own, err := p.Own(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			seen := map[netip.Addr]bool{own: true}
			for _, u := range []string{"alice", "", "bob", "alice", "", "", "x"} {
				got, err := p.Get(t.Context(), "", u)
				if err != nil && !errors.Is(err, ErrNoLease) {
					t.Fatal(err)
				}
				for _, a := range got {
					if seen[a.Addr()] {
						t.Fatalf("%v twice", a)
					}
					seen[a.Addr()] = true
				}
			}
		})
	})
}
