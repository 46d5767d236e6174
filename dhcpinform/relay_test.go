package dhcpinform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/tunnel"
)

var kea, dnsmasq = netip.MustParseAddrPort("192.0.2.1:67"), netip.MustParseAddrPort("192.0.2.2:67")

// A wire is the relay's socket: a test is the servers.
type wire struct {
	net.PacketConn
	in, out chan packet2
	closed  chan struct{}
}

type packet2 struct {
	b    []byte
	addr netip.AddrPort
}

func newWire() *wire {
	return &wire{in: make(chan packet2, 100), out: make(chan packet2, 1000), closed: make(chan struct{})}
}

func (w *wire) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-w.in:
		if p.b == nil {
			return 0, nil, os.ErrInvalid
		}
		return copy(b, p.b), net.UDPAddrFromAddrPort(p.addr), nil
	case <-w.closed:
		return 0, nil, net.ErrClosed
	}
}

func (w *wire) WriteTo(b []byte, a net.Addr) (int, error) {
	w.out <- packet2{bytes.Clone(b), a.(*net.UDPAddr).AddrPort()}
	return len(b), nil
}

func (w *wire) Close() error {
	select {
	case <-w.closed:
	default:
		close(w.closed)
	}
	return nil
}

func newRelay() *Relay {
	return &Relay{Servers: []netip.AddrPort{kea, netip.AddrPortFrom(dnsmasq.Addr(), 0)}, Addr: adr("10.8.0.1"),
		Agent: func(client netip.Addr, via tunnel.PacketWriter) AgentInfo {
			return AgentInfo{CircuitID: "ppp " + client.String(), RemoteID: "alice", LinkSelection: adr("10.8.0.0"), ServerOverride: adr("10.8.0.1")}
		}}
}

// relayedHost runs a relay until the test's end.
func relayedHost(t *testing.T, r *Relay) (*receiverHost, *wire) {
	w := newWire()
	go r.Serve(t.Context(), w)
	return newHost(r), w
}

func TestRelayChangesOnlyWhatItMust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay()
		h, w := relayedHost(t, r)
		c, _ := h.connect(t, "10.8.0.2/32", r.Link)
		asked := make(chan []byte, 10)
		snoop := &snooper{Link: c.Link, sent: asked}
		c.Link = snoop
		go c.Inform(t.Context(), nil)
		synctest.Wait()
		m := message((<-asked)[headroom+headers:])
		end, _ := walk(m[atOptions:], nil)
		want := bytes.Clone(m[:atOptions+end])
		want[atHops] = 1
		copy(want[atGIAddr:], []byte{10, 8, 0, 1})
		want = append(want, 82, 34, 1, 12, 'p', 'p', 'p', ' ', '1', '0', '.', '8', '.', '0', '.', '2', 2, 5, 'a', 'l', 'i', 'c', 'e',
			5, 4, 10, 8, 0, 0, 11, 4, 10, 8, 0, 1)
		want[atOptions+end+1] = byte(len(want) - atOptions - end - 2)
		want = finish(want, 0)
		for _, server := range []netip.AddrPort{kea, dnsmasq} {
			if p := <-w.out; p.addr != server || !bytes.Equal(p.b, want) {
				t.Errorf("%v was sent\n%x, want\n%x", p.addr, p.b, want)
			}
		}
		c.Close()
	})
}

// A snooper is a link that shows what is written to it.
type snooper struct {
	tunnel.Link
	sent chan []byte
}

func (s *snooper) Write(bufs [][]byte, offset int) (int, error) {
	for _, b := range bufs {
		s.sent <- bytes.Clone(b)
	}
	return s.Link.Write(bufs, offset)
}

// echo makes the answer of a server: options in front of the echo of option 82 (RFC 3046 section 2.2).
func echo(m message, options ...byte) message {
	b := answer(m, options...)
	copy(b[atGIAddr:], m[atGIAddr:atGIAddr+4])
	if d, ok := m.option(optAgent); ok {
		b, _ = appendAgent(b, d)
	}
	return b
}

