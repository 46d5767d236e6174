package dhcpinform

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A block is ten, the first of the first is the server's own, and each is asked for by an identifier of its own.
func TestLeasesComeInBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(LeasePool)
		s := leaseHost(t, p)
		own, err := p.Own(t.Context())
		if err != nil || own != adr("192.0.2.10") {
			t.Fatalf("%v, %v", own, err)
		}
		synctest.Wait()
		if n := s.count(typeDiscover); n != DefaultBlock || s.count(typeRequest) != n {
			t.Errorf("%d asked", n)
		}
		ids := make(map[string]bool)
		for _, h := range s.take() {
			ids[h.id] = true
			list, _ := h.m.options()
			if h.to.String() != "255.255.255.255:67" || !h.m.broadcast() || !h.m.ciaddr().IsUnspecified() || !h.m.giaddr().IsUnspecified() ||
				h.m.hardware() != (hardware{1, 6, [16]byte{2, 0, 0, 0, 0, 9}}) || len(h.m) < minMessage {
				t.Errorf("to %v: %x", h.to, h.m)
			}
			for _, o := range list {
				if o.Code == optClient && !strings.HasPrefix(string(o.Data), "\x00dialway-020000000009-") {
					t.Errorf("identifier %q", o.Data)
				}
				if (o.Code == optServer || o.Code == optAddress) != (h.kind == typeRequest) && o.Code != optType && o.Code != optClient && o.Code != optMaxSize && o.Code != optRequest {
					t.Errorf("message %d has option %d", h.kind, o.Code)
				}
			}
		}
		if len(ids) != DefaultBlock {
			t.Errorf("%d identifiers", len(ids))
		}
		seen := map[netip.Addr]bool{own: true}
		for i, u := range users(25) {
			a := lease1(t, p, u)
			if seen[a] {
				t.Fatalf("%v twice", a)
			}
			seen[a] = true
			synctest.Wait()
			want := 0
			if i >= 9 {
				want = (i - 9 + DefaultBlock) / DefaultBlock * DefaultBlock
			}
			if n := s.count(typeDiscover); n != want {
				t.Fatalf("%d asked for after %d sessions, want %d", n, i+1, want)
			}
		}
		if x := p.Stats(); x.Leased != 30 || x.Used != 25 || x.Granted != 25 || x.Asked != 0 || x.Strange != 0 {
			t.Errorf("%+v", x)
		}
	})
}

