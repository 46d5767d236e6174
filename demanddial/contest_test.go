package demanddial

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

// A wire is a call between two Interfaces, whose ends come up when the test says so.
type wire struct {
	caller, called *near
	callerUp       chan struct{}
	calledUp       chan struct{}
}

// A pair is two routers that call each other.
type pair struct {
	t     *testing.T
	a, b  *bench
	mu    sync.Mutex
	wires map[*bench][]*wire // by caller
	hold  bool               // ends come up when the test says so, else at once
	ids   [2]string          // of A's calls, and of B's
	over  context.Context
}

// newPair makes routers whose calls authenticate with the names given: A's own, and B's own.
func newPair(t *testing.T, nameA, nameB string) *pair {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	p := &pair{t: t, wires: map[*bench][]*wire{}, over: ctx}
	p.a = newBench(t, func(i *Interface) { i.User, i.Name = nameA, nameB })
	p.b = newBench(t, func(i *Interface) {
		i.User, i.Name = nameB, nameA
		i.Routes = []Route{{Prefix: seattle}}
	})
	p.a.Interface.Dial = func(ctx context.Context, _ string) (tunnel.Link, error) { return p.call(ctx, p.a, p.b, 0) }
	p.b.Interface.Dial = func(ctx context.Context, _ string) (tunnel.Link, error) { return p.call(ctx, p.b, p.a, 1) }
	p.a.start()
	p.b.start()
	return p
}

func (p *pair) call(ctx context.Context, from, to *bench, n int) (tunnel.Link, error) {
	x, y := tunneltest.Pipe(netip.MustParsePrefix("10.1.0.2/32"), netip.MustParsePrefix("10.2.0.3/32"))
	w := &wire{&near{Link: x, id: p.ids[n]}, &near{Link: y, id: p.ids[n]}, make(chan struct{}), make(chan struct{})}
	p.mu.Lock()
	p.wires[from] = append(p.wires[from], w)
	if !p.hold {
		close(w.callerUp)
		close(w.calledUp)
	}
	p.mu.Unlock()
	go func() {
		select {
		case <-w.calledUp:
			to.Interface.Answer(p.over, w.called)
		case <-p.over.Done():
		}
	}()
	select {
	case <-w.callerUp:
		return w.caller, nil
	case <-ctx.Done():
		w.caller.Close() // the far side sees that, too
		return nil, context.Cause(ctx)
	}
}

// write makes both ends have packets.
func (p *pair) write(n byte) {
	p.a.Interface.Write([][]byte{datagram(here, there, 53, n)}, 0)
	p.b.Interface.Write([][]byte{datagram(there, here, 53, n)}, 0)
	synctest.Wait()
}

// one checks that just one call is left, the same at both ends, and returns who made it.
func (p *pair) one() *bench {
	p.t.Helper()
	synctest.Wait()
	la, lb := p.a.live.Load(), p.b.live.Load()
	if la == nil || lb == nil {
		p.t.Fatalf("A %v, B %v", p.a.Status(), p.b.Status())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var by *bench
	open := 0
	for _, from := range []*bench{p.a, p.b} {
		for _, w := range p.wires[from] {
			if !w.caller.closed() && !w.called.closed() {
				open++
			}
			if la.link == tunnel.Link(w.caller) && lb.link == tunnel.Link(w.called) || lb.link == tunnel.Link(w.caller) && la.link == tunnel.Link(w.called) {
				by = from
			}
		}
	}
	if by == nil || open != 1 {
		p.t.Fatalf("%d calls open, the same at both ends: %v", open, by != nil)
	}
	return by
}

func (b *bench) numbers() (list []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.received {
		list = append(list, p[len(p)-1])
	}
	return list
}

// permutations of n numbers.
func permutations(n int) (all [][]int) {
	if n == 0 {
		return [][]int{nil}
	}
	for _, p := range permutations(n - 1) {
		for at := range n {
			all = append(all, slices.Insert(slices.Clone(p), at, n-1))
		}
	}
	return all
}

// TestBothDialAtOnceInEveryOrder lets the four ends of two crossing calls come up in every order, with and without time
// between: exactly one call is left, the one that the rule says, and every packet arrives once, in order.
func TestBothDialAtOnceInEveryOrder(t *testing.T) {
	for _, names := range []struct {
		a, b   string
		ids    [2]string
		winner byte
	}{
		{"DD_Seattle", "DD_NewYork", [2]string{}, 'b'},
		{"DD_NewYork", "DD_Seattle", [2]string{}, 'a'},
		{`EXAMPLE\dd_a`, "DD_B@example.com", [2]string{"9", "1"}, 'a'},
		{"vpn", "VPN", [2]string{"2", "1"}, 'b'},
		{"vpn", "VPN", [2]string{"1", "2"}, 'a'},
	} {
		for _, order := range permutations(4) {
			for _, pause := range []time.Duration{0, 100 * time.Millisecond, 2 * time.Second, 10 * time.Second} {
				t.Run(fmt.Sprintf("%s %s %v %v", names.a, names.b, order, pause), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						p := newPair(t, names.a, names.b)
						p.hold, p.ids = true, names.ids
						p.write(1)
						p.a.want(Dialing, 0)
						p.b.want(Dialing, 0)
						wa, wb := p.wires[p.a][0], p.wires[p.b][0]
						p.hold = false // whatever is dialled later
						ends := []chan struct{}{wa.callerUp, wa.calledUp, wb.callerUp, wb.calledUp}
						for n, which := range order {
							close(ends[which])
							if pause > 0 {
								sleep(pause)
								p.write(byte(n + 2))
							}
						}
						sleep(20 * time.Second)
						p.write(9)
						by := p.one()
						if want := map[byte]*bench{'a': p.a, 'b': p.b}[names.winner]; by != want && 3*pause < grace {
							t.Errorf("the call of %s is left", by.User)
						}
						want := []byte{1, 2, 3, 4, 5, 9}
						if pause == 0 {
							want = []byte{1, 9}
						}
						for _, end := range []*bench{p.a, p.b} {
							got := end.numbers()
							if pause == 0 && !slices.Equal(got, want) {
								t.Errorf("%s got %v, want %v in this order", end.User, got, want)
							}
							slices.Sort(got) // what is under way by one call may be overtaken by the other
							switch {
							case pause < time.Second && !slices.Equal(got, want):
								t.Errorf("%s got %v, want %v", end.User, got, want)
							case len(slices.Compact(slices.Clone(got))) != len(got) || !slices.Contains(got, 9):
								// A call whose ends come up this far apart may be over at one end when it is up at the other.
								t.Errorf("%s got %v", end.User, got)
							}
						}
					})
				})
			}
		}
	}
}