func TestRelayDeliversHoweverServersAnswer(t *testing.T) {
	for name, send := range map[string]func(h *receiverHost, w *wire, m message){
		"to giaddr, as dnsmasq": func(h *receiverHost, w *wire, m message) { w.in <- packet2{m, dnsmasq} },
		"to giaddr without ciaddr": func(h *receiverHost, w *wire, m message) {
			clear(m[atCIAddr : atCIAddr+4])
			w.in <- packet2{m, kea}
		},
		"to ciaddr:68, as ISC": func(h *receiverHost, w *wire, m message) {
			h.router.Write([][]byte{udp("192.0.2.1:67", "10.8.0.2:68", m)}, 0)
		},
		"to ciaddr:67, as Kea": func(h *receiverHost, w *wire, m message) {
			clear(m[atGIAddr : atGIAddr+4])
			h.router.Write([][]byte{udp("192.0.2.1:67", "10.8.0.2:67", m)}, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRelay()
				h, w := relayedHost(t, r)
				c, _ := h.connect(t, "10.8.0.2/32", r.Link)
				other, _ := h.connect(t, "10.8.0.3/32", r.Link)
				go other.Inform(t.Context(), nil)
				synctest.Wait()
				<-w.out
				<-w.out
				go func() {
					<-w.out // one of two servers is dead
					m := message((<-w.out).b)
					send(h, w, echo(m, 15, 1, 'd', 249, 6, 8, 10, 10, 8, 0, 1))
				}()
				o, err := c.Inform(t.Context(), nil)
				if err != nil || o.Domain != "d" || len(o.Routes) != 1 {
					t.Fatalf("%+v %v", o, err)
				}
				for _, x := range o.Raw {
					if x.Code == optAgent {
						t.Errorf("the client was told option 82: %q", x.Data)
					}
				}
				synctest.Wait()
				if s := r.Stats(); s != (Stats{Asked: 2, Answered: 1}) {
					t.Errorf("%+v", s)
				}
				c.Close()
				other.Close()
			})
		})
	}
}

func TestRelayTakesAnswersOfItsServersOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay()
		_, w := relayedHost(t, r)
		s, other := newSession("10.8.0.2/32"), newSession("10.8.0.3/32")
		r.Receive(s, [][]byte{udp("10.8.0.2:68", "255.255.255.255:67", informOf("10.8.0.2", 7, 15))}, 0)
		r.Receive(other, [][]byte{udp("10.8.0.3:68", "255.255.255.255:67", informOf("10.8.0.3", 7, 15))}, 0)
		asked := message((<-w.out).b)
		bad := 0
		for name, forge := range map[string]func(m message) packet2{
			"a stranger":       func(m message) packet2 { return packet2{m, netip.MustParseAddrPort("192.0.2.3:67")} },
			"another giaddr":   func(m message) packet2 { m[atGIAddr+3]++; return packet2{m, kea} },
			"another xid":      func(m message) packet2 { m[atXID]++; return packet2{m, kea} },
			"another ciaddr":   func(m message) packet2 { m[atCIAddr+3] = 9; return packet2{m, kea} },
			"another hardware": func(m message) packet2 { m[atCHAddr]++; return packet2{m, kea} },
			"a request":        func(m message) packet2 { m[0] = request; return packet2{m, kea} },
			"NAK":              func(m message) packet2 { m[atOptions+2] = 6; return packet2{m, kea} },
			"no DHCP":          func(m message) packet2 { return packet2{m[:100], kea} },
		} {
			w.in <- forge(echo(asked))
			synctest.Wait()
			if bad++; len(s.got)+len(other.got) != 0 || r.Stats().Strange != uint64(bad) {
				t.Errorf("%s: delivered, %+v", name, r.Stats())
				s.got, other.got = nil, nil
			}
		}
		for range 2 { // both servers answer
			w.in <- packet2{echo(asked), kea}
		}
		synctest.Wait()
		if len(s.got) != 2 || len(other.got) != 0 {
			t.Errorf("%d answers, %d to another", len(s.got), len(other.got))
		}
		d, ok := parseUDP(s.got[0])
		m, _ := parseMessage(d.payload)
		want := echo(asked)
		stripAgent(want)
		if !ok || d.src != r.Addr || d.dst != adr("10.8.0.2") || d.srcPort != 67 || d.dstPort != 68 || !bytes.Equal(m, want) {
			t.Errorf("%+v", d)
		}
		flagged := echo(asked)
		flagged[atFlags] = 0x80
		w.in <- packet2{flagged, kea}
		synctest.Wait()
		if d, _ := parseUDP(s.got[2]); d.dst != broadcast {
			t.Errorf("with the flag for broadcasts it was sent to %v", d.dst)
		}
		time.Sleep(askLife + time.Second)
		w.in <- packet2{echo(asked), kea}
		synctest.Wait()
		if len(s.got) != 3 {
			t.Error("an answer came a minute late and was delivered")
		}
	})
}

