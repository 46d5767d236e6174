package demanddial

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// A resolver is a name service whose answers change.
type resolver struct {
	asked []string
	addrs []netip.Addr
	err   error
}

func (r *resolver) lookup(_ context.Context, host string) ([]netip.Addr, error) {
	r.asked = append(r.asked, host)
	return r.addrs, r.err
}

func addrs(list ...string) (a []netip.Addr) {
	for _, s := range list {
		a = append(a, netip.MustParseAddr(s))
	}
	return a
}

// TestANameThatLeadsThroughItsOwnTunnelIsRefused: whatever a name meant when the Interface was added, it is looked at again
// before each dial.
func TestANameThatLeadsThroughItsOwnTunnelIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		names := &resolver{addrs: addrs("157.60.234.17")}
		b := serve(t, func(i *Interface) {
			i.To, i.Lookup, i.Attempts = []string{"vpn.example.com:8443"}, names.lookup, 1
			i.Routes = append(i.Routes, Route{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Connected: true})
		})
		b.write(1)
		b.want(Up, 0)
		for _, c := range []struct{ addr, route string }{
			{"172.16.2.9", "172.16.2.0/24"}, {"::ffff:172.16.2.9", "172.16.2.0/24"}, {"198.51.100.1", "198.51.100.0/24"},
		} {
			b.Disconnect()
			names.addrs = addrs("192.0.2.1", c.addr)
			b.Enable(true) // forgets
			b.want(Down, 0)
			b.write(2)
			b.want(Unreachable, DialFailed)
			if err := b.Status().Err; err == nil || !strings.Contains(err.Error(), "vpn.example.com:8443 is "+strings.TrimPrefix(c.addr, "::ffff:")+", which the route "+c.route) {
				t.Errorf("%s: %v", c.addr, err)
			}
		}
		names.err = errBusy
		b.Enable(true)
		b.want(Down, 0)
		b.write(3)
		b.want(Unreachable, DialFailed)
		if err := b.Status().Err; !errors.Is(err, errBusy) {
			t.Error(err)
		}
		if b.far.count() != 1 || slices.ContainsFunc(names.asked, func(s string) bool { return s != "vpn.example.com" }) {
			t.Errorf("%d dials; asked for %q", b.far.count(), names.asked)
		}
		names.addrs, names.err = addrs("192.0.2.1"), nil
		sleep(10 * time.Minute) // nobody has to do anything when the name is right again
		b.write(4)
		b.want(Up, 0)
	})
}

func TestExcludeIsCalledForEachAddressOfAName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		names := &resolver{addrs: addrs("172.16.2.9", "2001:db8::1")}
		var excluded []netip.Addr
		var fail error
		b := serve(t, func(i *Interface) {
			i.To, i.Lookup, i.Attempts = []string{"vpn.example.com"}, names.lookup, 1
			i.Exclude = func(a netip.Addr) error {
				excluded = append(excluded, a)
				return fail
			}
		})
		b.write(1)
		b.want(Up, 0)
		if !slices.Equal(excluded, names.addrs) {
			t.Errorf("%v", excluded)
		}
		b.Disconnect()
		b.want(Down, 0)
		fail = errBusy
		b.write(2)
		b.want(Unreachable, DialFailed)
		if err := b.Status().Err; !errors.Is(err, errBusy) || b.far.count() != 1 {
			t.Errorf("%v, %d dials", err, b.far.count())
		}
	})
}

// TestACallerIsKeptOutsideItsOwnTunnel: the routes that are there while connected hold the address from which the far side
// calls, as a default route does.
func TestACallerIsKeptOutsideItsOwnTunnel(t *testing.T) {
	everywhere := Route{Prefix: netip.MustParsePrefix("0.0.0.0/1"), Connected: true}
	caller := netip.MustParseAddr("57.60.234.17")
	for name, c := range map[string]struct {
		exclude func(netip.Addr) error
		outer   netip.Addr
		up      bool
	}{
		"excluded":         {func(netip.Addr) error { return nil }, caller, true},
		"cannot be":        {func(netip.Addr) error { return errBusy }, caller, false},
		"not asked for":    {nil, caller, false},
		"not covered":      {nil, netip.MustParseAddr("157.60.234.17"), true},
		"of no address":    {nil, netip.Addr{}, true},
		"not to be failed": {func(netip.Addr) error { return errBusy }, netip.MustParseAddr("157.60.234.17"), true},
	} {
		for _, dialled := range []bool{false, true} { // by a name that nobody looks up
			bubble(t, func(t *testing.T) {
				s := newSite(t)
				i := iface("A", route("172.16.2.0/24", 0), everywhere)
				var excluded []netip.Addr
				if c.exclude != nil {
					i.Exclude = func(a netip.Addr) error {
						if s.set.Router.Routes.Lookup(a) != nil {
							t.Error("the route was there first")
						}
						excluded = append(excluded, a)
						return c.exclude(a)
					}
				}
				i.To, i.Attempts = []string{"vpn.example.com"}, 1
				l, _ := newLink("")
				l.outer = c.outer
				i.Dial = func(context.Context, string) (tunnel.Link, error) { return l, nil }
				if err := s.set.Add(i); err != nil {
					t.Fatal(err)
				}
				s.start()
				if dialled {
					go i.Connect(t.Context())
				} else {
					go i.Answer(t.Context(), l)
				}
				sleep(time.Second)
				if st := i.Status(); (st.State == Up) != c.up || l.closed() == c.up {
					t.Errorf("%s, dialled %v: %v, %v", name, dialled, st.State, st.Err)
				}
				if c.exclude != nil && c.outer == caller && !slices.Equal(excluded, []netip.Addr{caller}) {
					t.Errorf("%s, dialled %v: excluded %v", name, dialled, excluded)
				}
			})
		}
	}
}