// The timers of RFC 2131 section 4.4.5: T1, its repetitions, T2, and the end, which a session in use is told.
func TestLeaseTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var lost []netip.Addr
		var at time.Time
		p := &LeasePool{Lost: func(a netip.Addr, err error) {
			var le *LeaseError
			if !errors.Is(err, ErrLeaseLost) || !errors.As(err, &le) || le.Addr != a || le.Server != adr("192.0.2.1") {
				t.Errorf("%v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			lost, at = append(lost, a), time.Now()
		}}
		s := leaseHost(t, p)
		a := lease1(t, p, "alice")
		began := time.Now()
		synctest.Wait()
		s.take()

		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if n := s.count(typeRequest); n != 10 || p.Stats().Renewed != 10 {
			t.Errorf("%d asked at T1, %+v", n, p.Stats())
		}
		for _, h := range s.take() {
			if d := h.at.Sub(began); d != 30*time.Minute || h.kind != typeRequest || h.to.Addr() != broadcast {
				t.Errorf("%d after %v to %v", h.kind, d, h.to)
			}
			if _, has := h.m.option(optServer); has || !h.addr.IsValid() || !h.m.ciaddr().IsUnspecified() {
				t.Errorf("%x", h.m)
			}
		}

		s.set(func() { s.silent = true })
		began = time.Now()
		time.Sleep(time.Hour - time.Nanosecond)
		synctest.Wait()
		var mine []time.Duration
		for _, h := range s.take() {
			if h.addr == a {
				mine = append(mine, h.at.Sub(began))
			}
		}
		// T1 30 min, halves of what is left to T2 at 52.5 min, then halves of what is left to the end, no less than a minute.
		want := []float64{1800, 2475, 2812.5, 2981.25, 3065.625, 3125.625, 3150, 3375, 3487.5, 3547.5}
		if len(mine) != len(want) {
			t.Fatalf("%v", mine)
		}
		for i, w := range want {
			if mine[i] != time.Duration(w*float64(time.Second)) {
				t.Errorf("try %d after %v, want %v s", i, mine[i], w)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(lost) != 0 {
			t.Errorf("lost too early: %v", lost)
		}
		mu.Unlock()
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		mu.Lock()
		if len(lost) != 2 || at.Sub(began) != time.Hour { // alice's, and the server's own
			t.Errorf("lost %v after %v", lost, at.Sub(began))
		}
		if x := p.Stats(); x.Lost != 10 || x.Used != 1 || x.Leased != 0 {
			t.Errorf("%+v", x)
		}
		p.Put(single(a))

		// The server is back: all goes on.
		s.set(func() { s.silent = false })
		if _, err := p.Own(t.Context()); err != nil {
			t.Error(err)
		}
		lease1(t, p, "alice")
	})
}

// A server's own times are used if they make sense.
func TestLeaseTimesOfTheServer(t *testing.T) {
	for _, c := range []struct {
		lease, t1, t2          uint32 // 0: not said
		wantT1, wantT2, wantTo time.Duration
	}{
		{80, 0, 0, 40 * time.Second, 70 * time.Second, 80 * time.Second},
		{80, 10, 20, 10 * time.Second, 20 * time.Second, 80 * time.Second},
		{80, 30, 20, 10 * 2 * time.Second, 20 * time.Second, 80 * time.Second},
		{80, 10, 90, 10 * time.Second, 70 * time.Second, 80 * time.Second},
		{0xffffffff, 10, 20, 0, 0, 0},
	} {
		m := leaseAnswer(ack(), typeACK, adr("192.0.2.10"), adr("192.0.2.1"), c.lease)
		m = m[:atOptions]
		m = appendOption(m, optServer, []byte{192, 0, 2, 1})
		for code, v := range map[byte]uint32{optLeaseTime: c.lease, optRenewal: c.t1, optRebinding: c.t2} {
			if v != 0 {
				m = appendOption(m, code, []byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
			}
		}
		g, ok := parseGranted(finish(m, 0))
		var l lease
		now := time.Unix(1000, 0)
		l.take(g, netip.AddrPort{}, now)
		since := func(x time.Time) time.Duration {
			if x.IsZero() {
				return 0
			}
			return x.Sub(now)
		}
		if !ok || since(l.t1) != c.wantT1 || since(l.t2) != c.wantT2 || since(l.ends) != c.wantTo {
			t.Errorf("%+v: %v, %v, %v, %v", c, ok, since(l.t1), since(l.t2), since(l.ends))
		}
	}
	for name, m := range map[string]message{
		"no time":       finish(appendOption(leaseAnswer(ack(), typeNAK, adr("192.0.2.10"), adr("192.0.2.1"), 0)[:atOptions], optServer, []byte{192, 0, 2, 1}), 0),
		"no seconds":    leaseAnswer(ack(), typeACK, adr("192.0.2.10"), adr("192.0.2.1"), 0),
		"no address":    leaseAnswer(ack(), typeACK, adr("0.0.0.0"), adr("192.0.2.1"), 60),
		"multicast":     leaseAnswer(ack(), typeACK, adr("224.0.0.1"), adr("192.0.2.1"), 60),
		"loopback":      leaseAnswer(ack(), typeACK, adr("127.0.0.1"), adr("192.0.2.1"), 60),
		"broadcast":     leaseAnswer(ack(), typeACK, adr("255.255.255.255"), adr("192.0.2.1"), 60),
		"server unsaid": finish(leaseAnswer(ack(), typeACK, adr("192.0.2.10"), adr("192.0.2.1"), 60)[:atOptions], 0),
	} {
		if g, ok := parseGranted(m); ok {
			t.Errorf("%s: %+v", name, g)
		}
	}
}

// A server that is away is asked again, ever more seldom; Get says so in its time, and gets one when the server is back.
func TestLeaseServerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &LeasePool{Block: 3, Wait: 2 * time.Minute}
		s := leaseHost(t, p, func(s *leaseServer) { s.silent = true })
		began := time.Now()
		err := mustNot(t, p, "alice")
		if d := time.Since(began); d != 2*time.Minute || !errors.Is(err, ErrNoLease) || !strings.Contains(err.Error(), "no DHCP server on the network") {
			t.Errorf("after %v: %v", d, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Own(ctx); !errors.Is(err, ErrNoLease) {
			t.Errorf("%v", err)
		}
		if _, err := p.Get(ctx, "", "bob"); !errors.Is(err, ErrNoLease) {
			t.Errorf("%v", err)
		}
		time.Sleep(10 * time.Minute)
		var tries []time.Duration
		for _, h := range s.take() {
			if strings.HasSuffix(h.id, "-0") {
				tries = append(tries, h.at.Sub(began))
			}
		}
		for i, base := range []time.Duration{0, 4, 8, 16, 32, 64, 64, 64} {
			d := tries[i]
			if i > 0 {
				d -= tries[i-1]
			}
			if lo, hi := base*time.Second-time.Second, base*time.Second+time.Second; d < lo || d > hi {
				t.Errorf("try %d after %v, want about %v", i, d, base*time.Second)
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() { lease1(t, p, "alice") })
		time.Sleep(time.Second)
		s.set(func() { s.silent = false })
		wg.Go(func() { lease1(t, p, "bob") })
		wg.Wait()
	})
}

// A refusal ends the lease at once, and its session; nobody gets the address while the session has it.
func TestLeaseRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := make(chan netip.Addr, 10)
		p := &LeasePool{Block: 2, Lost: func(a netip.Addr, err error) { lost <- a }}
		s := leaseHost(t, p)
		a := lease1(t, p, "alice")
		s.set(func() { s.refuse = typeRequest })
		time.Sleep(30*time.Minute + time.Second)
		if x, y := <-lost, <-lost; x != a && y != a {
			t.Errorf("lost %v, %v", x, y)
		}
		time.Sleep(time.Minute)
		if n := s.count(typeDiscover); n > 20 {
			t.Errorf("%d asked: what is refused is asked for without a pause", n)
		}
		s.set(func() { s.refuse = 0 })
		time.Sleep(2 * time.Minute)
		b := lease1(t, p, "bob") // the server gives the same identifier the same address again, which alice still has
		if b == a {
			t.Error("given twice")
		}
		p.Put(single(a))
		if c := lease1(t, p, "alice"); c != a {
			t.Errorf("alice: %v, had %v", c, a)
		}
		if x := p.Stats(); x.NAKs == 0 || x.Lost != 2 {
			t.Errorf("%+v", x)
		}
	})
}

