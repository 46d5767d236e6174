package demanddial

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata"

	"github.com/dialway/dialway/internal/hours"
)

func office(t *testing.T) func(time.Time) bool {
	t.Helper()
	h, err := hours.Parse("Mon-Fri 08:00-18:00 UTC")
	if err != nil {
		t.Fatal(err)
	}
	return h.Contains
}

// at moves the bubble's clock, which begins on Saturday, 1 January 2000, to a time of the week that follows.
func at(t *testing.T, clock string) {
	t.Helper()
	x, err := time.Parse("2006-01-02 15:04", "2000-01-"+clock)
	if err != nil || x.Before(time.Now()) {
		t.Fatal(err, clock)
	}
	sleep(time.Until(x))
}

func TestOutOfHoursIsUnreachableFromEdgeToEdge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.Hours = office(t); i.IdleTimeout = -1 })
		b.want(Unreachable, OutOfHours)
		if st := b.Status(); st.Next.UTC().Format("02 15:04") != "03 08:00" {
			t.Errorf("next is %v", st.Next)
		}
		b.write(1)
		if _, n := b.counts(); n != 1 || b.far.count() != 0 {
			t.Errorf("%d answered by ICMP, %d dials", n, b.far.count())
		}
		at(t, "03 07:59")
		b.want(Unreachable, OutOfHours)
		at(t, "03 08:00")
		b.want(Down, 0)
		b.write(2)
		b.want(Up, 0)
		at(t, "03 19:00") // a call goes on
		b.want(Up, 0)
		b.Disconnect()
		b.want(Unreachable, OutOfHours)
		at(t, "04 08:00")
		b.want(Down, 0)
		at(t, "04 18:00")
		b.want(Unreachable, OutOfHours)
		if next := b.Status().Next; next.UTC().Format("02 15:04") != "05 08:00" {
			t.Errorf("next is %v", next)
		}
	})
}

func TestHoursCutEndsWhatWasDialledAndNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.Hours, i.HoursCut, i.Persistent = office(t), true, true })
		b.want(Unreachable, OutOfHours)
		at(t, "03 08:00")
		b.want(Up, 0)
		at(t, "03 17:59")
		b.want(Up, 0)
		at(t, "03 18:00")
		b.want(Unreachable, OutOfHours)
		sleep(time.Minute)
		_, e, done := b.answered(t)
		b.want(Up, 0)
		at(t, "05 18:00") // the far side's call is the far side's
		b.want(Up, 0)
		e.Close()
		<-done
		b.want(Unreachable, OutOfHours)
		go b.Connect(t.Context())
		b.want(Up, 0)
		at(t, "06 07:00") // by hand, out of hours: only the next end ends it
		b.want(Up, 0)
		at(t, "06 18:00")
		b.want(Unreachable, OutOfHours)
	})
}

func TestHoursEndWhileDialling(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.Hours = office(t) })
		at(t, "03 17:59")
		b.far.set(busy)
		b.write(1)
		sleep(50 * time.Second)
		b.want(Unreachable, DialFailed)
		b.far.set(nil)
		sleep(20 * time.Minute)
		b.want(Unreachable, OutOfHours)
		at(t, "04 17:59")
		b.far.delay = time.Hour
		b.write(1)
		b.want(Dialing, 0)
		sleep(59 * time.Second)
		b.want(Dialing, 0)
		sleep(time.Second)
		b.want(Unreachable, OutOfHours)
		if _, n := b.counts(); n != 2 {
			t.Errorf("%d answered by ICMP", n)
		}
	})
}

func TestHoursFollowTheZonesClock(t *testing.T) {
	h, err := hours.Parse("Sun 01:30-03:30 Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.Hours = h.Contains })
		edges := func(day string) (list []string) {
			x, err := time.Parse("2006-01-02", day)
			if err != nil {
				t.Fatal(err)
			}
			sleep(time.Until(x))
			for st := b.Status().State; time.Now().Before(x.Add(6 * time.Hour)); sleep(time.Minute) {
				if now := b.Status().State; now != st {
					st = now
					list = append(list, time.Now().UTC().Format("15:04"))
				}
			}
			return list
		}
		// Clocks go forward at 01:00 UTC on 26 March 2000, and back on 29 October.
		if got := edges("2000-03-26"); !slices.Equal(got, []string{"00:30", "01:30"}) {
			t.Errorf("in March: %v", got)
		}
		if got := edges("2000-04-02"); !slices.Equal(got, []string{"01:30"}) && !slices.Equal(got, []string{"00:00", "01:30"}) {
			t.Errorf("in April: %v", got)
		}
		if got := edges("2000-10-29"); !slices.Equal(got, []string{"02:30"}) { // from 23:30 on
			t.Errorf("in October: %v", got)
		}
	})
}

