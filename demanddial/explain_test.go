package demanddial

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/packet"
	"github.com/dialway/dialway/tunnel"
)

func filter(t testing.TB, except bool, rules ...string) func([]byte) bool {
	t.Helper()
	f := &tunnel.Filter{Except: except}
	for _, s := range rules {
		r, err := tunnel.ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		f.Rules = append(f.Rules, r)
	}
	return f.Match
}

// ip makes a packet of a protocol with a body.
func ip(src, dst string, proto byte, body []byte) []byte {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	if s.Is4() {
		b := make([]byte, 20, 20+len(body))
		b[0], b[8], b[9] = 0x45, 64, proto
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(body)))
		copy(b[12:], s.AsSlice())
		copy(b[16:], d.AsSlice())
		packet.IPv4(b).SetChecksum()
		return append(b, body...)
	}
	b := make([]byte, 40, 40+len(body))
	b[0], b[6], b[7] = 0x60, proto, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(body)))
	copy(b[8:], s.AsSlice())
	copy(b[24:], d.AsSlice())
	return append(b, body...)
}

// portsOf makes a TCP or UDP header.
func portsOf(src, dst uint16) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, src)
	binary.BigEndian.PutUint16(b[2:], dst)
	b[12] = 5 << 4
	return b
}

func icmp(typ byte) []byte { return []byte{typ, 0, 0, 0, 0, 0, 0, 0} }

