package radius

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
)

func TestRetransmissionAsRFC5080(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		start := time.Now()
		var at []time.Duration
		var ids []byte
		m.pass = func(from, to netip.AddrPort, b []byte) [][]byte {
			at, ids = append(at, time.Since(start)), append(ids, b[1])
			return nil
		}
		c := lone(m)
		defer c.Close()
		_, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "x"))
		if !errors.Is(err, ErrNoAnswer) || errors.As(err, new(*ppp.AuthError)) {
			t.Errorf("%v", err)
		}
		if d := time.Since(start); d < 25*time.Second || d > mostTime {
			t.Errorf("it took %v", d)
		}
		want := []time.Duration{0, 2, 6, 14, 30}
		for i, d := range at {
			if w := want[i] * time.Second; d < w*9/10 || d > w*11/10 || ids[i] != ids[0] {
				t.Errorf("transmission %d at %v under %d", i, d, ids[i])
			}
		}
		if len(at) < 4 || !c.Stats()[0].Dead {
			t.Errorf("%d transmissions, %+v", len(at), c.Stats()[0])
		}
	})
}

func two(m *mesh) *Client {
	return &Client{Targets: []Target{{Addr: serverA, Secret: testSecret}, {Addr: serverB, Secret: testSecret}}, Dial: m.dial("10.0.0.1")}
}

func TestFailOverAndDeadServerProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		var cut atomic.Bool
		cut.Store(true)
		var probes, toDead atomic.Int32
		m.pass = func(from, to netip.AddrPort, b []byte) [][]byte {
			if to.String() != serverA {
				return [][]byte{b}
			}
			if Code(b[0]) == StatusServer {
				probes.Add(1)
			} else {
				toDead.Add(1)
			}
			if cut.Load() {
				return nil
			}
			return [][]byte{b}
		}
		serve(t, &Server{Clients: anybody.Find, Authenticator: accounts}, m.listen(serverA))
		serve(t, &Server{Clients: anybody.Find, Authenticator: accounts}, m.listen(serverB))
		c := two(m)
		defer c.Close()
		var worst time.Duration
		for range 200 {
			start := time.Now()
			if _, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret")); err != nil {
				t.Fatal(err)
			}
			worst = max(worst, time.Since(start))
			time.Sleep(time.Second)
		}
		if worst < time.Second || worst > passAfter+time.Second/2 {
			t.Errorf("the longest login took %v", worst)
		}
		// Two transmissions before it was dead, and one request on trial.
		if n := toDead.Load(); n > 6 || probes.Load() < 15 || !c.Stats()[0].Dead {
			t.Errorf("%d requests to the dead server, %d probes", n, probes.Load())
		}
		cut.Store(false)
		time.Sleep(probeEvery)
		c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret"))
		synctest.Wait()
		if c.Stats()[0].Dead {
			t.Error("a probe was answered, and the server is still dead")
		}
		before := c.Stats()[0].Replies
		for range 100 {
			c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret"))
		}
		if n := c.Stats()[0].Replies - before; n < 20 || n > 80 {
			t.Errorf("%d of 100 logins went to the first of two", n)
		}
	})
}

func TestWeights(t *testing.T) {
	c := &Client{Targets: []Target{{Addr: serverA, Weight: 9}, {Addr: serverB}}}
	first := 0
	for range 1000 {
		list := c.order(c.servers(false))
		if len(list) != 2 {
			t.Fatalf("%d servers", len(list))
		}
		if list[0].index == 0 {
			first++
		}
	}
	if first < 820 || first > 970 {
		t.Errorf("weight 9 of 10 was first in %d of 1000", first)
	}
}

// 5,000 logins a minute, one server of two dead: none is lost.
func TestNoLoginLostWithOneServerDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		m.pass = func(from, to netip.AddrPort, b []byte) [][]byte {
			if to.String() == serverA {
				return nil
			}
			return [][]byte{b}
		}
		serve(t, &Server{Clients: anybody.Find, Authenticator: passwords}, m.listen(serverB))
		c := two(m)
		defer c.Close()
		var wg sync.WaitGroup
		var lost, slow atomic.Int32
		for range 5000 {
			wg.Go(func() {
				start := time.Now()
				if _, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret")); err != nil {
					lost.Add(1)
				}
				if time.Since(start) > time.Second {
					slow.Add(1)
				}
			})
			time.Sleep(12 * time.Millisecond)
		}
		wg.Wait()
		if lost.Load() != 0 || slow.Load() > 150 {
			t.Errorf("%d logins lost, %d slow", lost.Load(), slow.Load())
		}
		t.Logf("%d of 5000 waited for the dead server", slow.Load())
	})
}

// A server that takes 20 s for one user answers the others, and is not called dead.
func TestSlowUserHurtsOnlyHimself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		_, c := pair(t, &Server{Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			if req.User == "slow" {
				asked++
				time.Sleep(20 * time.Second)
				return new(ppp.Grant), nil
			}
			return passwords.Authenticate(ctx, req)
		})})
		done := make(chan error, 1)
		go func() {
			_, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "slow", "x"))
			done <- err
		}()
		for range 19 {
			time.Sleep(time.Second)
			start := time.Now()
			if _, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret")); err != nil || time.Since(start) > 0 {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		}
		if err := <-done; err != nil || asked != 1 {
			t.Errorf("slow: %v, asked %d times", err, asked)
		}
	})
}