func TestRelayLinkLeavesOtherPacketsAlone(t *testing.T) {
	r := newRelay()
	far, near := newSession("10.8.0.2/32"), newSession("10.8.0.2/32")
	m := informOf("10.8.0.2", 7, 15)
	r.Receive(near, [][]byte{udp("10.8.0.2:68", "255.255.255.255:67", m)}, 0)
	l := r.Link(&sessionLink{session: far})
	with82 := echo(m)
	with82, _ = appendAgent(with82, []byte{1, 1, 'x'})
	other := bytes.Clone(with82)
	other[atXID]++
	packets := [][]byte{
		udp("192.0.2.1:67", "10.8.0.2:67", other),  // the client serves DHCP itself
		udp("192.0.2.3:67", "10.8.0.2:67", with82), // no server of ours
		udp("192.0.2.1:67", "10.8.0.2:99", with82),
		udp("192.0.2.1:53", "10.8.0.2:67", with82),
		udp("192.0.2.1:67", "10.8.0.2:67", []byte("hello")),
		{0x45}, {}, make([]byte, 40),
	}
	for i, p := range packets {
		l.Write([][]byte{bytes.Clone(p)}, 0)
		if !bytes.Equal(far.got[i], p) {
			t.Errorf("packet %d was changed", i)
		}
	}
	l.Write([][]byte{udp("192.0.2.1:67", "10.8.0.2:67", with82)}, 0)
	stripped := bytes.Clone(with82)
	stripAgent(stripped)
	if want := udp("192.0.2.1:67", "10.8.0.2:68", stripped); !bytes.Equal(far.got[len(packets)], want) {
		t.Errorf("got\n%x, want\n%x", far.got[len(packets)], want)
	}
	bufs := [][]byte{udp("192.0.2.1:67", "10.8.0.2:67", with82), udp("192.0.2.1:53", "10.8.0.2:99", []byte("x"))}
	w := r.Link(&sessionLink{session: far, quiet: true})
	if n := testing.AllocsPerRun(100, func() { w.Write(bufs, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type sessionLink struct {
	*session
	quiet bool
}

func (l *sessionLink) Write(bufs [][]byte, offset int) (int, error) {
	if l.quiet {
		return len(bufs), nil
	}
	return l.session.Write(bufs, offset)
}
func (l *sessionLink) DNS() []netip.Addr { return nil }
func (l *sessionLink) Close() error      { return nil }
func (l *sessionLink) Serve(context.Context, func([][]byte, int) (int, error)) error {
	return net.ErrClosed
}

func TestRelayHopsSecsAndFloods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay()
		r.Agent = nil
		s := newSession("10.8.0.2/32")
		ask := func(change func(m message)) Stats {
			before := r.Stats()
			m := informOf("10.8.0.2", 7, 15)
			change(m)
			r.Receive(s, [][]byte{udp("10.8.0.2:68", "10.8.0.1:67", m)}, 0)
			time.Sleep(time.Minute)
			now := r.Stats()
			return Stats{Asked: now.Asked - before.Asked, Refused: now.Refused - before.Refused, Dropped: now.Dropped - before.Dropped}
		}
		for _, test := range []struct{ max, hops, want uint8 }{{0, 4, 1}, {0, 5, 0}, {2, 3, 0}, {200, 16, 1}, {200, 17, 0}} {
			r.MaxHops = test.max
			if got := ask(func(m message) { m[atHops] = test.hops }); got.Asked != uint64(test.want) || got.Refused != uint64(1-test.want) {
				t.Errorf("%+v: %+v", test, got)
			}
		}
		r.Secs = 4
		if got := ask(func(m message) { m[atSecs+1] = 3 }); got.Asked != 0 || got.Dropped != 1 {
			t.Errorf("too early: %+v", got)
		}
		if got := ask(func(m message) { m[atSecs+1] = 4 }); got.Asked != 1 {
			t.Errorf("in time: %+v", got)
		}
		r.Secs = 0
		before := r.Stats()
		for i := range 10000 {
			r.Receive(s, [][]byte{udp("10.8.0.2:68", "10.8.0.1:67", informOf("10.8.0.2", uint32(i), 15))}, 0)
		}
		if got := r.Stats(); got.Asked-before.Asked != 8 || got.Limited != 9992 {
			t.Errorf("%+v", got)
		}
		// Nobody serves the relay: what many sessions ask is dropped when the queue is full.
		for i := range 1000 {
			a := fmt.Sprintf("10.9.%d.%d", i/250, i%250+1)
			r.Receive(newSession(a+"/32"), [][]byte{udp(a+":68", "10.8.0.1:67", informOf(a, 7, 15))}, 0)
		}
		if len(r.queue) != relayQueue || len(r.asks.open) > relayQueue+20 {
			t.Errorf("%d messages wait, %d questions", len(r.queue), len(r.asks.open))
		}
		time.Sleep(2 * askLife)
		<-r.queue
		r.Receive(s, [][]byte{udp("10.8.0.2:68", "10.8.0.1:67", informOf("10.8.0.2", 7, 15))}, 0)
		if len(r.asks.open) != 1 || len(r.peers.full) != 1 {
			t.Errorf("%d questions, %d sessions are remembered", len(r.asks.open), len(r.peers.full))
		}
	})
}

func TestTransparentRelaySendsThePacketsOfTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay()
		r.Transparent, r.Addr = true, netip.Addr{}
		h := newHost(r)
		r.Next = h.uplink
		c, _ := h.connect(t, "10.8.0.2/32", r.Link)
		go func() {
			synctest.Wait()
			if len(h.uplink.got) != 2 {
				t.Errorf("%d packets, want one to each server", len(h.uplink.got))
				return
			}
			for i, server := range []netip.AddrPort{kea, dnsmasq} {
				d, ok := parseUDP(h.uplink.got[i])
				m, ok2 := parseMessage(d.payload)
				if !ok || !ok2 || d.src != adr("10.8.0.2") || d.srcPort != 68 || d.dst != server.Addr() || d.dstPort != 67 {
					t.Errorf("%+v", d)
				}
				if _, has := m.option(optAgent); has || m.hops() != 0 || !m.giaddr().IsUnspecified() || m.kind() != typeInform {
					t.Errorf("%x", m)
				}
				h.router.Write([][]byte{udp(server.String(), "10.8.0.2:68", answer(m, 15, 1, 'd'))}, 0)
			}
		}()
		o, err := c.Inform(t.Context(), nil)
		if err != nil || o.Domain != "d" {
			t.Fatalf("%+v %v", o, err)
		}
		synctest.Wait()
		if s := r.Stats(); s != (Stats{Asked: 1, Answered: 2}) {
			t.Errorf("%+v", s)
		}
		r.Next = nil
		r.Receive(newSession("10.8.0.3/32"), [][]byte{udp("10.8.0.3:68", "255.255.255.255:67", informOf("10.8.0.3", 7, 15))}, 0)
		if s := r.Stats(); s.Dropped != 1 {
			t.Errorf("without Next: %+v", s)
		}
		c.Close()
	})
}

