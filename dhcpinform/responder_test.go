package dhcpinform

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

// A receiverHost is a server with a Router in memory.
type receiverHost struct {
	router *tunnel.Router
	uplink *recorder
}

// newHost returns a Router whose Local leads to r, which is named once it is known.
func newHost(r tunnel.Receiver) *receiverHost {
	h := &receiverHost{uplink: new(recorder)}
	local := new(tunnel.Table)
	local.Insert(pfx("255.255.255.255/32"), r, 0)
	local.Insert(serverEnd, r, 0)
	h.router = &tunnel.Router{Routes: new(tunnel.Table), Local: local, Uplink: h.uplink}
	return h
}

// connect returns a client that is served, of a session that is routed. wrap changes the server's link.
func (h *receiverHost) connect(t *testing.T, addr string, wrap func(tunnel.Link) tunnel.Link) (*Client, tunnel.Link) {
	server, link := tunneltest.Pipe(serverEnd, pfx(addr))
	if wrap != nil {
		server = wrap(server)
	}
	c := &Client{Link: link}
	go h.router.ServeLink(t.Context(), server)
	go c.Serve(t.Context(), func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
	synctest.Wait()
	return c, server
}

// A recorder is a next hop that keeps copies.
type recorder struct{ got [][]byte }

func (r *recorder) Write(bufs [][]byte, offset int) (int, error) {
	for _, b := range bufs {
		r.got = append(r.got, bytes.Clone(b[offset:]))
	}
	return len(bufs), nil
}

// A session is a recorder with addresses, as a link has.
type session struct {
	recorder
	prefixes []netip.Prefix
	mtu      int
}

func newSession(prefixes ...string) *session {
	s := &session{mtu: 1400}
	for _, p := range prefixes {
		s.prefixes = append(s.prefixes, pfx(p))
	}
	return s
}

func (s *session) Addrs() []netip.Addr      { return []netip.Addr{adr("10.8.0.1")} }
func (s *session) Prefixes() []netip.Prefix { return s.prefixes }
func (s *session) MTU() int                 { return s.mtu }

// informOf makes an inform as a client of this package sends it.
func informOf(client string, xid uint32, request ...byte) message {
	c := &Client{Link: func() tunnel.Link { _, l := tunneltest.Pipe(serverEnd, pfx(client+"/32")); return l }()}
	a := &ask{xid: xid, addr: adr(client), hw: c.hardware(adr(client))}
	return c.inform(a, 0, request)[headroom+headers:]
}

// and returns m with more options.
func and(m message, options ...byte) message {
	end, _ := walk(m[atOptions:], nil)
	return finish(append(m[:atOptions+end:atOptions+end], options...), 0)
}

var office = Options{
	DNS: []netip.Addr{adr("10.0.0.53")}, Domain: "vpn.test", Search: []string{"vpn.test", "corp.test"}, WINS: []netip.Addr{adr("10.77.0.9")},
	NodeType: 8, Routes: []Route{{pfx("10.88.0.0/16"), adr("10.8.0.1")}}, NTP: []netip.Addr{adr("10.0.0.123")}, WPAD: "http://wpad/wpad.dat",
	Vendor: []byte{1, 4, 0, 0, 0, 2}, Scope: "s",
	Raw: []Option{{3, []byte{10, 8, 0, 1}}, {51, []byte{0, 0, 1, 0}}, {150, []byte{1, 2, 3, 4}}},
}

func TestResponderTellsAClientAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var via []tunnel.PacketWriter
		r := &Responder{Options: func(client netip.Addr, w tunnel.PacketWriter) *Options {
			o := office
			o.Domain = client.String()
			via = append(via, w)
			return &o
		}}
		h := newHost(r)
		one, l1 := h.connect(t, "10.8.0.2/32", nil)
		two, l2 := h.connect(t, "10.8.0.3/32", nil)
		two.Server = adr("10.8.0.1")
		for _, c := range []*Client{one, two} {
			o, err := c.Inform(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(o.Raw) != 14 { // 53, 54, what Windows asks and there is: not 51, not 150
				t.Errorf("%d options: %v", len(o.Raw), o.Raw)
			}
			o.Raw = nil
			want := office
			want.Raw, want.Domain, want.Server = nil, c.Addrs()[0].String(), adr("10.8.0.1")
			if !reflect.DeepEqual(*o, want) {
				t.Errorf("got\n%+v, want\n%+v", *o, want)
			}
		}
		if len(via) != 2 || via[0] != l1 || via[1] != l2 {
			t.Errorf("asked for links %v", via)
		}
		synctest.Wait()
		if s := r.Stats(); s != (Stats{Asked: 2, Answered: 2}) {
			t.Errorf("%+v", s)
		}
		one.Close()
		two.Close()
	})
}