// One block too many is returned when it would be extended; all of it in the end.
func TestLeasesAreReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &LeasePool{Block: 5}
		s := leaseHost(t, p)
		var had []netip.Addr
		for _, u := range users(14) {
			had = append(had, lease1(t, p, u))
		}
		for _, a := range had[2:] {
			p.Put(single(a))
		}
		time.Sleep(31 * time.Minute)
		if x := p.Stats(); x.Returned != 7 || x.Leased != 8 || x.Used != 2 { // a block is kept ready
			t.Errorf("%+v", x)
		}
		released := 0
		for _, h := range s.take() {
			if h.kind == typeRelease {
				released++
				if id, _ := h.m.option(optServer); h.to.String() != "192.0.2.1:67" || h.m.broadcast() || h.m.ciaddr() != h.addr || netip.AddrFrom4([4]byte(id)) != s.id {
					t.Errorf("to %v: %x", h.to, h.m)
				}
			}
		}
		if released != 7 {
			t.Errorf("%d returned", released)
		}
		s.stop()
		if n := s.count(typeRelease); n != 8 || len(s.held) != 0 {
			t.Errorf("%d returned in the end, %d left", n, len(s.held))
		}
		if x := p.Stats(); x.Leased != 0 || x.Asked != 0 {
			t.Errorf("%+v", x)
		}
	})
}