func TestMoreThan256InFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := pair(t, &Server{MaxPending: 2000, Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			time.Sleep(time.Second)
			return passwords.Authenticate(ctx, req)
		})})
		var wg sync.WaitGroup
		var bad atomic.Int32
		for range 1000 {
			wg.Go(func() {
				if _, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret")); err != nil {
					bad.Add(1)
				}
			})
		}
		wg.Wait()
		st := c.Stats()[0]
		if bad.Load() != 0 || st.Resent != 0 || len(c.auth[0].sockets) != 4 {
			t.Errorf("%d failed on %d sockets, %+v", bad.Load(), len(c.auth[0].sockets), st)
		}
	})
}

func TestStateLeadsBackToItsServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		var states [2]atomic.Int32
		for i, addr := range []string{serverA, serverB} {
			fake(t, m, addr, func(p *Packet, b []byte) [][]byte {
				v, ok := p.Get(State)
				if ok && string(v) != addr {
					states[i].Add(1000)
				}
				if ok {
					states[i].Add(1)
				}
				return [][]byte{reply(t, p, AccessChallenge, true, testSecret, func(r *Packet) { r.addText(State, addr) })}
			})
		}
		c := two(m)
		defer c.Close()
		for range 40 {
			p := &Packet{Code: AccessRequest}
			p.addText(UserPassword, "x")
			r, err := c.Exchange(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				v, _ := r.Get(State)
				q := &Packet{Code: AccessRequest}
				q.Add(State, v)
				if r, err = c.Exchange(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
		}
		if a, b := states[0].Load(), states[1].Load(); a+b != 120 || a == 0 || b == 0 {
			t.Errorf("%d and %d requests with a State of their own", a, b)
		}
	})
}

func TestCloseEndsExchangesAndOpensAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := pair(t, &Server{Authenticator: passwords})
		m.mu.Lock()
		m.pass = func(from, to netip.AddrPort, b []byte) [][]byte { return nil }
		m.mu.Unlock()
		done := make(chan error, 1)
		go func() {
			_, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret"))
			done <- err
		}()
		time.Sleep(time.Second)
		c.Close()
		if err := <-done; err == nil {
			t.Error("no error")
		}
		m.mu.Lock()
		m.pass = nil
		m.mu.Unlock()
		if _, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret")); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		if _, err := (&Client{}).Authenticate(ctx, ask(t, ppp.PAP, "alice", "secret")); !errors.Is(err, errNoTargets) {
			t.Errorf("without Targets: %v", err)
		}
	})
}

// Two servers, the first with a temper: who else is asked, and when the login is through.
func TestHedge(t *testing.T) {
	const slowly = 20 * time.Second
	for name, x := range map[string]struct {
		slow, status, others bool  // the first is slow with the login; it answers Status-Server, and others
		lose                 int32 // of the datagrams to it
		took                 time.Duration
		second               int32 // logins that the other one is asked for
		dead                 bool
	}{
		"it answers":                        {took: 0},
		"a request is lost":                 {lose: 1, status: true, took: firstWait},
		"requests and the probe are lost":   {lose: 3, status: true, took: passAfter, second: 1, dead: true},
		"it is dead":                        {lose: 1000, took: passAfter, second: 1, dead: true},
		"slow, and without Status-Server":   {slow: true, took: passAfter, second: 1, dead: true},
		"slow, and answers Status-Server":   {slow: true, status: true, took: 6 * time.Second, second: 1},
		"slow with one, and answers others": {slow: true, others: true, took: 6 * time.Second, second: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMesh()
				var sent atomic.Int32
				m.pass = func(from, to netip.AddrPort, b []byte) [][]byte {
					if to.String() != serverA {
						return [][]byte{b}
					}
					if sent.Add(1) <= x.lose {
						return nil
					}
					if Code(b[0]) == StatusServer && !x.status {
						return nil
					}
					return [][]byte{b}
				}
				var asked [2]atomic.Int32
				for i, addr := range []string{serverA, serverB} {
					serve(t, &Server{Clients: anybody.Find, Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
						asked[i].Add(1)
						if x.slow && i == 0 && req.User == "alice" {
							select {
							case <-time.After(slowly):
							case <-ctx.Done():
							}
						}
						return &ppp.Grant{User: req.User}, nil
					})}, m.listen(addr))
				}
				c := two(m)
				c.Targets[0].Weight = 1 << 30 // first
				defer c.Close()
				if x.others {
					stop, done := make(chan struct{}), make(chan struct{})
					go func() {
						defer close(done)
						for {
							select {
							case <-stop:
								return
							case <-time.After(time.Second / 3):
								c.Exchange(t.Context(), named("bob"))
							}
						}
					}()
					defer func() { close(stop); <-done }()
				}
				start := time.Now()
				if _, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret")); err != nil {
					t.Fatal(err)
				}
				took := time.Since(start)
				if took < x.took*9/10 || took > x.took*11/10 {
					t.Errorf("it took %v, want %v", took, x.took)
				}
				if n := asked[1].Load(); n != x.second {
					t.Errorf("the second was asked %d times", n)
				}
				if dead := c.Stats()[0].Dead; dead != x.dead {
					t.Errorf("dead: %v", dead)
				}
			})
		})
	}
}
