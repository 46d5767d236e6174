package demanddial

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/tunnel"
)

func TestFirstPacketDialsAndIsDelivered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		b.want(Down, 0)
		b.far.delay = 2 * time.Second
		b.write(1, 2)
		b.want(Dialing, 0)
		sleep(time.Second)
		b.write(3)
		sleep(time.Second)
		b.want(Up, 0)
		b.write(4)
		if got := b.far.last().numbers(); !slices.Equal(got, []byte{1, 2, 3, 4}) {
			t.Errorf("delivered %v", got)
		}
		if b.far.count() != 1 {
			t.Errorf("%d dials", b.far.count())
		}
		b.far.last().send(datagram(there, here, 53, 9))
		synctest.Wait()
		if n, _ := b.counts(); n != 1 {
			t.Errorf("%d packets came in", n)
		}
		st := b.Status()
		if st.Dials != 1 || st.Held != 3 || st.TxPackets != 4 || st.RxPackets != 1 || st.TxBytes != 4*29 || st.RxBytes != 29 {
			t.Errorf("%+v", st.Counters)
		}
		if !slices.Contains(b.far.last().near.expect, newYork) {
			t.Errorf("the link expects %v", b.far.last().near.expect)
		}
	})
}

func TestIdleHangsUpAndTheNextPacketDials(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		b.write(1)
		b.want(Up, 0)
		for range 3 {
			sleep(4 * time.Minute)
			b.write(2)
		}
		sleep(4 * time.Minute)
		b.far.last().send(datagram(there, here, 53, 9)) // what comes in counts as well
		sleep(5*time.Minute - 1)
		b.want(Up, 0)
		sleep(1)
		b.want(Down, 0)
		if e := b.Status().Err; e != nil {
			t.Errorf("being idle is no error: %v", e)
		}
		<-b.far.last().over
		sleep(time.Hour)
		if b.far.count() != 1 {
			t.Errorf("%d dials", b.far.count())
		}
		b.write(3)
		b.want(Up, 0)
		if b.far.count() != 2 {
			t.Errorf("%d dials", b.far.count())
		}
	})
}

func TestIdleTimeOutNegativeIsNever(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.IdleTimeout = -1 })
		b.write(1)
		sleep(24 * time.Hour)
		b.want(Up, 0)
	})
}

func TestOnlyDemandCountsAsUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) {
			i.Demand = func(p []byte) bool { return p[len(p)-1] < 100 }
			i.IdleTimeout = time.Minute
		})
		b.write(200)
		b.want(Down, 0)
		if st := b.Status(); st.Filtered != 1 || b.far.count() != 0 {
			t.Errorf("%+v", st.Counters)
		}
		b.write(1)
		b.want(Up, 0)
		sleep(50 * time.Second)
		b.write(201) // passes, but does not count
		sleep(10 * time.Second)
		b.want(Down, 0)
		if got := b.far.last().numbers(); !slices.Equal(got, []byte{1, 201}) {
			t.Errorf("%v", got)
		}
	})
}

func TestFailedDialIsTriedAgainAndThenLocksOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		b.far.set(busy)
		began := time.Now()
		b.write(1)
		b.want(Dialing, 0)
		sleep(10 * time.Second) // second attempt
		b.want(Dialing, 0)
		sleep(20*time.Second - 1)
		if _, n := b.counts(); n != 0 {
			t.Errorf("%d answered by ICMP early", n)
		}
		sleep(1) // third; and the packet is 30 s old
		b.want(Unreachable, DialFailed)
		if _, n := b.counts(); n != 1 {
			t.Errorf("%d answered by ICMP", n)
		}
		st := b.Status()
		if !errors.Is(st.Err, errBusy) || st.Failed != 3 || !st.Next.Equal(began.Add(30*time.Second+10*time.Minute)) {
			t.Errorf("%+v", st)
		}
		b.write(2) // somebody who does not ask the table
		if _, n := b.counts(); n != 2 || b.far.count() != 3 {
			t.Errorf("%d answered by ICMP, %d dials", n, b.far.count())
		}
		sleep(10*time.Minute - 1)
		b.want(Unreachable, DialFailed)
		sleep(1)
		b.want(Down, 0) // and nothing is dialled by itself
		sleep(time.Hour)
		if b.far.count() != 3 {
			t.Errorf("%d dials", b.far.count())
		}
		b.far.set(nil)
		b.write(3)
		b.want(Up, 0)
	})
}

func TestLockOutGrowsByTenMinutesUpToSixHours(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.Attempts = 1 })
		b.far.set(busy)
		for n := 1; n <= 40; n++ {
			b.write(1)
			want := min(time.Duration(n)*10*time.Minute, 6*time.Hour)
			b.want(Unreachable, DialFailed)
			sleep(want - 1)
			b.want(Unreachable, DialFailed)
			sleep(1)
			b.want(Down, 0)
		}
		b.far.set(nil)
		b.write(1)
		b.want(Up, 0)
		b.Disconnect()
		b.want(Down, 0)
		b.far.set(busy)
		b.write(1)
		sleep(10 * time.Minute)
		b.want(Down, 0) // success has begun anew
	})
}

func TestRefusedForGoodIsNotTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) {
			i.To = []string{"a", "b"}
			i.LockOut = [2]time.Duration{time.Second, time.Second}
		})
		b.far.set(func(int, string) error { return refusedForGood{errBusy} })
		b.write(1)
		b.want(Unreachable, DialFailed)
		sleep(10*time.Minute - 1)
		b.write(2)
		b.want(Unreachable, DialFailed)
		if b.far.count() != 1 {
			t.Errorf("%d dials", b.far.count())
		}
	})
	bubble(t, func(t *testing.T) {
		b := newBench(t, func(i *Interface) { i.Persistent = true })
		b.far.set(func(int, string) error { return refusedForGood{errBusy} })
		b.start()
		b.want(Unreachable, DialFailed)
		sleep(48 * time.Hour)
		if b.far.count() != 1 {
			t.Errorf("%d dials", b.far.count())
		}
	})
}

func TestPersistentDialsAtOnceAndAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.Persistent = true; i.IdleTimeout = time.Second })
		b.want(Up, 0)
		sleep(time.Hour)
		b.want(Up, 0) // is never idle
		b.far.last().Close()
		synctest.Wait()
		b.want(Dialing, 0)
		b.write(1)
		sleep(mostPause)
		b.want(Up, 0)
		if got := b.far.last().numbers(); !slices.Equal(got, []byte{1}) {
			t.Errorf("%v", got)
		}
		// A link that ends soon is not dialled as fast again.
		for n := 1; n < 4; n++ {
			before := b.far.count()
			b.far.last().Close()
			synctest.Wait()
			d := b.backoff(n)
			sleep(d - d/5 - 1)
			if b.far.count() != before {
				t.Errorf("end %d: dialled again too soon", n)
			}
			sleep(2*d/5 + 2)
			b.want(Up, 0)
		}
	})
}

func TestPersistentBackoffHasJitterAndNoLockOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t, func(i *Interface) { i.Persistent = true })
		b.far.set(busy)
		b.start()
		b.want(Unreachable, DialFailed)
		sleep(3 * time.Hour)
		dials := b.far.dials
		for n := 1; n < len(dials); n++ {
			d := b.backoff(n)
			if got := dials[n].Sub(dials[n-1]); got < d-d/5 || got > d+d/5 {
				t.Errorf("pause %d was %v, want about %v", n, got, d)
			}
		}
		if len(dials) < 25 {
			t.Errorf("only %d dials", len(dials))
		}
		b.far.set(nil)
		sleep(6 * time.Minute)
		b.want(Up, 0)
	})
}

func TestPersistentWithLockOutDialsByItselfWhenItIsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t, func(i *Interface) {
			i.Persistent = true
			i.Attempts = 1
			i.LockOut = [2]time.Duration{time.Minute, 3 * time.Minute}
		})
		b.far.set(busy)
		b.start()
		b.want(Unreachable, DialFailed)
		for n, d := range []time.Duration{1, 2, 3, 3} {
			sleep(d*time.Minute - 1)
			if b.far.count() != n+1 {
				t.Errorf("%d dials after %d", b.far.count(), n+1)
			}
			sleep(1)
			if b.far.count() != n+2 {
				t.Errorf("%d dials", b.far.count())
			}
		}
	})
}

func TestDestinationsAreTriedInOrderAndTheOneThatWorkedIsFirst(t *testing.T) {
	for _, keep := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			b := serve(t, func(i *Interface) { i.To = []string{"a", "b", "c"}; i.KeepOrder = keep })
			b.far.set(func(_ int, to string) error {
				if to == "a" {
					return errBusy
				}
				return nil
			})
			b.write(1)
			if st := b.Status(); st.State != Up || st.Peer != "b" {
				t.Errorf("%+v", st)
			}
			b.Disconnect()
			b.want(Down, 0)
			b.write(1)
			want := []string{"a", "b", "b"}
			if keep {
				want = []string{"a", "b", "a", "b"}
			}
			if !slices.Equal(b.far.to, want) {
				t.Errorf("dialled %v, want %v", b.far.to, want)
			}
		})
	}
}