// TestExplain has a router with interfaces of every kind, in the hours and out of them.
func TestExplain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := map[string]*Interface{}
		add := func(i *Interface) *Interface {
			list[i.Name] = i
			return i
		}
		plain := add(iface("plain", route("172.16.2.0/24", 1), route("2001:db8:2::/48", 0)))
		plain.To = []string{"157.60.234.17"}
		plain.Routes = append(plain.Routes, Route{Prefix: netip.MustParsePrefix("172.17.2.0/24"), Connected: true})
		hours := add(iface("hours", route("172.16.3.0/24", 1)))
		hours.Hours = office(t)
		demand := add(iface("demand", route("172.16.4.0/24", 1)))
		demand.Demand = filter(t, false, "tcp any > any:22", "icmp any > any:8")
		out := add(iface("out", route("172.16.5.0/24", 1)))
		out.Out, out.Demand = filter(t, true, "udp any > any:137-139"), filter(t, true, "udp any > any:123")
		busyOne := add(iface("locked", route("172.16.6.0/24", 1)))
		busyOne.Attempts = 1
		up := add(iface("up", route("172.16.7.0/24", 1)))
		up.Out = filter(t, true, "udp any > any:137-139")
		add(iface("dialling", route("172.16.8.0/24", 1)))
		disabled := add(iface("disabled", route("172.16.9.0/24", 1)))
		disabled.Disabled = true
		add(iface("best", route("172.16.10.0/24", 1)))
		add(iface("spare", route("172.16.10.0/24", 2), route("172.16.6.0/24", 2)))
		answers := add(iface("answers", route("172.16.11.0/24", 1)))
		persistent := add(iface("persistent", route("172.16.12.0/24", 1)))
		persistent.Persistent = true
		add(iface("default", route("0.0.0.0/0", 9)))
		refuse := &far{t: t}
		refuse.set(busy)
		slow := &far{t: t, delay: time.Hour}

		s := newSite(t)
		var all []*Interface
		for _, name := range []string{"plain", "hours", "demand", "out", "locked", "up", "dialling", "disabled", "best", "spare", "answers", "persistent", "default"} {
			i := list[name]
			i.Dial = s.far.dial
			all = append(all, i)
		}
		busyOne.Dial, persistent.Dial, answers.Dial = refuse.dial, refuse.dial, nil
		list["dialling"].Dial, list["dialling"].Timeout = slow.dial, 2*time.Hour
		if err := s.set.Add(all...); err != nil {
			t.Fatal(err)
		}
		s.start()
		client := tunnel.PacketWriter(s.set.Router)
		s.set.Router.Routes.Insert(netip.MustParsePrefix("10.8.0.2/32"), client, 0)
		at(t, "03 12:00") // a Monday
		if err := up.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		busyOne.Connect(t.Context())
		go list["dialling"].Connect(t.Context())
		synctest.Wait()

		noon := time.Now()
		evening, later := noon.Add(8*time.Hour), noon.Add(11*time.Minute)
		const h = "172.16.1.7"
		udp, tcp := byte(17), byte(6)
		big := ip(h, "172.16.2.7", udp, make([]byte, 1500))
		dontFragment := slices.Clone(big)
		dontFragment[6] |= 0x40
		fragment := ip(h, "172.16.4.7", tcp, portsOf(1, 22))
		fragment[7] = 100
		for n, c := range []struct {
			p     []byte
			at    time.Time
			iface string
			v     Verdict
			why   string // the last or the telling one
		}{
			{ip(h, "172.16.2.7", udp, portsOf(1, 53)), noon, "plain", Dials, "[157.60.234.17]"},
			{ip(h, "172.16.2.7", 1, icmp(8)), noon, "plain", Dials, "any packet may dial"},
			{ip("2001:db8:1::7", "2001:db8:2::7", tcp, portsOf(1, 22)), noon, "plain", Dials, "2001:db8:2::/48"},
			{ip(h, "172.16.2.7", udp, portsOf(1, 53)), evening, "plain", Dials, "metric 1"},
			{append(ip(h, "172.16.2.7", udp, portsOf(1, 53)), 0, 0), noon, "plain", Dials, "dials"}, // padding
			{ip(h, "172.17.2.7", udp, portsOf(1, 53)), noon, "default", Dials, "172.17.2.0/24 would lead to interface plain while that is connected"},
			{big, noon, "plain", Dials, "dials"},
			{dontFragment, noon, "plain", Rejected, "must not be fragmented"},

			{ip(h, "172.16.3.7", udp, portsOf(1, 53)), noon, "hours", Dials, "within the dial-out hours"},
			{ip(h, "172.16.3.7", udp, portsOf(1, 53)), evening, "default", Dials, "172.16.3.0/24 would lead to interface hours, but that is unreachable, and its routes are withdrawn: out of hours"},
			{ip(h, "172.16.3.7", udp, portsOf(1, 53)), noon.Add(6*time.Hour - time.Minute), "hours", Dials, "within"},
			{ip(h, "172.16.3.7", udp, portsOf(1, 53)), noon.Add(6 * time.Hour), "default", Dials, "out of hours"},
			{ip(h, "172.16.3.7", udp, portsOf(1, 53)), noon.Add(20 * time.Hour), "hours", Dials, "within"},
			{ip(h, "172.16.3.7", udp, portsOf(1, 53)), noon.AddDate(0, 0, 5), "default", Dials, "out of hours"},

			{ip(h, "172.16.4.7", tcp, portsOf(1, 22)), noon, "demand", Dials, "the demand filter lets it dial"},
			{ip(h, "172.16.4.7", tcp, portsOf(1, 23)), noon, "demand", Filtered, "the demand filter does not let it dial"},
			{ip(h, "172.16.4.7", 1, icmp(8)), noon, "demand", Dials, "lets it dial"},
			{ip(h, "172.16.4.7", 1, icmp(0)), noon, "demand", Filtered, "does not let it dial"},
			{ip(h, "172.16.4.7", udp, portsOf(1, 22)), noon, "demand", Filtered, "does not let it dial"},
			{fragment, noon, "demand", Filtered, "does not let it dial"},
			{ip(h, "172.16.4.7", tcp, portsOf(1, 22)[:8]), noon, "demand", Filtered, "does not let it dial"}, // ends before its ports are sure

			{ip(h, "172.16.5.7", udp, portsOf(1, 138)), noon, "out", Filtered, "what goes out drops it"},
			{ip(h, "172.16.5.7", udp, portsOf(1, 123)), noon, "out", Filtered, "does not let it dial"},
			{ip(h, "172.16.5.7", udp, portsOf(1, 53)), noon, "out", Dials, "what goes out passes it"},
			{ip(h, "172.16.5.7", udp, portsOf(1, 53)[:2]), noon, "out", Filtered, "drops it"}, // cannot be judged

			{ip(h, "172.16.6.7", udp, portsOf(1, 53)), noon, "spare", Dials, "172.16.6.0/24 would lead to interface locked, but that is unreachable, and its routes are withdrawn: previous attempt failed"},
			{ip(h, "172.16.6.7", udp, portsOf(1, 53)), noon.Add(10 * time.Minute), "locked", Dials, "dials"},
			{ip(h, "172.16.6.7", udp, portsOf(1, 53)), noon.Add(10*time.Minute - 1), "spare", Dials, "previous attempt failed"},

			{ip(h, "172.16.7.7", udp, portsOf(1, 53)), noon, "up", Passes, "goes over the link"},
			{ip(h, "172.16.7.7", udp, portsOf(1, 138)), noon, "up", Filtered, "drops it"},
			{ip(h, "10.2.0.3", udp, portsOf(1, 53)), noon, "up", Passes, "10.2.0.3/32"}, // the far router itself

			{ip(h, "172.16.8.7", udp, portsOf(1, 53)), noon, "dialling", Waits, "being dialled"},

			{ip(h, "172.16.9.7", udp, portsOf(1, 53)), noon, "default", Dials, "disabled"},

			{ip(h, "172.16.10.7", udp, portsOf(1, 53)), noon, "best", Dials, "metric 1"},

			{ip(h, "172.16.11.7", udp, portsOf(1, 53)), noon, "default", Dials, "answers, which only answers"},
			{ip(h, "172.16.12.7", udp, portsOf(1, 53)), noon, "default", Dials, "persistent"},
			{ip(h, "172.16.12.7", udp, portsOf(1, 53)), evening, "default", Dials, "dials by itself"},

			{ip(h, "192.0.2.1", udp, portsOf(1, 53)), noon, "default", Dials, "0.0.0.0/0"},
			{ip("2001:db8:1::7", "2001:db8:9::1", udp, portsOf(1, 53)), noon, "", NoRoute, "routed nowhere"},
			{ip(h, "10.8.0.2", udp, portsOf(1, 53)), noon, "", NoRoute, "no interface of this Set"},
			{ip(h, "224.0.0.1", udp, portsOf(1, 53)), noon, "", NoRoute, "not routed"},
			{ip(h, "169.254.1.1", udp, portsOf(1, 53)), noon, "", NoRoute, "not routed"},
			{ip(h, "255.255.255.255", udp, portsOf(1, 53)), noon, "", NoRoute, "not routed"},
			{ip(h, "127.0.0.1", udp, portsOf(1, 53)), noon, "", NoRoute, "not routed"},
			{ip("fe80::1", "2001:db8:2::7", udp, portsOf(1, 53)), noon, "", NoRoute, "not routed"},
			{ip("0.0.0.0", "172.16.2.7", udp, portsOf(1, 53)), noon, "", NoRoute, "not routed"},
			{ip("2001:db8:1::7", "ff02::1", udp, portsOf(1, 53)), noon, "", NoRoute, "not routed"},
			{nil, noon, "", NoRoute, "no IP packet"},
			{[]byte{0x45, 0, 0, 20}, noon, "", NoRoute, "no IP packet"},
			{ip(h, "172.16.2.7", udp, portsOf(1, 53))[:19], noon, "", NoRoute, "no IP packet"},
			{ip(h, "172.16.2.7", udp, portsOf(1, 53)), later, "plain", Dials, "Disconnected"},
		} {
			d := s.set.Explain(c.p, c.at)
			if nameOf(d.Interface) != c.iface || d.Verdict != c.v || d.Dials != (c.v == Dials) || !strings.Contains(strings.Join(d.Why, "\n"), c.why) {
				t.Errorf("case %d: %q %v, want %q %v because of %q:\n%s", n, nameOf(d.Interface), d.Verdict, c.iface, c.v, c.why, strings.Join(d.Why, "\n"))
			}
			if c.iface != "" && !d.Route.Prefix.IsValid() {
				t.Errorf("case %d: no route", n)
			}
		}
	})
}