// TestBothPersistent lets two routers that dial all the time meet again and again.
func TestBothPersistent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, "DD_Seattle", "DD_NewYork")
		p.a.stop()
		p.b.stop()
		p.a.Persistent, p.b.Persistent = true, true
		p.a.start()
		p.b.start()
		for range 50 {
			sleep(2 * time.Minute)
			p.one()
			p.a.live.Load().link.Close() // the line breaks
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if n := len(p.wires[p.a]) + len(p.wires[p.b]); n > 200 {
			t.Errorf("%d calls for 50 breaks", n)
		}
	})
}

// TestFarSideWithoutTheRule has a far side that keeps the call it made, or the one it got, whatever their names.
func TestFarSideWithoutTheRule(t *testing.T) {
	for _, keepsOwn := range []bool{true, false} {
		for _, weWouldKeepOurs := range []bool{true, false} {
			for _, reaction := range []time.Duration{0, time.Second, 2900 * time.Millisecond} {
				t.Run(fmt.Sprintf("keeps own %v, we ours %v, after %v", keepsOwn, weWouldKeepOurs, reaction), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						b := serve(t, func(i *Interface) {
							if weWouldKeepOurs {
								i.Name, i.User = i.User, i.Name
							}
						})
						b.far.delay = 100 * time.Millisecond
						b.write(1)
						sleep(100 * time.Millisecond)
						ours := b.far.last()
						l, theirs, _ := b.answered(t)
						keeps, closes := theirs, ours
						if !keepsOwn {
							keeps, closes = ours, theirs
						}
						sleep(reaction)
						closes.Close()
						sleep(time.Minute)
						b.want(Up, 0)
						if keeps.near.closed() && l.closed() && ours.near.closed() && b.far.count() == 1 {
							t.Error("no link is left")
						}
						sleep(time.Minute)
						b.write(2)
						if b.far.count() == 1 && !slices.Contains(keeps.numbers(), 2) {
							t.Error("packets do not go where the far side listens")
						}
					})
				})
			}
		}
	}
}

// TestWhenBothCallsAreGoneItDialsAgainAtRandom: each end closes the other's call.
func TestWhenBothCallsAreGoneItDialsAgainAtRandom(t *testing.T) {
	pauses := map[time.Duration]bool{}
	for range 20 {
		bubble(t, func(t *testing.T) {
			b := serve(t, nil)
			b.write(1)
			_, theirs, _ := b.answered(t)
			b.far.last().Close()
			theirs.Close()
			ended := time.Now()
			synctest.Wait()
			b.want(Dialing, 0)
			sleep(leastPause - 1)
			if b.far.count() != 1 {
				t.Error("dialled again too soon")
			}
			sleep(mostPause - leastPause + 1)
			b.want(Up, 0)
			pauses[b.far.dials[1].Sub(ended)] = true
		})
	}
	if len(pauses) < 10 {
		t.Errorf("pauses are not at random: %v", pauses)
	}
}

// TestTheLoserOfADialUnderWayIsGivenUp: the far side's call is up, and ours could not stay.
func TestTheLoserOfADialUnderWayIsGivenUp(t *testing.T) {
	for _, wins := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			b := serve(t, func(i *Interface) {
				if wins {
					i.Name, i.User = i.User, i.Name
				}
			})
			b.far.delay = 5 * time.Second
			b.write(1)
			_, e, _ := b.answered(t)
			b.want(Up, 0)
			if got := e.numbers(); !slices.Equal(got, []byte{1}) {
				t.Errorf("%v", got)
			}
			sleep(6 * time.Second)
			if n := len(b.far.ends); (n == 1) != wins {
				t.Errorf("wins %v: %d dials succeeded", wins, n)
			}
			sleep(6 * time.Second)
			if e.near.closed() != wins {
				t.Errorf("wins %v: the far side's call is closed: %v", wins, e.near.closed())
			}
			b.want(Up, 0)
		})
	}
}

func TestAFailedDialBesideAnAnsweredCallIsNoFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.Name, i.User, i.Attempts = i.User, i.Name, 1 })
		b.far.delay = 5 * time.Second
		b.far.set(busy)
		b.write(1)
		_, e, done := b.answered(t)
		sleep(10 * time.Second)
		b.want(Up, 0)
		e.Close()
		<-done
		b.want(Down, 0)
		if err := b.Status().Err; errors.Is(err, errBusy) {
			t.Error(err)
		}
	})
}

func TestAHangUpSomeTimeAfterACrossingIsAHangUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		b.write(1)
		_, theirs, _ := b.answered(t) // stays
		sleep(bothGone)
		b.want(Up, 0)
		theirs.Close()
		sleep(time.Minute)
		b.want(Down, 0)
		if b.far.count() != 1 {
			t.Errorf("%d dials", b.far.count())
		}
	})
}