// What somebody has already, or what is excluded, is declined, and another is asked for ten seconds later.
func TestLeaseDeclined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &LeasePool{Block: 3, Exclude: []netip.Prefix{pfx("192.0.2.12/32")}, InUse: func(ctx context.Context, a netip.Addr) bool {
			time.Sleep(600 * time.Millisecond)
			return a == adr("192.0.2.11")
		}}
		s := leaseHost(t, p)
		began := time.Now()
		a := lease1(t, p, "alice")
		if d := time.Since(began); d != declinedWait+2*600*time.Millisecond && d != declinedWait+600*time.Millisecond {
			t.Errorf("after %v", d)
		}
		if a == adr("192.0.2.11") || a == adr("192.0.2.12") {
			t.Error(a)
		}
		var declined []netip.Addr
		for _, h := range s.take() {
			if h.kind == typeDecline {
				declined = append(declined, h.addr)
				if h.to.Addr() != broadcast || !h.m.ciaddr().IsUnspecified() {
					t.Errorf("%x", h.m)
				}
			}
		}
		if len(declined) != 2 || p.Stats().Declined != 2 {
			t.Errorf("%v", declined)
		}
	})
}

// As a relay, the pool has an address to answer to: it extends as RFC 2131 says, by the server that leased.
func TestLeasesThroughARelaysSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &LeasePool{Block: 2, Addr: adr("192.0.2.2"), Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.77:0"), netip.MustParseAddrPort("192.0.2.1:67")}}
		s := leaseHost(t, p)
		a := lease1(t, p, "alice")
		synctest.Wait()
		for _, h := range s.take() {
			if h.m.giaddr() != p.Addr || h.m.hops() != 1 || h.m.broadcast() || h.to.Port() != 67 {
				t.Errorf("to %v: %x", h.to, h.m)
			}
		}
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		n := 0
		for _, h := range s.take() {
			_, asks := h.m.option(optAddress)
			_, names := h.m.option(optServer)
			if h.kind != typeRequest || h.to != s.from || h.m.ciaddr() != h.addr || asks || names || h.m.giaddr() != p.Addr {
				t.Errorf("%d to %v: %x", h.kind, h.to, h.m)
			}
			n++
		}
		if n != 2 {
			t.Errorf("%d asked", n)
		}
		s.set(func() { s.silent = true })
		time.Sleep(53 * time.Minute)
		to := make(map[netip.AddrPort]int)
		for _, h := range s.take() {
			if h.addr == a {
				to[h.to]++
			}
		}
		if to[netip.MustParseAddrPort("192.0.2.77:67")] != 1 || to[s.from] < 3 { // at T2 both
			t.Errorf("%v", to)
		}
	})
}

func TestLeaseUsersAndClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &LeasePool{Block: 4}
		leaseHost(t, p)
		own, _ := p.Own(t.Context())
		synctest.Wait() // all of the block are there, in their order
		a, b := lease1(t, p, "alice"), lease1(t, p, "bob")
		p.Put(single(a))
		p.Put(single(b))
		p.Put(single(b))
		p.Put(single(adr("192.0.2.99")))
		p.Put([]netip.Prefix{pfx("192.0.2.0/24"), {}})
		carol := lease1(t, p, "carol")
		if carol == a || carol == b {
			t.Errorf("carol gets %v", carol)
		}
		if got := lease1(t, p, "BOB"); got != b {
			t.Errorf("bob: %v, had %v", got, b)
		}
		if _, err := p.Claim(t.Context(), "", "dave", b); !errors.Is(err, ErrNoLease) {
			t.Errorf("bob's: %v", err)
		}
		if _, err := p.Claim(t.Context(), "", "dave", own); !errors.Is(err, ErrNoLease) {
			t.Errorf("the server's own: %v", err)
		}
		if got, err := p.Claim(t.Context(), "", "dave", adr("10.0.0.1")); err != nil || got != nil {
			t.Errorf("another's: %v, %v", got, err)
		}
		if got, err := p.Claim(t.Context(), "", "dave", a); err != nil || len(got) != 1 {
			t.Errorf("%v, %v", got, err)
		}
		if got := lease1(t, p, "alice"); got == a {
			t.Error("given twice")
		}
	})
}

