package dhcpinform

import (
	"bytes"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// Of answers that differ in one thing from the right one, none changes anything.
func TestLeaseTakesOnlyAnswersToWhatItAsked(t *testing.T) {
	good := netip.MustParseAddrPort("192.0.2.1:67")
	for name, c := range map[string]struct {
		from   netip.AddrPort
		change func(m message) message
	}{
		"xid":      {good, func(m message) message { m[atXID]++; return m }},
		"hardware": {good, func(m message) message { m[atCHAddr]++; return m }},
		"op":       {good, func(m message) message { m[0] = request; return m }},
		"another's identifier": {good, func(m message) message {
			return finish(appendOption(bytes.TrimRight(m, "\x00")[:len(bytes.TrimRight(m, "\x00"))-1], optClient, []byte("\x00other")), 0)
		}},
		"server": {netip.MustParseAddrPort("192.0.2.66:67"), func(m message) message {
			return message(bytes.Replace(m, []byte{optServer, 4, 192, 0, 2, 1}, []byte{optServer, 4, 192, 0, 2, 66}, 1))
		}},
		"no server": {good, func(m message) message {
			return message(bytes.Replace(m, []byte{optServer, 4, 192, 0, 2, 1}, []byte{0, 0, 0, 0, 0, 0}, 1))
		}},
		"cut": {good, func(m message) message { return m[:200] }},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &LeasePool{Block: 2, Servers: []netip.AddrPort{good}, Addr: adr("192.0.2.2"), Lost: func(a netip.Addr, err error) { t.Errorf("%s: %v", name, err) }}
			s := leaseHost(t, p)
			a := lease1(t, p, "alice")
			synctest.Wait()
			s.set(func() { s.silent = true })
			s.take()
			time.Sleep(31 * time.Minute)
			synctest.Wait()
			renewed := p.Stats().Renewed
			for _, h := range s.take() {
				for _, kind := range []byte{typeNAK, typeACK, typeOffer} {
					s.wire.in <- packet2{c.change(leaseAnswer(h.m, kind, h.addr, s.id, 60)), c.from}
				}
			}
			synctest.Wait()
			if x := p.Stats(); x.Lost != 0 || x.Renewed != renewed || x.Used != 1 {
				t.Errorf("%s: %+v", name, x)
			}
			// The same unchanged is taken: the test would show nothing otherwise.
			time.Sleep(15 * time.Minute)
			synctest.Wait()
			for _, h := range s.take() {
				s.wire.in <- packet2{leaseAnswer(h.m, typeACK, h.addr, s.id, 3600), good}
			}
			synctest.Wait()
			if x := p.Stats(); x.Renewed <= renewed {
				t.Errorf("%s: the right answer is not taken: %+v", name, x)
			}
			p.Put(single(a))
		})
	}
}

// FuzzLease answers what a pool asks with anything: it never gives one address twice, and goes on when its server does.
func FuzzLease(f *testing.F) {
	m := leaseAnswer(ack(), typeOffer, adr("192.0.2.10"), adr("192.0.2.1"), 60)
	f.Add([]byte(m), uint8(0), uint8(0))
	f.Add([]byte(leaseAnswer(ack(), typeNAK, adr("0.0.0.0"), adr("192.0.2.1"), 60)), uint8(2), uint8(1))
	f.Add([]byte(leaseAnswer(ack(), typeACK, adr("192.0.2.10"), adr("192.0.2.1"), 1)), uint8(1), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, when, which uint8) {
		synctest.Test(t, func(t *testing.T) {
			p := &LeasePool{Block: 4, Wait: time.Hour}
			s := leaseHost(t, p)
			own, _ := p.Own(t.Context())
			seen := map[netip.Addr]bool{own: true}
			a := lease1(t, p, "alice")
			seen[a] = true
			s.set(func() { s.silent = true })
			time.Sleep([]time.Duration{time.Second, 31 * time.Minute, 53 * time.Minute, 2 * time.Hour}[when%4])
			synctest.Wait()
			// As if the server had sent it, to an exchange that is open.
			p.mu.Lock()
			var xids []uint32
			for x := range p.byXID {
				xids = append(xids, x)
			}
			hw := p.writer.hw
			p.mu.Unlock()
			b = bytes.Clone(b)
			if len(b) >= atOptions && len(xids) > 0 {
				x := xids[int(which)%len(xids)]
				b[0], b[1], b[2] = reply, hw.kind, hw.n
				b[atXID], b[atXID+1], b[atXID+2], b[atXID+3] = byte(x>>24), byte(x>>16), byte(x>>8), byte(x)
				copy(b[atCHAddr:], hw.addr[:])
			}
			s.wire.in <- packet2{b, s.from}
			synctest.Wait()
			s.set(func() { s.silent = false; s.held = make(map[string]netip.Addr); s.next = 100 })
			for _, u := range users(12) {
				x := lease1(t, p, u)
				if seen[x] {
					t.Fatalf("%v twice", x)
				}
				seen[x] = true
			}
		})
	})
}
