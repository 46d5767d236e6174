package tlsconn

import (
	"testing"
	"time"
)

// Over real TCP: what goes out, what comes in, and the waiting between. (crypto/tls allocates an object for each record
// that it reads, which is not ours.)
func TestPlainDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool forgets at random under the race detector")
	}
	a, b := tcpPair(t)
	out, in := NewPlain(a), NewPlain(b)
	if !out.Inline() {
		t.Skip("no way here to write a socket without waiting")
	}
	packet, got := random(1400), make([]byte, 64<<10)
	turn := func() {
		if err := out.TryWrite(packet); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(packet); {
			if err := in.Wait(); err != nil {
				t.Fatal(err)
			}
			k, err := in.TryRead(got)
			if err != nil {
				t.Fatal(err)
			}
			n += k
		}
	}
	writable := func() {
		if err := out.WaitWrite(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	for name, f := range map[string]func(){"write, wait, read": turn, "wait for room": writable} {
		f()
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