// A pool that has all that it may says so at once; Gets that are given up are in nobody's way.
func TestLeaseLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &LeasePool{Block: 4, Max: 6}
		s := leaseHost(t, p)
		var had []netip.Addr
		for _, u := range users(5) {
			had = append(had, lease1(t, p, u))
		}
		began := time.Now()
		if err := mustNot(t, p, "late"); !errors.Is(err, ErrNoLease) || !strings.Contains(err.Error(), "6") || time.Since(began) != 0 {
			t.Errorf("%v", err)
		}
		p.Put(single(had[1]))
		if got := lease1(t, p, "late"); got != had[1] {
			t.Error(got)
		}
		s.set(func() { s.silent = true })
		time.Sleep(time.Hour + time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); cancel() }()
		if _, err := p.Get(ctx, "", "x"); !errors.Is(err, ErrNoLease) || !strings.Contains(err.Error(), context.Canceled.Error()) {
			t.Errorf("%v", err)
		}
		if n := p.Stats().Waiting; n != 0 {
			t.Errorf("%d wait", n)
		}
	})
}

// Leases without an end are not extended.
func TestLeaseWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &LeasePool{Block: 2}
		s := leaseHost(t, p, func(s *leaseServer) { s.seconds = 0xffffffff })
		lease1(t, p, "alice")
		synctest.Wait()
		s.take()
		time.Sleep(1000 * time.Hour)
		if list := s.take(); len(list) != 0 {
			t.Errorf("%v", list)
		}
	})
}

// A server that does not look at client identifiers gives all of them one address, which is given once.
func TestLeasesAreOfDifferentAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &LeasePool{Block: 3}
		leaseHost(t, p, func(s *leaseServer) { s.same = true })
		own, err := p.Own(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := mustNot(t, p, "alice"); !errors.Is(err, ErrNoLease) {
			t.Error(err)
		}
		if x := p.Stats(); x.Leased != 1 || x.Strange == 0 || own != adr("192.0.2.10") {
			t.Errorf("%+v", x)
		}
	})
}

func TestLeasePoolThatCannotWork(t *testing.T) {
	for name, p := range map[string]*LeasePool{
		"no hardware": {},
		"IPv6":        {Addr: adr("2001:db8::1")},
		"IPv6 server": {Addr: adr("192.0.2.2"), Servers: []netip.AddrPort{netip.MustParseAddrPort("[2001:db8::1]:67")}},
		"one lease":   {Addr: adr("192.0.2.2"), Max: 1},
		"long ID":     {Addr: adr("192.0.2.2"), ID: strings.Repeat("x", 201)},
		"long chaddr": {Hardware: make([]byte, 17)},
		"no file":     {Addr: adr("192.0.2.2"), File: "/does/not/exist/at/all"},
	} {
		w := newWire()
		if err := p.Serve(t.Context(), w); err == nil || !strings.HasPrefix(err.Error(), "dhcpinform: ") {
			t.Errorf("%s: %v", name, err)
		}
		select {
		case <-w.closed:
		default:
			t.Errorf("%s: the socket is open", name)
		}
	}
}

// A server that offers one address to all who ask at once, as dnsmasq does to one hardware address, is asked for one after
// the other, and as fast as it answers.
func TestLeasesOfAServerThatKeepsNoOffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(LeasePool)
		s := leaseHost(t, p, func(s *leaseServer) { s.lazy = true })
		began := time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		seen := make(map[netip.Addr]bool)
		for _, u := range users(200) {
			wg.Go(func() {
				a := lease1(t, p, u)
				mu.Lock()
				defer mu.Unlock()
				if seen[a] {
					t.Errorf("%v twice", a)
				}
				seen[a] = true
			})
		}
		wg.Wait()
		if d := time.Since(began); d != 0 || len(seen) != 200 {
			t.Errorf("%d after %v", len(seen), d)
		}
		if n := s.count(typeDiscover); n > 300 || p.Stats().NAKs != 0 {
			t.Errorf("%d asked, %+v", n, p.Stats())
		}
	})
}
