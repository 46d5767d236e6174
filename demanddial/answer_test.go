package demanddial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/tunnel"
)

type linkType = tunnel.Link

// answered makes the far side call.
func (b *bench) answered(t *testing.T) (*near, *end, chan error) {
	t.Helper()
	return b.answeredAs("99999999")
}

func (b *bench) answeredAs(id string) (*near, *end, chan error) {
	l, e := newLink(id)
	done := make(chan error, 1)
	go func() { done <- b.Interface.Answer(context.Background(), l) }()
	synctest.Wait()
	return l, e, done
}

func TestAnAnsweredCallIsTheInterface(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) {
			i.Attempts = 1
			i.Routes = append(i.Routes, Route{Prefix: netip.MustParsePrefix("172.16.9.0/24"), Connected: true})
		})
		account := netip.MustParseAddr("10.2.0.3")
		b.far.set(busy)
		b.write(1)
		b.want(Unreachable, DialFailed)
		if b.table.Lookup(netip.MustParseAddr("172.16.9.1")) != nil {
			t.Error("a route for connected times is there before")
		}
		l, e, done := b.answered(t)
		b.want(Up, 0)
		if !slices.Contains(l.expect, newYork) {
			t.Errorf("expects %v", l.expect)
		}
		for _, a := range []netip.Addr{account, netip.MustParseAddr("172.16.9.1")} {
			if b.table.Lookup(a) != tunnel.PacketWriter(b.Interface) {
				t.Errorf("%v is not routed", a)
			}
		}
		b.write(2)
		if got := e.numbers(); !slices.Equal(got, []byte{2}) {
			t.Errorf("%v", got)
		}
		if st := b.Status(); st.Answered != 1 || st.Peer != "" || st.Err != nil {
			t.Errorf("%+v", st)
		}
		sleep(time.Hour) // the caller's idle time-out, not this end's
		b.want(Up, 0)
		e.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		b.want(Down, 0) // and the lock-out is forgotten
		for _, a := range []netip.Addr{account, netip.MustParseAddr("172.16.9.1")} {
			if b.table.Lookup(a) != nil {
				t.Errorf("%v is still routed", a)
			}
		}
	})
}

func TestNameServersInThePlaceOfTheLinks(t *testing.T) {
	own, far := netip.MustParseAddr("172.16.2.53"), netip.MustParseAddr("10.2.0.53")
	for _, set := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			b := serve(t, func(i *Interface) {
				if set {
					i.NameServers = []netip.Addr{own}
				}
				i.Dial = func(context.Context, string) (tunnel.Link, error) {
					l, _ := newLink("")
					return &withDNS{l, []netip.Addr{far}}, nil
				}
			})
			want := map[bool][]netip.Addr{false: nil, true: {own}}[set]
			if got := b.DNS(); !slices.Equal(got, want) {
				t.Errorf("not connected: %v", got)
			}
			b.Connect(t.Context())
			b.want(Up, 0)
			if !set {
				want = []netip.Addr{far}
			}
			if got := b.DNS(); !slices.Equal(got, want) {
				t.Errorf("connected: %v, want %v", got, want)
			}
		})
	}
}

type withDNS struct {
	*near
	dns []netip.Addr
}

func (w *withDNS) DNS() []netip.Addr { return w.dns }

func TestDefaultRouteWhileConnected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := iface("DD_NewYork", route("172.16.2.0/24", 0), Route{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Connected: true})
		s := newSite(t, i)
		s.start()
		anywhere := netip.MustParseAddr("192.0.2.1")
		s.host.Inject(datagram(here, anywhere, 53, 1))
		synctest.Wait()
		if n := s.far.count(); n != 0 || i.Status().State != Down {
			t.Errorf("%d dials", n)
		}
		s.host.Inject(datagram(here, there, 53, 2), datagram(here, anywhere, 53, 3))
		synctest.Wait()
		s.host.Inject(datagram(here, anywhere, 53, 4))
		synctest.Wait()
		if got := s.far.last().numbers(); !slices.Equal(got, []byte{2, 4}) {
			t.Errorf("%v", got) // 3 was routed before the route was there
		}
		i.Disconnect()
		synctest.Wait()
		if hop := s.set.Router.Routes.Lookup(anywhere); hop != nil {
			t.Error("still routed")
		}
	})
}

func TestAnsweredIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.AnsweredIdle = time.Minute })
		_, _, done := b.answered(t)
		sleep(59 * time.Second)
		b.want(Up, 0)
		sleep(time.Second)
		b.want(Down, 0)
		<-done
	})
}

func TestACallOfWhatOnlyCallsIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.NoAnswer = true })
		l, _, done := b.answered(t)
		var r *RefusedError
		if err := <-done; !errors.As(err, &r) || !r.Router || !l.closed() {
			t.Error(err)
		}
		b.want(Down, 0)
	})
}

func TestAnswerEndsWithItsContextAndWithServe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		l, _ := newLink("")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Answer(ctx, l) }()
		b.want(Up, 0)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		b.want(Down, 0)
		_, _, over := b.answered(t)
		b.want(Up, 0)
		b.stop()
		if err := <-over; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestAnswerEndsWhileTheHostIsPrepared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		b := serve(t, func(i *Interface) {
			i.Up = func(context.Context, linkType) error {
				<-release // it takes its time, whatever its context says
				return nil
			}
		})
		defer close(release)
		l, _ := newLink("")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Answer(ctx, l) }()
		b.want(Dialing, 0)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || !l.closed() {
			t.Errorf("%v, closed %v", err, l.closed())
		}
		b.want(Down, 0)
	})
}

func TestAnswerWaitsForServe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t, nil)
		_, _, done := b.answered(t)
		b.start()
		b.want(Up, 0)
		l, _ := newLink("")
		b.stop()
		<-done
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Answer(ctx, l); !errors.Is(err, context.DeadlineExceeded) || !l.closed() {
			t.Error(err)
		}
	})
}

func TestASecondCallInTheSameDirectionReplacesTheFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		first, _, done := b.answeredAs("1")
		second, e, _ := b.answeredAs("2")
		if err := <-done; err == nil || !first.closed() || second.closed() {
			t.Errorf("%v", err)
		}
		b.want(Up, 0)
		b.write(1)
		if got := e.numbers(); !slices.Equal(got, []byte{1}) {
			t.Errorf("%v", got)
		}
	})
}

func TestDialledAndAnsweredLongAfterIsNoCrossing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.Name, i.User = "zz", "aa" }) // of calls that cross the dialled one would stay
		b.write(1)
		dialled := b.far.last().near
		sleep(2 * time.Minute) // the far side has lost its link, and calls
		l, _, _ := b.answered(t)
		b.want(Up, 0)
		if !dialled.closed() || l.closed() {
			t.Error("the old link stays")
		}
	})
}