// TestATableOfItsOwnIsNotTheSystems: a program that moves packets itself may route everything to an Interface, and dial past it.
func TestATableOfItsOwnIsNotTheSystems(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) {
			i.To, i.Routes = []string{"vpn.example.com"}, append(i.Routes, Route{Prefix: netip.MustParsePrefix("0.0.0.0/0")})
			i.Dial = func(context.Context, string) (tunnel.Link, error) {
				l, _ := newLink("")
				l.outer = netip.MustParseAddr("157.60.234.17")
				return l, nil
			}
		})
		b.write(1)
		b.want(Up, 0)
	})
}

func TestDeadPeerIsTheLinks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, func(i *Interface) { i.DeadPeer = 15 * time.Second })
		b.write(1)
		l, _, _ := b.answered(t)
		for _, n := range []*near{b.far.last().near, l} {
			if n.silence != 15*time.Second {
				t.Errorf("the link bears a silence of %v", n.silence)
			}
		}
	})
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		l, _, _ := b.answered(t)
		if l.silence >= 0 {
			t.Errorf("told %v without being asked to", l.silence)
		}
	})
}

func TestRedialGivesUpWhatIsBeingDialled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		b.far.delay = time.Hour
		b.write(1)
		b.want(Dialing, 0)
		b.far.delay = 0
		b.Redial()
		b.want(Up, 0)
		if got := b.far.last().numbers(); !slices.Equal(got, []byte{1}) || b.far.count() != 2 {
			t.Errorf("%v after %d dials", got, b.far.count())
		}
	})
}

// TestALostLinkIsRedialledWhenThereIsAPort: another interface has taken it meanwhile.
func TestALostLinkIsRedialledWhenThereIsAPort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.set.Ports = 1
		for n, name := range []string{"A", "B"} {
			i := iface(name, route(fmt.Sprintf("172.16.%d.0/24", n+2), 0))
			i.Dial, i.RedialLost, i.IdleTimeout = s.far.dial, true, -1
			if err := s.set.Add(i); err != nil {
				t.Fatal(err)
			}
		}
		s.start()
		a, b := s.find("A"), s.find("B")
		a.Connect(t.Context())
		sleep(2 * time.Minute)
		s.far.last().Close()
		synctest.Wait()
		b.Connect(t.Context())
		sleep(time.Minute)
		if st := a.Status(); st.State != Unreachable || st.Reasons != NoResources || b.Status().State != Up {
			t.Fatalf("%v (%v), %v", st.State, st.Reasons, b.Status().State)
		}
		s.set.Pause(false) // it looks around, and still there is none
		sleep(time.Minute)
		b.Disconnect()
		sleep(time.Second)
		if st := a.Status(); st.State != Up || s.far.count() != 3 {
			t.Errorf("%v (%v), %d dials", st.State, st.Reasons, s.far.count())
		}
	})
}

// TestRedialWaitsForThePort: the old link still says its goodbye, and has the only port.
func TestRedialWaitsForThePort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.set.Ports = 1
		i := iface("A", route("172.16.2.0/24", 0))
		i.Dial = s.far.dial
		if err := s.set.Add(i); err != nil {
			t.Fatal(err)
		}
		s.start()
		for n := range 3 {
			if n == 0 {
				i.Connect(t.Context())
			} else {
				i.Redial()
			}
			sleep(time.Second)
			if st := i.Status(); st.State != Up || s.far.count() != n+1 {
				t.Errorf("%d: %v (%v), %d dials", n, st.State, st.Reasons, s.far.count())
			}
		}
	})
}