func TestConnectOverridesHoursAndLockOutButNotDisabled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.Hours = office(t); i.Attempts = 1 })
		b.far.set(busy)
		if err := b.Connect(t.Context()); !errors.Is(err, errBusy) {
			t.Error(err)
		}
		b.want(Unreachable, DialFailed|OutOfHours)
		b.far.set(nil)
		b.far.delay = time.Second
		connected := make(chan error, 2)
		for range 2 {
			go func() { connected <- b.Connect(t.Context()) }()
		}
		b.want(Dialing, 0)
		for range 2 {
			if err := <-connected; err != nil {
				t.Error(err)
			}
		}
		b.want(Up, 0)
		if st := b.Status(); st.ByHand != DialFailed|OutOfHours || st.Dials != 2 {
			t.Errorf("overrode %v, %d dials", st.ByHand, st.Dials)
		}
		if err := b.Connect(t.Context()); err != nil {
			t.Error(err)
		}
		b.Enable(false)
		b.want(Unreachable, Disabled|OutOfHours)
		var u *UnreachableError
		if err := b.Connect(t.Context()); !errors.As(err, &u) || u.Reasons != Disabled {
			t.Error(err)
		}
		b.Enable(true)
		b.want(Unreachable, OutOfHours)
		b.suspend(true)
		if err := b.Connect(t.Context()); !errors.As(err, &u) || u.Reasons != Paused {
			t.Error(err)
		}
		b.want(Unreachable, OutOfHours|Paused)
	})
}

func TestConnectWaitsForSeveralAttemptsAndItsContextBoundsOnlyTheWaiting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		b.far.set(func(n int, _ string) error {
			if n < 2 {
				return errBusy
			}
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := b.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		began := time.Now()
		if err := b.Connect(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != 10*time.Second { // dialled at once, and then after one pause
			t.Errorf("took %v", d)
		}
		b.want(Up, 0)
	})
}

func TestConnectOfWhatOnlyAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.Dial = nil })
		if err := b.Connect(t.Context()); err == nil {
			t.Error("connected")
		}
		synctest.Wait()
		if st := b.Status(); st.State != Down || b.routed() {
			t.Errorf("%v, routed %v", st.State, b.routed())
		}
		b.write(1)
		if _, n := b.counts(); n != 1 {
			t.Errorf("%d answered by ICMP", n)
		}
		_, e, done := b.answered(t)
		b.want(Up, 0)
		e.Close()
		<-done
		synctest.Wait()
		if b.routed() {
			t.Error("routed to what cannot dial")
		}
	})
}

func TestDisconnectOfAPersistentInterfaceStaysUntilConnect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.Persistent = true })
		b.want(Up, 0)
		b.Disconnect()
		b.want(Unreachable, Paused)
		sleep(24 * time.Hour)
		b.write(1)
		b.want(Unreachable, Paused)
		if err := b.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.want(Up, 0)
		if st := b.Status(); st.ByHand != Paused || b.far.count() != 2 {
			t.Errorf("%v, %d dials", st.ByHand, b.far.count())
		}
		b.Disconnect()
		b.Redial()
		b.want(Unreachable, Paused)
		_, _, _ = b.answered(t)
		b.want(Up, 0)
	})
}