// TestExplainOfEquals: of two calls whose far sides have the same address the table uses the newest, and so says Explain.
func TestExplainOfEquals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := iface("a", route("172.16.2.0/24", 1)), iface("b", route("172.16.3.0/24", 1))
		s := newSite(t, a, b)
		s.start()
		p := ip("172.16.1.7", "10.2.0.3", 17, portsOf(1, 53))
		for _, x := range []*Interface{a, b, a} {
			x.Disconnect()
			if err := x.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if hop := s.set.Router.Routes.Lookup(netip.MustParseAddr("10.2.0.3")); hop != tunnel.PacketWriter(x) {
				t.Fatalf("the table uses %v", hop)
			}
			if d := s.set.Explain(p, time.Now()); d.Interface != x || d.Verdict != Passes {
				t.Errorf("%s is in use, but Explain names %q", x.Name, nameOf(d.Interface))
			}
		}
	})
}

// TestExplainOfASetThatIsNotServed: as if it had just begun to be.
func TestExplainOfASetThatIsNotServed(t *testing.T) {
	off := iface("off", route("172.16.3.0/24", 0))
	off.Disabled = true
	s := newSite(t, iface("on", route("172.16.2.0/24", 0)), off)
	ask := func(dst string) Decision {
		return s.set.Explain(ip("172.16.1.7", dst, 17, portsOf(1, 53)), time.Now())
	}
	if d := ask("172.16.2.7"); !d.Dials || d.Interface.Name != "on" {
		t.Errorf("%+v", d)
	}
	if d := ask("172.16.3.7"); d.Verdict != NoRoute || !strings.Contains(strings.Join(d.Why, "\n"), "off, but that is unreachable, and its routes are withdrawn: disabled") {
		t.Errorf("%+v", d)
	}
	s.set.Pause(true)
	if d := ask("172.16.2.7"); d.Verdict != NoRoute || !strings.Contains(strings.Join(d.Why, "\n"), "paused") {
		t.Errorf("%+v", d)
	}
}