func TestAttemptsAreCounted(t *testing.T) {
	for _, c := range []struct{ attempts, dials int }{{1, 1}, {0, 3}, {5, 5}} {
		bubble(t, func(t *testing.T) {
			b := serve(t, func(i *Interface) {
				i.Attempts = c.attempts
				i.Backoff = func(n int) time.Duration { return time.Duration(n) * time.Second }
			})
			b.far.set(busy)
			b.write(1)
			sleep(time.Minute)
			b.want(Unreachable, DialFailed)
			if b.far.count() != c.dials {
				t.Errorf("%d attempts: %d dials", c.attempts, b.far.count())
			}
		})
	}
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.Attempts = -1; i.Backoff = func(int) time.Duration { return time.Second } })
		b.far.set(busy)
		b.write(1)
		sleep(time.Hour)
		b.want(Dialing, 0)
		if b.far.count() != 3601 {
			t.Errorf("%d dials", b.far.count())
		}
	})
}

func TestOneCallOfDialHasATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.Attempts = 1; i.Timeout = 20 * time.Second })
		b.far.delay = time.Hour
		b.write(1)
		sleep(20 * time.Second)
		b.want(Unreachable, DialFailed)
		if err := b.Status().Err; !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestHeldPacketsAreBoundedInBytesAndAge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) {
			i.Hold = 3 * 29
			i.HoldFor = 5 * time.Second
			i.Timeout = time.Hour
		})
		b.far.delay = 11 * time.Second
		b.write(1)
		sleep(2 * time.Second)
		b.write(2, 3, 4)
		if st := b.Status(); st.Dropped != 1 || st.Held != 3 {
			t.Errorf("%+v", st.Counters)
		}
		sleep(3*time.Second - 1)
		if _, n := b.counts(); n != 0 {
			t.Errorf("%d answered by ICMP", n)
		}
		sleep(1)
		if _, n := b.counts(); n != 1 {
			t.Errorf("%d answered by ICMP", n)
		}
		sleep(2 * time.Second)
		if _, n := b.counts(); n != 3 {
			t.Errorf("%d answered by ICMP", n)
		}
		b.write(5)
		sleep(time.Minute)
		b.want(Up, 0)
		if got := b.far.last().numbers(); !slices.Equal(got, []byte{5}) {
			t.Errorf("%v", got)
		}
	})
}

func TestLostLinkIsRedialledIfAsked(t *testing.T) {
	for _, redial := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			b := serve(t, func(i *Interface) { i.RedialLost = redial })
			b.write(1)
			sleep(2 * time.Minute)
			b.far.last().Close()
			sleep(10 * time.Second)
			if redial {
				b.want(Up, 0)
			} else {
				b.want(Down, 0)
				if err := b.Status().Err; !errors.Is(err, net.ErrClosed) {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

// A hungUp is a link whose far side said goodbye.
type hungUp struct{ *near }

func (h hungUp) Serve(ctx context.Context, to func(bufs [][]byte, offset int) (int, error)) error {
	h.near.Serve(ctx, to)
	return saidGoodbye{net.ErrClosed}
}

type saidGoodbye struct{ error }

func (saidGoodbye) Lost() bool { return false }

func TestOnlyWhatWasDialledAndBrokeIsRedialled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) {
			i.RedialLost = true
			dial := i.Dial
			i.Dial = func(ctx context.Context, to string) (tunnel.Link, error) {
				l, err := dial(ctx, to)
				if err != nil {
					return nil, err
				}
				return hungUp{l.(*near)}, nil
			}
		})
		b.write(1)
		sleep(2 * time.Minute)
		b.far.last().Close()
		sleep(time.Hour)
		b.want(Down, 0)
		if n := b.far.count(); n != 1 {
			t.Errorf("hung up by the far side: %d dials", n)
		}
		_, e, done := b.answered(t) // that line is the far side's to mend
		sleep(2 * time.Minute)
		e.Close()
		<-done
		sleep(time.Hour)
		b.want(Down, 0)
		if n := b.far.count(); n != 1 {
			t.Errorf("answered, and broken: %d dials", n)
		}
	})
}

func TestServeEndsWithItsContextAndLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		b.write(1)
		e := b.far.last()
		b.cancel()
		err := <-b.ended
		b.cancel = nil
		if !errors.Is(err, net.ErrClosed) || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		<-e.over
		if b.routed() {
			t.Error("the route is still there")
		}
		if n, err := b.Interface.Write([][]byte{datagram(here, there, 1, 1)}, 0); n != 0 || err != nil {
			t.Errorf("%d %v", n, err)
		}
		b.start() // it may be served again
		b.write(2)
		b.want(Up, 0)
		b.Close()
		if err := <-b.ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		b.cancel()
		b.cancel = nil
		if _, err := b.Interface.Write([][]byte{datagram(here, there, 1, 1)}, 0); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if err := b.Connect(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		l, _ := newLink("")
		if err := b.Answer(t.Context(), l); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestServeEndsWhileDialling(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		b.far.delay = 10 * time.Second
		b.write(1)
		b.stop()
		if _, n := b.counts(); n != 1 {
			t.Errorf("%d answered by ICMP", n)
		}
	})
}