func TestNobodyInformsForOthers(t *testing.T) {
	good := func() message { return informOf("10.8.0.2", 7, 15) }
	from := "10.8.0.2:68"
	for name, forge := range map[string]func() (string, message){
		"another ciaddr":     func() (string, message) { m := good(); m[atCIAddr+3]++; return from, m },
		"no ciaddr":          func() (string, message) { m := good(); clear(m[atCIAddr : atCIAddr+4]); return from, m },
		"address of another": func() (string, message) { return "10.8.0.3:68", informOf("10.8.0.3", 7, 15) },
		"giaddr":             func() (string, message) { m := good(); copy(m[atGIAddr:], []byte{10, 8, 0, 1}); return from, m },
		"option 82":          func() (string, message) { m, _ := appendAgent(good(), []byte{1, 1, 'x'}); return from, m },
		"a reply":            func() (string, message) { m := good(); m[0] = reply; return from, m },
		"DISCOVER":           func() (string, message) { m := good(); m[atOptions+2] = 1; return from, m },
		"RELEASE":            func() (string, message) { m := good(); m[atOptions+2] = 7; return from, m },
		"INFORM and RELEASE": func() (string, message) { return from, and(good(), 53, 1, 7) },
		"RELEASE in file": func() (string, message) {
			m := and(good(), 52, 1, 1)
			copy(m[atFile:], []byte{53, 1, 7, 255})
			return from, m
		},
		"option 82 in file": func() (string, message) {
			m := and(good(), 52, 1, 1)
			copy(m[atFile:], []byte{82, 3, 1, 1, 'x', 255})
			return from, m
		},
		"overload said twice":  func() (string, message) { return from, and(good(), 52, 1, 2, 52, 1, 1) },
		"overload said badly":  func() (string, message) { return from, and(good(), 52, 1, 7) },
		"options that are cut": func() (string, message) { return from, good()[:atOptions+4] },
		"no DHCP":              func() (string, message) { return from, message("hello") },
	} {
		src, m := forge()
		responder := &Responder{Options: func(netip.Addr, tunnel.PacketWriter) *Options { return &office }}
		relay := &Relay{Addr: adr("10.8.0.1"), Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:67")}}
		for _, r := range []interface {
			tunnel.Receiver
			Stats() Stats
		}{responder, relay} {
			s := newSession("10.8.0.2/32")
			n, err := r.Receive(s, [][]byte{udp(src, "255.255.255.255:67", m)}, 0)
			if got := r.Stats(); n != 1 || err != nil || got != (Stats{Refused: 1}) || len(s.got) != 0 {
				t.Errorf("%s: %T: %d %v, %+v", name, r, n, err, got)
			}
			r.Write([][]byte{udp(from, "255.255.255.255:67", good())}, 0)
			if got := r.Stats(); got != (Stats{Refused: 2}) {
				t.Errorf("%s: %T: from nobody: %+v", name, r, got)
			}
		}
	}
}

func TestResponderGivesNoLease(t *testing.T) {
	o := Options{Raw: []Option{{1, []byte{255, 255, 255, 0}}}}
	for _, code := range []byte{0, 50, 51, 52, 53, 54, 55, 57, 58, 59, 61, 82, 255} {
		o.Raw = append(o.Raw, Option{code, []byte{9, 9, 9, 9}})
	}
	for _, request := range [][]byte{{1, 51, 58, 59, 82, 52, 53, 54, 51}, nil} {
		m := informOf("10.8.0.2", 7, request...)
		if request == nil {
			m = m[:bytes.Index(m, []byte{optRequest, 0})]
			m = finish(m, 0)
		}
		b, missing := respond(m, &o, adr("10.8.0.1"), 548)
		d, ok := parseUDP(b[headroom:])
		if a, ok2 := parseMessage(d.payload); !ok || !ok2 || missing != nil || !bytes.HasPrefix(a[atOptions:], []byte{53, 1, 5, 54, 4, 10, 8, 0, 1, 1, 4, 255, 255, 255, 0, 255}) {
			t.Errorf("%v: %x", request, d.payload)
		}
	}
}

func TestResponderGivesOnlyWhatWasAsked(t *testing.T) {
	for _, test := range []struct {
		class   string
		request []byte
		want    []byte
	}{
		{"MSFT 5.0", []byte{15, 6, 15}, []byte{53, 54, 15, 6}},
		{"MSFT 5.0", []byte{249, 15}, []byte{53, 54, 249, 121, 15}},
		{"dhcpcd-9", []byte{121, 15, 99}, []byte{53, 54, 121, 15}},
		{"dhcpcd-9", []byte{150, 3}, []byte{53, 54, 150, 3}},
	} {
		m := informOf("10.8.0.2", 7, test.request...)
		m = bytes.Replace(m, []byte("MSFT 5.0"), []byte(test.class), 1)
		b, _ := respond(m, &office, adr("10.8.0.1"), 1000)
		list, ok := message(b[headroom+headers:]).options()
		var codes []byte
		for _, x := range list {
			codes = append(codes, x.Code)
		}
		if !ok || !bytes.Equal(codes, test.want) {
			t.Errorf("%s %v: %v, want %v", test.class, test.request, codes, test.want)
		}
	}
}

func TestResponderOverloadsFieldsWhenThereIsNoRoom(t *testing.T) {
	o := office
	o.Search = []string{strings.Repeat("a", 60) + ".test", strings.Repeat("b", 40) + ".test"}
	o.Raw = append(o.Raw, Option{200, make([]byte, 100)}, Option{201, make([]byte, 50)}, Option{202, make([]byte, 300)}, Option{203, make([]byte, 100)})
	m := informOf("10.8.0.2", 7, 6, 15, 119, 200, 203, 201, 202, 121, 44)
	s := newSession("10.8.0.2/32")
	if _, missing := respond(m, &o, adr("10.8.0.1"), sizeFor(m, s)); missing != nil {
		t.Errorf("no room for %v in the MTU", missing)
	}
	m = bytes.Replace(m, []byte{optMaxSize, 2}, []byte{60, 2}, 1)
	b, missing := respond(m, &o, adr("10.8.0.1"), sizeFor(m, s))
	if len(b)-headroom > minPacket || !bytes.Equal(missing, []byte{202}) {
		t.Errorf("%d bytes, no room for %v", len(b)-headroom, missing)
	}
	a, _ := parseMessage(b[headroom+headers:])
	got, ok := parseOptions(a)
	if overload, _ := a.option(optOverload); !ok || len(overload) != 1 || overload[0] == 0 {
		t.Fatalf("%v, overload %v", ok, overload)
	}
	if !reflect.DeepEqual(got.Search, o.Search) || !reflect.DeepEqual(got.Routes, o.Routes) || got.Domain != o.Domain || len(got.Raw) != 2+8+1 {
		t.Errorf("%+v", got)
	}
}

func TestResponderHandsOnWhatIsNotForIt(t *testing.T) {
	next := new(recorder)
	r := &Responder{Next: next, Options: func(netip.Addr, tunnel.PacketWriter) *Options { return nil }}
	s := newSession("10.8.0.2/32")
	dns := udp("10.8.0.2:5000", "10.8.0.1:53", []byte("query"))
	netbios := udp("10.8.0.2:137", "255.255.255.255:137", []byte("name"))
	fragment := udp("10.8.0.2:68", "10.8.0.1:67", []byte("half"))
	fragment[6] = 0x20
	inform := udp("10.8.0.2:68", "10.8.0.1:67", informOf("10.8.0.2", 7, 15))
	n, err := r.Receive(s, [][]byte{dns, inform, netbios, dns, fragment, {}}, 0)
	if n != 6 || err != nil || len(next.got) != 4 || !bytes.Equal(next.got[0], dns) || !bytes.Equal(next.got[2], fragment) {
		t.Errorf("%d %v: %d handed on", n, err, len(next.got))
	}
	if got := r.Stats(); got != (Stats{Dropped: 1}) {
		t.Errorf("%+v", got)
	}
	r.Next = nil
	if n, err := r.Receive(s, [][]byte{dns}, 0); n != 0 || err != nil {
		t.Errorf("without Next: %d %v", n, err)
	}
}

func TestFloodIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Responder{Options: func(netip.Addr, tunnel.PacketWriter) *Options { return &office }}
		// A far side that is a network has many addresses, and still one rate.
		mallory, alice := newSession("10.9.0.0/16"), newSession("10.8.0.3/32")
		for i := range 20000 {
			src := netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)})
			r.Receive(mallory, [][]byte{udp(src.String()+":68", "255.255.255.255:67", informOf(src.String(), uint32(i), 15))}, 0)
			if i%10 == 9 {
				time.Sleep(time.Millisecond) // 10000 a second
			}
		}
		if n := len(mallory.got); n != 9 { // eight at once, one for the second after
			t.Errorf("%d answers in two seconds", n)
		}
		r.Receive(alice, [][]byte{udp("10.8.0.3:68", "255.255.255.255:67", informOf("10.8.0.3", 1, 15))}, 0)
		if len(alice.got) != 1 {
			t.Error("another session is not answered")
		}
		time.Sleep(2 * askLife)
		r.Receive(alice, [][]byte{udp("10.8.0.3:68", "255.255.255.255:67", informOf("10.8.0.3", 1, 15))}, 0)
		if len(r.peers.full) != 1 {
			t.Errorf("%d sessions are remembered", len(r.peers.full))
		}
	})
}

func FuzzResponder(f *testing.F) {
	f.Add([]byte(informOf("10.8.0.2", 7, 15, 6, 121)))
	f.Add([]byte(informOf("10.8.0.2", 7, bytes.Repeat([]byte{119}, 255)...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1372 {
			return
		}
		r := &Responder{Options: func(netip.Addr, tunnel.PacketWriter) *Options { return &office }}
		s := newSession("10.8.0.2/32")
		r.Receive(s, [][]byte{udp("10.8.0.2:68", "255.255.255.255:67", b)}, 0)
		for _, p := range s.got {
			d, ok := parseUDP(p)
			m, ok2 := parseMessage(d.payload)
			if !ok || !ok2 || len(p) > 1400 || d.dst != adr("10.8.0.2") || d.dstPort != clientPort {
				t.Fatalf("%+v", d)
			}
			if _, ok := parseOptions(m); !ok || m.kind() != typeACK {
				t.Errorf("%x", m)
			}
			if _, has := m.option(optLeaseTime); has {
				t.Error("a lease")
			}
		}
	})
}