// FuzzExplainAgreesWithTheEngine brings a router into a state, asks what would become of a packet, and then sends it.
func FuzzExplainAgreesWithTheEngine(f *testing.F) {
	for n := range byte(64) {
		f.Add([]byte{n, n ^ 0x2a, 3 * n, n >> 1}, []byte{0, 0, 1, n, 2, n >> 2, 3, n, 4, 2 * n, 5, n})
		f.Add([]byte{3 * n, n >> 1, n ^ 0x2a}, []byte{8, n, 0, n, 9, n, 1, n, 10, n, 0, n + 1, 9, 0, 0, n})
	}
	f.Fuzz(func(t *testing.T, config, script []byte) {
		if len(script) > 60 {
			return
		}
		synctest.Test(t, func(t *testing.T) { agree(t, config, script) })
	})
}

func agree(t *testing.T, config, script []byte) {
	bit := func(n, b int) bool { return n < len(config) && config[n]>>b&1 == 1 }
	networks := []string{"172.16.2.0/24", "172.16.0.0/16", "172.16.2.128/25", "0.0.0.0/0"}
	s := newSite(t)
	defer func() {
		if s.stop != nil {
			s.stop()
		}
	}()
	var fars []*far
	var list []*Interface
	for n := range 3 {
		i := iface(string(rune('A'+n)), route(networks[n], n))
		i.Routes = append(i.Routes, Route{Prefix: netip.MustParsePrefix(networks[3]), Metric: n, Connected: bit(n, 0)})
		fr := &far{t: t}
		fars = append(fars, fr)
		if !bit(n, 1) || n == 0 {
			i.Dial = fr.dial
		} else {
			i.Dial = nil
		}
		i.Attempts, i.IdleTimeout = 1, 20*time.Minute
		if bit(n, 2) {
			i.Demand = func(p []byte) bool { return p[len(p)-1]&1 == 0 }
		}
		if bit(n, 3) {
			i.Out = func(p []byte) bool { return p[len(p)-1]&2 == 0 }
		}
		if bit(n, 4) {
			i.Hours = func(t time.Time) bool { return t.Minute()/10%2 == 0 }
			i.HoursCut = bit(n, 0)
		}
		i.Persistent = bit(n, 5) && i.Dial != nil
		i.Disabled = bit(n, 6)
		if bit(n, 7) {
			fr.set(busy)
		}
		list = append(list, i)
	}
	if err := s.set.Add(list...); err != nil {
		t.Fatal(err)
	}
	s.start()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for len(script) >= 2 {
		op, arg := script[0], script[1]
		script = script[2:]
		i, fr := list[int(arg)%3], fars[int(arg)%3]
		switch op % 11 {
		case 0, 1:
			check(t, s, list, fars, arg)
		case 2:
			sleep(time.Duration(arg) * 20 * time.Second)
		case 3:
			fr.set(busy)
		case 4:
			fr.set(nil)
		case 5:
			go i.Connect(ctx)
		case 6:
			i.Disconnect()
		case 7:
			i.Enable(arg&8 != 0)
		case 8:
			l, _ := newLink("")
			go i.Answer(ctx, l)
		case 9:
			s.set.Pause(arg&8 != 0)
		case 10:
			i.Redial()
		}
		synctest.Wait()
	}
	check(t, s, list, fars, 0)
	check(t, s, list, fars, 5)
	cancel()
	s.stop()
}

// check sends a packet and compares what happens with what Explain says.
func check(t *testing.T, s *site, list []*Interface, fars []*far, arg byte) {
	dst := netip.AddrFrom4([4]byte{172, 16, arg >> 6 & 3, arg})
	p := datagram(here, dst, 53, arg)
	want := s.set.Explain(p, time.Now())
	type seen struct {
		Counters
		dials int
	}
	look := func() (all []seen) {
		for n, i := range list {
			all = append(all, seen{i.Status().Counters, fars[n].count()})
		}
		return all
	}
	before := look()
	s.set.Router.Write([][]byte{append(make([]byte, 8), p...)}, 8)
	synctest.Wait()
	after := look()
	for n, i := range list {
		a, b := before[n], after[n]
		var got []Verdict
		if b.Filtered > a.Filtered {
			got = append(got, Filtered)
		}
		if b.dials > a.dials {
			got = append(got, Dials)
		} else if b.Held > a.Held {
			got = append(got, Waits)
		} else if b.TxPackets > a.TxPackets {
			got = append(got, Passes)
		}
		if b.Rejected > a.Rejected && b.dials == a.dials {
			got = append(got, Rejected)
		}
		var should []Verdict
		if want.Interface == i {
			should = append(should, want.Verdict)
		}
		if !slices.Equal(got, should) {
			t.Fatalf("%s, packet %d to %v: %v, but Explain says %v of %s: %q\n%+v\n%+v", i.Name, arg, dst, got, want.Verdict, nameOf(want.Interface), want.Why, a, b)
		}
	}
}