// BenchmarkFlood is what a hostile session costs its server for each inform.
func BenchmarkFlood(b *testing.B) {
	for name, m := range map[string]message{
		"limited": informOf("10.8.0.2", 7, windowsAsks[:]...),
		"refused": func() message { m, _ := appendAgent(informOf("10.8.0.2", 7, 15), []byte{1, 1, 'x'}); return m }(),
	} {
		b.Run(name, func(b *testing.B) {
			r, s := newRelay(), newSession("10.8.0.2/32")
			bufs := [][]byte{udp("10.8.0.2:68", "255.255.255.255:67", m)}
			b.ReportAllocs()
			for b.Loop() {
				r.Receive(s, bufs, 0)
			}
		})
	}
}

func TestRelayServeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		w := newWire()
		go func() { ended <- newRelay().Serve(ctx, w) }()
		for range 5 {
			w.in <- packet2{} // a read that fails
		}
		synctest.Wait()
		why := errors.New("shutdown")
		cancel(why)
		if err := <-ended; !errors.Is(err, why) {
			t.Error(err)
		}
		w = newWire()
		go func() { ended <- newRelay().Serve(t.Context(), w) }()
		w.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		w = newWire()
		for range 11 {
			w.in <- packet2{}
		}
		if err := newRelay().Serve(t.Context(), w); !errors.Is(err, os.ErrInvalid) {
			t.Error(err)
		}
		if err := (&Relay{}).Serve(t.Context(), newWire()); err == nil {
			t.Error("a relay without servers runs")
		}
	})
}