func TestDisconnectWhileDialling(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		b.far.delay = time.Hour
		connected := make(chan error, 1)
		go func() { connected <- b.Connect(t.Context()) }()
		b.write(1)
		b.want(Dialing, 0)
		b.Disconnect()
		b.want(Down, 0)
		if err := <-connected; !errors.Is(err, errHungUp) {
			t.Error(err)
		}
		if _, n := b.counts(); n != 1 {
			t.Errorf("%d answered by ICMP", n)
		}
		// The next demand has all its attempts.
		b.far.delay = 0
		b.far.set(busy)
		b.write(2)
		sleep(15 * time.Second)
		b.want(Dialing, 0)
		b.Disconnect()
		b.want(Down, 0)
		before := b.far.count()
		b.write(3)
		sleep(time.Minute)
		b.want(Unreachable, DialFailed)
		if n := b.far.count() - before; n != defaultTries {
			t.Errorf("%d attempts after a Disconnect", n)
		}
	})
}

func TestEnable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t, func(i *Interface) { i.Disabled, i.Attempts = true, 1 })
		if st := b.Status(); st.State != Unreachable || st.Reasons != Disabled {
			t.Errorf("before Serve: %+v", st)
		}
		b.start()
		b.want(Unreachable, Disabled)
		b.write(1)
		l, _ := newLink("")
		var u *UnreachableError
		if err := b.Answer(t.Context(), l); !errors.As(err, &u) || u.Reasons != Disabled || !l.closed() {
			t.Error(err)
		}
		b.Enable(true)
		b.want(Down, 0)
		b.far.set(busy)
		b.write(1)
		b.want(Unreachable, DialFailed)
		b.Enable(false)
		b.want(Unreachable, DialFailed|Disabled)
		b.Enable(true) // forgets
		b.want(Down, 0)
		b.far.set(nil)
		b.write(1)
		b.want(Up, 0)
		b.Enable(false)
		b.want(Unreachable, Disabled)
		<-b.far.last().over
	})
}

func TestRedialDropsTheLinkAndForgetsBackoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		b.Redial()
		b.want(Down, 0)
		b.write(1)
		first := b.far.last()
		b.Redial()
		b.want(Up, 0)
		<-first.over
		if b.far.count() != 2 {
			t.Errorf("%d dials", b.far.count())
		}
		b.Disconnect()
		b.want(Down, 0)
		b.far.set(busy)
		b.write(2)
		b.want(Dialing, 0)
		b.far.set(nil)
		b.Redial() // does not wait for the back-off
		b.want(Up, 0)
		if got := b.far.last().numbers(); !slices.Equal(got, []byte{2}) {
			t.Errorf("%v", got)
		}
	})
}

func TestUpRunsBeforePacketsFlow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fail := false
		b := serve(t, func(i *Interface) {
			i.Attempts = 1
			i.Up = func(ctx context.Context, l linkType) error {
				select {
				case <-time.After(2 * time.Second):
				case <-ctx.Done():
					return ctx.Err()
				}
				if fail {
					return errBusy
				}
				return nil
			}
		})
		b.write(1)
		b.want(Dialing, 0)
		if got := b.far.last().numbers(); len(got) != 0 {
			t.Errorf("%v flowed before Up", got)
		}
		b.far.last().send(datagram(there, here, 1, 1))
		synctest.Wait()
		if n, _ := b.counts(); n != 0 {
			t.Error("a packet came in before Up")
		}
		sleep(2 * time.Second)
		b.want(Up, 0)
		if n, _ := b.counts(); n != 1 || len(b.far.last().numbers()) != 1 {
			t.Errorf("%d in, %v out", n, b.far.last().numbers())
		}
		b.Disconnect()
		b.want(Down, 0)
		fail = true
		b.write(2)
		sleep(2 * time.Second)
		b.want(Unreachable, DialFailed)
		if !errors.Is(b.Status().Err, errBusy) {
			t.Error(b.Status().Err)
		}
		<-b.far.last().over
	})
}

func TestWatchYieldsTheLatest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var seen []State
		done := make(chan struct{})
		go func() {
			defer close(done)
			for st := range b.Watch(ctx) {
				seen = append(seen, st.State)
			}
		}()
		synctest.Wait()
		b.far.delay = time.Second
		b.write(1)
		sleep(time.Second)
		b.Disconnect()
		synctest.Wait()
		cancel()
		<-done
		if !slices.Equal(seen, []State{Down, Dialing, Up, Down}) {
			t.Errorf("%v", seen)
		}
	})
}
