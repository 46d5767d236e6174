package interop

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/radius"
)

// TestLoginsWithOneServerDead sends 5,000 logins over loopback within 12 seconds, five times the 5,000 a minute that are
// promised, to a FreeRADIUS and to a server that takes all and answers nothing. None may be lost. The sockets are the
// kernel's, the time is real.
func TestLoginsWithOneServerDead(t *testing.T) {
	t.Parallel()
	const (
		logins = 5000
		pace   = 12 * time.Second / logins
	)
	ns := netns.New(t)
	f := NewFreeRADIUS(t, ns, 1812)
	f.Users = aliceInFreeRADIUS
	f.Start()
	defer listenUDP(t, ns, "127.0.0.1:1822").Close() // nobody reads
	c := client(t, f)
	c.Targets = append(c.Targets, radius.Target{Addr: "127.0.0.1:1822", Secret: radius.Secret(f.Secret)})

	took := make([]time.Duration, logins)
	var mu sync.Mutex
	var wrong []error
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range logins {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * pace)))
		wg.Go(func() {
			start := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
			defer cancel()
			req := &ppp.AuthRequest{Call: &ppp.Call{ID: fmt.Sprint(i)}, Protocol: ppp.PAP, User: "alice", Password: "secret"}
			g, err := c.Authenticate(ctx, req)
			took[i] = time.Since(start)
			if err != nil || g.Addr.String() != "10.8.0.77" {
				mu.Lock()
				defer mu.Unlock()
				wrong = append(wrong, fmt.Errorf("login %d after %v: %w", i, took[i], err))
			}
		})
	}
	sent := time.Since(begin)
	wg.Wait()
	all := time.Since(begin)
	slices.Sort(took)
	st := c.Stats()
	t.Logf("%d logins sent in %v (%.0f a minute), decided after %v; half within %v, 99 of 100 within %v, the last after %v; resent to the living %d, to the dead %d",
		logins, sent.Round(time.Millisecond), logins/sent.Minutes(), all.Round(time.Millisecond),
		took[logins/2].Round(time.Microsecond), took[logins*99/100].Round(time.Millisecond), took[logins-1].Round(time.Millisecond), st[0].Resent, st[1].Resent)
	for i, err := range wrong {
		if i < 5 {
			t.Error(err)
		}
	}
	if len(wrong) > 0 {
		t.Errorf("%d of %d logins were lost", len(wrong), logins)
	}
	if !st[1].Dead || st[0].Dead {
		t.Errorf("the Client takes another server for dead: %+v", st)
	}
	if last := took[logins-1]; last > 20*time.Second {
		t.Errorf("one took %v", last)
	}
}