func TestStripAgent(t *testing.T) {
	plain := func(options ...byte) message { return ack(options...) }
	for name, test := range map[string]struct{ in, want []byte }{
		"last":              {[]byte{15, 1, 'd', 82, 2, 1, 0}, []byte{15, 1, 'd'}},
		"in the middle":     {[]byte{82, 2, 1, 0, 0, 15, 1, 'd'}, []byte{0, 15, 1, 'd'}},
		"twice":             {[]byte{82, 0, 15, 1, 'd', 82, 1, 9}, []byte{15, 1, 'd'}},
		"none":              {[]byte{15, 2, 82, 0}, []byte{15, 2, 82, 0}},
		"behind END, no it": {[]byte{15, 1, 'd', 255, 82, 0}, []byte{15, 1, 'd', 255, 82, 0}},
	} {
		m, want := plain(test.in...), plain(test.want...)
		changed := stripAgent(m)
		if !bytes.Equal(m, want) || changed == slices.Equal(test.in, test.want) {
			t.Errorf("%s: %v\n%x, want\n%x", name, changed, m, want)
		}
	}
	m := plain(52, 1, 1)
	copy(m[atFile:], []byte{82, 1, 9, 15, 1, 'd', 255})
	if !stripAgent(m) || !bytes.HasPrefix(m[atFile:], []byte{15, 1, 'd', 255, 0, 0, 0}) {
		t.Errorf("in file: %x", m[atFile:atCookie])
	}
}

func TestAgentInfoThatDoesNotFitIsLeftOut(t *testing.T) {
	if b := (AgentInfo{CircuitID: string(make([]byte, 200)), RemoteID: string(make([]byte, 60))}).data(); b != nil {
		t.Errorf("%d bytes", len(b))
	}
	if b := (AgentInfo{CircuitID: string(make([]byte, 256)), RemoteID: "r"}).data(); !bytes.Equal(b, []byte{2, 1, 'r'}) {
		t.Errorf("%x", b)
	}
	long := message(finish(appendOption(informOf("10.8.0.2", 7, 15)[:atOptions+3:atOptions+3], 43, make([]byte, 1220)), 0))
	if m, ok := appendAgent(long, []byte{1, 1, 'x'}); ok || !bytes.Equal(m, long) {
		t.Error("a message was made longer than the MTU")
	}
}

func FuzzRelay(f *testing.F) {
	f.Add([]byte(informOf("10.8.0.2", 7, 15)), []byte(ack(82, 3, 1, 1, 'x')))
	f.Add([]byte(informOf("10.8.0.2", 7, 15)), []byte(ack(52, 1, 3, 82, 0)))
	f.Fuzz(func(t *testing.T, ask, answered []byte) {
		if len(ask) > 1372 || len(answered) > 1372 {
			return
		}
		r := newRelay()
		s := newSession("10.8.0.2/32")
		r.Receive(s, [][]byte{udp("10.8.0.2:68", "255.255.255.255:67", ask)}, 0)
		if len(r.queue) == 1 {
			m, ok := parseMessage(<-r.queue)
			if !ok || m.giaddr() != r.Addr || m.kind() != typeInform || m.ciaddr() != adr("10.8.0.2") || len(m) > max(maxRelayed, len(ask)) {
				t.Errorf("relayed %x", m)
			}
			end, _ := walk(message(ask)[atOptions:], nil)
			if !bytes.Equal(m[:atHops], ask[:atHops]) || !bytes.Equal(m[atXID:atGIAddr], ask[atXID:atGIAddr]) || !bytes.Equal(m[atCHAddr:atOptions+end], ask[atCHAddr:atOptions+end]) {
				t.Errorf("relayed\n%x, of\n%x", m, ask)
			}
		}
		// Whatever a server says goes to the session that asked, or nowhere.
		if len(answered) >= atOptions {
			copy(answered[atXID:], []byte{0, 0, 0, 7})
			copy(answered[atGIAddr:], r.Addr.AsSlice())
		}
		r.answer(answered, net.UDPAddrFromAddrPort(kea))
		r.Link(&sessionLink{session: s}).Write([][]byte{udp("192.0.2.1:67", "10.8.0.2:67", answered)}, 0)
		for _, p := range s.got {
			d, ok := parseUDP(p)
			if !ok || len(d.payload) != len(answered) {
				t.Fatalf("%x", p)
			}
			if m, ok := parseMessage(d.payload); ok && d.dstPort == clientPort {
				if _, has := m.option(optAgent); has {
					t.Errorf("option 82 is left in %x", m)
				}
			}
		}
	})
}
