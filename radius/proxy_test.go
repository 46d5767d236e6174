package radius

import (
	"bytes"
	"context"
	"errors"
	mrand "math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
)

const (
	proxyAddr         = "10.0.0.7:1812"
	homeSecret Secret = "another secret, of the home server"
)

// proxied is an access server's Client of a Proxy, which has a Client of home servers at serverA and serverB.
func proxied(t *testing.T, m *mesh, p *Proxy) (access, homes *Client) {
	t.Helper()
	homes = &Client{Dial: m.dial("10.0.0.7"), NAS: "proxy", Targets: []Target{{Addr: serverA, Secret: homeSecret}}}
	if p.Realms == nil {
		p.Realms = map[string]*Realm{"": {Client: homes}}
	}
	s := &Server{Clients: anybody.Find, Handler: p.Handle}
	serve(t, s, m.listen(proxyAddr))
	serve(t, &Server{Clients: anybody.Find, Handler: p.Handle}, m.listen("10.0.0.7:1813"))
	access = &Client{Targets: []Target{{Addr: proxyAddr, Secret: testSecret}}, NAS: "nas", Dial: m.dial("10.0.0.1")}
	t.Cleanup(func() {
		access.Close()
		homes.Close()
	})
	return access, homes
}

func home(t *testing.T, m *mesh, addr string, s *Server) {
	t.Helper()
	s.Clients = func(netip.Addr) (Secret, bool) { return homeSecret, true }
	serve(t, s, m.listen(addr))
}

// The same tests that a Client passes with a Server, with a Proxy between.
func TestProxyPassesEveryMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		var mu sync.Mutex
		wire := map[string][]*Packet{} // by sender
		m.pass = func(from, to netip.AddrPort, b []byte) [][]byte {
			mu.Lock()
			defer mu.Unlock()
			wire[from.Addr().String()] = append(wire[from.Addr().String()], mustParse(t, b))
			return [][]byte{b}
		}
		access, _ := proxied(t, m, &Proxy{})
		home(t, m, serverA, &Server{Authenticator: accounts})
		for _, x := range []ppp.AuthProtocol{ppp.PAP, ppp.CHAP, ppp.MSCHAPv2} {
			clear(wire)
			req := ask(t, x, "alice", "secret")
			g, err := access.Authenticate(t.Context(), req)
			if err != nil {
				t.Fatalf("%v: %v", x, err)
			}
			if g.User != "alice" || g.Addr != netip.MustParseAddr("10.8.0.5") || len(g.Class) != 2 || g.Message != "welcome" {
				t.Errorf("%v: granted %+v", x, g)
			}
			if x == ppp.MSCHAPv2 {
				direct, err := accounts.Authenticate(t.Context(), req)
				if err != nil || !bytes.Equal(g.RecvKey, direct.RecvKey) || !bytes.Equal(g.SendKey, direct.SendKey) || g.Proof != direct.Proof || len(g.SendKey) != 16 {
					t.Errorf("keys %x, %x; want %x, %x", g.SendKey, g.RecvKey, direct.SendKey, direct.RecvKey)
				}
			}
			for sender, list := range wire {
				for _, p := range list {
					if v, ok := p.Get(MessageAuthenticator); !ok || p.attrs[0] != byte(MessageAuthenticator) {
						t.Errorf("%v: %v of %s: Message-Authenticator %x", x, p.Code, sender, v)
					}
				}
			}
			toHome, toNAS := wire["10.0.0.7"][0], wire["10.0.0.7"][1]
			if v, _ := toHome.Get(ProxyState); len(v) != markLen {
				t.Errorf("%v: Proxy-State to the home server: %x", x, v)
			}
			if v, ok := toNAS.Get(ProxyState); ok {
				t.Errorf("%v: Proxy-State to the access server: %x", x, v)
			}
			if x == ppp.MSCHAPv2 {
				a, _ := wire["10.0.0.5"][0].getVendor(Microsoft, msMPPERecvKey)
				b, _ := toNAS.getVendor(Microsoft, msMPPERecvKey)
				if len(a) != len(b) || bytes.Equal(a[2:], b[2:]) {
					t.Errorf("the key is not hidden anew: %x", b)
				}
			}
			if _, err := access.Authenticate(t.Context(), ask(t, x, "alice", "wrong")); !errors.As(err, new(*ppp.AuthError)) {
				t.Errorf("%v, a wrong password: %v", x, err)
			}
		}
		if reply, err := access.Exchange(t.Context(), &Packet{Code: StatusServer}); err != nil || reply.Code != AccessAccept {
			t.Errorf("status: %v, %v", reply, err)
		}
	})
}

// A CHAP-Password for the Request Authenticator, which is another on the next hop.
func TestProxyKeepsTheChallengeOfCHAP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		proxied(t, m, &Proxy{})
		home(t, m, serverA, &Server{Authenticator: passwords})
		n := newNAS(t, m, "10.0.0.1:2000", proxyAddr)
		b := n.request(AccessRequest, 9, true, func(p *Packet) {
			p.addText(UserName, "alice")
			p.Add(CHAPPassword, append([]byte{5}, chapResponse(5, "secret", []byte{9, 1, 2, 15: 0})...))
			p.addText(ProxyState, "first")
			p.addText(ProxyState, "second")
		})
		list := n.send(b)
		if len(list) != 1 || list[0].Code != AccessAccept {
			t.Fatalf("%v", list)
		}
		var states []string
		for a, v := range list[0].All() {
			if a == ProxyState {
				states = append(states, string(v))
			}
		}
		if strings.Join(states, " ") != "first second" {
			t.Errorf("Proxy-States: %q", states)
		}
		// The same again gets the same reply, and the home server is not asked.
		if again := n.send(b); len(again) != 1 || again[0].Authenticator != list[0].Authenticator {
			t.Errorf("again: %v", again)
		}
	})
}

// Two home servers: a conversation stays with the one that it began with, though it lost its place as a third was added.
func TestProxyPassesEAPUntouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		access, homes := proxied(t, m, &Proxy{})
		homes.Targets = append(homes.Targets, Target{Addr: serverB, Secret: homeSecret})
		var rounds [2]atomic.Int32
		home(t, m, serverA, &Server{Authenticator: talker(&rounds[0])})
		home(t, m, serverB, &Server{Authenticator: talker(&rounds[1])})
		for range 20 {
			req := &ppp.AuthRequest{Call: testCall, Protocol: ppp.EAP, User: "alice", EAP: eap(eapResponse, 1, 1, "alice"), Attempt: 1,
				Exchange: func(ctx context.Context, packet []byte) ([]byte, error) {
					if !bytes.Equal(packet, eap(eapRequest, packet[1], 99, "more")) {
						t.Errorf("EAP %x", packet)
					}
					return eap(eapResponse, packet[1], 99, "answer"), nil
				}}
			g, err := access.Authenticate(t.Context(), req)
			if err != nil || len(g.SendKey) != 32 {
				t.Fatalf("%+v, %v", g, err)
			}
		}
		if a, b := rounds[0].Load(), rounds[1].Load(); a+b != 40 || a == 0 || b == 0 {
			t.Errorf("rounds: %d and %d", a, b)
		}
	})
}

func TestProxyRoutesByRealm(t *testing.T) {
	p := &Proxy{Realms: map[string]*Realm{"example.com": {}, "CORP": {}, "*.edu": {}, "*.example.edu": {}, "": {}}}
	p.start()
	for _, x := range [][3]string{
		{"alice", "", "alice"},
		{"", "", ""},
		{"alice@example.com", "example.com", "alice"},
		{"alice@EXAMPLE.com", "example.com", "alice"},
		{"alice@other.com", "", "alice"},
		{"alice@", "", "alice@"},
		{"a@b@example.com", "example.com", "a@b"},
		{`corp\alice`, "CORP", "alice"},
		{`other\alice`, "", "alice"},
		{`\alice`, "", `\alice`},
		{`CORP\alice@example.com`, "example.com", `CORP\alice`},
		{`CORP\alice@other.com`, "CORP", "alice@other.com"},
		{"alice@a.edu", "*.edu", "alice"},
		{"alice@a.b.edu", "*.edu", "alice"},
		{"alice@a.example.edu", "*.example.edu", "alice"},
		{"alice@edu", "", "alice"},
		{"alice@*.edu", "*.edu", "alice"},
		{"alice@*", "", "alice"},
	} {
		if key, user := p.route(x[0]); key != x[1] || user != x[2] {
			t.Errorf("%q: %q, %q; want %q, %q", x[0], key, user, x[1], x[2])
		}
	}
	p = &Proxy{Realms: map[string]*Realm{"*": {}}}
	p.start()
	for name, want := range map[string]string{"alice": "", "alice@anywhere": "*", `ANY\alice`: "*"} {
		if key, _ := p.route(name); key != want {
			t.Errorf("%q: %q; want %q", name, key, want)
		}
	}
}

func TestProxyStripsRealms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		homes := &Client{Dial: m.dial("10.0.0.7"), NAS: "proxy", Targets: []Target{{Addr: serverA, Secret: homeSecret}}}
		defer homes.Close()
		var mu sync.Mutex
		var names []string
		access, _ := proxied(t, m, &Proxy{Realms: map[string]*Realm{"cut": {Client: homes, Strip: true}, "kept": {Client: homes}, "here": {}}})
		home(t, m, serverA, &Server{Handler: func(ctx context.Context, from netip.AddrPort, p *Packet) (*Packet, error) {
			mu.Lock()
			defer mu.Unlock()
			names = append(names, p.text(UserName))
			return &Packet{Code: AccessReject}, nil
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, name := range []string{"alice@cut", `CUT\alice`, "alice@kept", `kept\alice`} {
			access.Authenticate(ctx, ask(t, ppp.PAP, name, "secret"))
		}
		access.Authenticate(ctx, &ppp.AuthRequest{Protocol: ppp.EAP, User: "alice@cut", EAP: eap(eapResponse, 1, 1, "alice@cut"), Attempt: 1})
		if got := strings.Join(names, " "); got != `alice alice alice@kept kept\alice alice@cut` {
			t.Errorf("the home server saw %s", got)
		}
		// Nobody is asked about those that stay here; and this Server has nobody to ask.
		names = nil
		for _, name := range []string{"alice@here", "alice", "alice@unknown"} {
			if _, err := access.Authenticate(t.Context(), ask(t, ppp.PAP, name, "secret")); !errors.Is(err, ErrNoAnswer) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if names != nil {
			t.Errorf("passed on: %q", names)
		}
	})
}

// Two proxies that each take the other for the home server, and one that takes itself.
func TestProxyLoopsEnd(t *testing.T) {
	for _, next := range []string{serverA, proxyAddr} {
		synctest.Test(t, func(t *testing.T) {
			m := newMesh()
			var packets atomic.Int32
			m.pass = func(from, to netip.AddrPort, b []byte) [][]byte {
				packets.Add(1)
				return [][]byte{b}
			}
			access, homes := proxied(t, m, &Proxy{})
			homes.Targets[0] = Target{Addr: next, Secret: testSecret}
			back := &Client{Dial: m.dial("10.0.0.5"), Targets: []Target{{Addr: proxyAddr, Secret: testSecret}}, NAS: "back"}
			defer back.Close()
			serve(t, &Server{Clients: anybody.Find, Handler: (&Proxy{Realms: map[string]*Realm{"": {Client: back}}}).Handle}, m.listen(serverA))
			start := time.Now()
			_, err := access.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret"))
			if !errors.As(err, new(*ppp.AuthError)) || time.Since(start) != 0 || packets.Load() > 6 {
				t.Errorf("%v after %v and %d packets", err, time.Since(start), packets.Load())
			}
			p := &Packet{Code: AccountingRequest}
			if _, err := access.Exchange(t.Context(), p); !errors.Is(err, ErrNoAnswer) || packets.Load() > 50 {
				t.Errorf("accounting: %v after %d packets", err, packets.Load())
			}
		})
	}
	// Others' loops have no mark of this one, but a length.
	p := new(Proxy)
	q := &Packet{Code: AccessRequest}
	for range mostHops {
		q.addText(ProxyState, "x")
	}
	if err := p.loops(q); err != nil {
		t.Error(err)
	}
	q.addText(ProxyState, "x")
	if err := p.loops(q); err == nil {
		t.Error("no end of hops")
	}
}

func TestProxyFailsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		access, homes := proxied(t, m, &Proxy{})
		homes.Targets = append(homes.Targets, Target{Addr: serverB, Secret: homeSecret})
		home(t, m, serverB, &Server{Authenticator: passwords})
		for range 64 { // each may ask the one that lives first
			login(t, access)
		}
		if st := homes.Stats(); !st[0].Dead || st[1].Dead {
			t.Errorf("%+v", st[:2])
		}
	})
	// Where no home server answers, neither does the proxy: that is no refusal.
	synctest.Test(t, func(t *testing.T) {
		access, _ := proxied(t, newMesh(), &Proxy{})
		if _, err := access.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret")); !errors.Is(err, ErrNoAnswer) {
			t.Error(err)
		}
	})
}

func record(status uint32, session string) *Packet {
	p := &Packet{Code: AccountingRequest}
	p.addUint32(AcctStatusType, status)
	p.addText(AcctSessionID, session)
	p.addText(UserName, "alice")
	p.addText(NASIdentifier, "nas")
	return p
}

func TestProxyAnswersAccountingWhenHomeHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		access, homes := proxied(t, m, &Proxy{})
		if _, err := access.Exchange(t.Context(), record(statusStart, "s1")); !errors.Is(err, ErrNoAnswer) {
			t.Errorf("no home server: %v", err)
		}
		l := new(ledger)
		full := true
		home(t, m, "10.0.0.5:1813", &Server{Account: func(ctx context.Context, r *Record) error {
			if full {
				full = false
				return errors.New("the disk is full")
			}
			return l.account(ctx, r)
		}})
		if reply, err := access.Exchange(t.Context(), record(statusStart, "s1")); err != nil || reply.Code != AccountingResponse || l.statuses() != "Start " {
			t.Errorf("%v, %v, %s", reply, err, l.statuses())
		}
		// A server that takes none says so by RadSec; by UDP it must not look like a receipt.
		deaf := newSealedRig(t, &Server{Authenticator: passwords})
		homes.Close()
		p := &Proxy{Realms: map[string]*Realm{"": {Client: deaf.client}}}
		if reply, err := p.Handle(t.Context(), netip.AddrPort{}, record(statusStart, "s2")); reply != nil || err == nil {
			t.Errorf("no receipt: %v, %v", reply, err)
		}
	})
}

func TestProxySpoolsAccounting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		homes := &Client{Dial: m.dial("10.0.0.7"), NAS: "proxy", Targets: []Target{{Addr: serverA, Secret: homeSecret}}}
		defer homes.Close()
		spool := &Accounting{Client: homes, Spool: t.TempDir(), MaxSpool: 4, Relay: true}
		access, _ := proxied(t, m, &Proxy{Realms: map[string]*Realm{"": {Client: homes, Spool: spool}}})
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- spool.Serve(ctx) }()
		other := record(statusInterim, "s1") // another access server's, of the same name
		other.replace(NASIdentifier, []byte("other"))
		for _, p := range []*Packet{record(statusStart, "s1"), record(statusInterim, "s1"), other, record(statusInterim, "s1"), record(statusStop, "s1")} {
			if reply, err := access.Exchange(t.Context(), p); err != nil || reply.Code != AccountingResponse {
				t.Fatalf("%v, %v", reply, err)
			}
		}
		if n := spool.Pending(); n != 3 && n != 4 {
			t.Errorf("%d wait", n)
		}
		access.Exchange(t.Context(), record(statusStart, "s2"))
		// One too many is not taken: the access server keeps it.
		short, cancelShort := context.WithTimeout(t.Context(), time.Second)
		if _, err := access.Exchange(short, record(statusStart, "s3")); spool.Pending() == 4 && err == nil {
			t.Error("taken without room")
		}
		cancelShort()
		time.Sleep(10 * time.Minute)
		l := new(ledger)
		var mu sync.Mutex
		var delays []uint32
		home(t, m, "10.0.0.5:1813", &Server{Account: func(ctx context.Context, r *Record) error {
			mu.Lock()
			defer mu.Unlock()
			n, _ := r.Packet.uint32(AcctDelayTime)
			if _, ok := r.Packet.uint32(EventTimestamp); !ok || r.Packet.text(NASIdentifier) == "proxy" {
				t.Errorf("%v", r.Packet)
			}
			delays = append(delays, n)
			return l.account(ctx, r)
		}})
		time.Sleep(5 * time.Minute)
		cancel()
		if err := <-served; !errors.Is(err, context.Canceled) || spool.Pending() != 0 {
			t.Errorf("%v, %d wait", err, spool.Pending())
		}
		got := l.statuses()
		if strings.Contains(got, "On") || strings.Contains(got, "Off") || strings.Count(got, "Start") != 2 || strings.Count(got, "Stop") != 1 || strings.Count(got, "Interim") != 1 {
			t.Errorf("records: %s", got)
		}
		for _, d := range delays {
			if d < 600 {
				t.Errorf("Acct-Delay-Time %d", d)
			}
		}
	})
}

func TestProxyFiltersAttributes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		access, _ := proxied(t, m, &Proxy{Edit: func(p *Packet, realm string) {
			switch p.Code {
			case AccessRequest:
				p.Remove(CallingStationID)
				p.Remove(ConnectInfo)
				p.addText(ConnectInfo, "by proxy"+realm)
			case AccessAccept:
				p.Remove(FramedRoute)
				p.addUint32(SessionTimeout, 60)
			}
		}})
		home(t, m, serverA, &Server{Authenticator: accounts, Handler: func(ctx context.Context, from netip.AddrPort, p *Packet) (*Packet, error) {
			if _, ok := p.Get(CallingStationID); ok || p.text(ConnectInfo) != "by proxy" {
				t.Errorf("the home server saw %v", p)
			}
			return nil, nil
		}})
		g, err := access.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret"))
		if err != nil || strings.Contains(prefixList(g), "172.16.2.0") {
			t.Errorf("%+v, %v", g, err)
		}
	})
}

// Everything that Access-Accept hides is hidden by each hop's own secret, also where several stand in one attribute.
func TestProxyHidesAnew(t *testing.T) {
	old := bytes.Repeat([]byte{7}, 24)
	old = append(old, make([]byte, 8)...) // RFC 2548 section 2.4.1: padding, which is to stay
	check := func(t *testing.T, p *Packet) {
		if v, _ := p.Get(TunnelPassword); string(v) != "\x03tunnel" {
			t.Errorf("Tunnel-Password %q", v)
		}
		if v, _ := p.getVendor(Microsoft, msCHAPMPPEKeys); !bytes.Equal(v, old) {
			t.Errorf("MS-CHAP-MPPE-Keys %x", v)
		}
		for typ, want := range map[byte]string{msMPPESendKey: "send", msMPPERecvKey: "recv"} {
			if v, _ := p.getVendor(Microsoft, typ); string(v) != want {
				t.Errorf("key %d: %q", typ, v)
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		access, _ := proxied(t, m, &Proxy{Edit: func(p *Packet, _ string) {
			if p.Code == AccessAccept {
				check(t, p)
			}
		}})
		fake(t, m, serverA, func(p *Packet, b []byte) [][]byte {
			send, _ := hideKey([]byte("send"), 0x8001, p.Authenticator, homeSecret)
			recv, _ := hideKey([]byte("recv"), 0x8002, p.Authenticator, homeSecret)
			several := []byte{0, 0, 1, 55, 7, 6, 0, 0, 0, 1, msMPPESendKey, byte(2 + len(send))}
			several = append(append(append(several, send...), msMPPERecvKey, byte(2+len(recv))), recv...)
			hidden, _ := hideKey([]byte("tunnel"), 0x8003, p.Authenticator, homeSecret)
			// encode would hide what is hidden: this is signed by hand.
			q := &Packet{Code: AccessAccept, Identifier: p.Identifier, Authenticator: p.Authenticator}
			q.Add(MessageAuthenticator, make([]byte, 16))
			q.Add(VendorSpecific, several)
			q.Add(TunnelPassword, append([]byte{3}, hidden...))
			q.AddVendor(Microsoft, msCHAPMPPEKeys, chained(old, homeSecret, p.Authenticator, false))
			out, _ := q.AppendBinary(nil)
			sum := signature(out, headerLen+2, p.Authenticator, homeSecret)
			copy(out[headerLen+2:], sum[:])
			sum = digest(out, p.Authenticator, homeSecret)
			copy(out[4:], sum[:])
			return [][]byte{out}
		})
		p := &Packet{Code: AccessRequest}
		pap(p)
		reply, err := access.Exchange(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		check(t, reply)
		if n, _ := reply.getVendor(Microsoft, 7); !bytes.Equal(n, []byte{0, 0, 0, 1}) {
			t.Errorf("what stood beside the keys: %x", n)
		}
	})
}

// A bad network at both hops: lost, doubled, late, cut short, changed. Who knows the password comes in, who does not does
// not, and what somebody has changed counts for nothing.
func TestProxyOnABadNetwork(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			m := newMesh()
			var mu sync.Mutex
			random := mrand.New(mrand.NewPCG(seed, 1))
			var held []byte
			m.pass = func(from, to netip.AddrPort, b []byte) [][]byte {
				mu.Lock()
				defer mu.Unlock()
				b = bytes.Clone(b)
				switch random.IntN(10) {
				case 0:
					return nil
				case 1:
					return [][]byte{b, b}
				case 2:
					b[random.IntN(len(b))] ^= 1 << random.IntN(8)
					return [][]byte{b}
				case 3:
					return [][]byte{b[:random.IntN(len(b))], b}
				case 4:
					late := held
					held = b
					if late == nil {
						return nil
					}
					return [][]byte{late} // of somebody else, and another time
				}
				return [][]byte{b}
			}
			access, homes := proxied(t, m, &Proxy{})
			var asked atomic.Int32
			home(t, m, serverA, &Server{Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
				asked.Add(1)
				return accounts.Authenticate(ctx, req)
			})})
			in := 0
			for i := range 120 {
				x := []ppp.AuthProtocol{ppp.PAP, ppp.CHAP, ppp.MSCHAPv2}[i%3]
				password := []string{"secret", "wrong"}[i/3%2]
				_, err := access.Authenticate(t.Context(), ask(t, x, "alice", password))
				switch {
				case password == "wrong" && err == nil:
					t.Errorf("%v: a wrong password is taken", x)
				case errors.Is(err, ErrNoAnswer): // five times lost
				case password == "secret" && err != nil:
					t.Errorf("%v: %v", x, err)
				default:
					in++
				}
			}
			if in < 100 {
				t.Errorf("only %d of 120 were answered: %+v %+v", in, access.Stats()[0], homes.Stats()[0])
			}
			if n := asked.Load(); n > 200 {
				t.Errorf("120 logins became %d", n)
			}
		})
	}
}

// Accounting-On and -Off are about everybody's sessions.
func TestProxyPassesOnAndOffToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		var asked [2]atomic.Int32
		var here atomic.Int32
		realms := make(map[string]*Realm)
		for i, addr := range []string{"10.0.0.5:1813", "10.0.0.6:1813"} {
			home(t, m, addr, &Server{Account: func(ctx context.Context, r *Record) error {
				asked[i].Add(1)
				return nil
			}})
			c := &Client{Dial: m.dial("10.0.0.7"), NAS: "proxy", Targets: []Target{{Addr: addr[:8], Secret: homeSecret}}}
			defer c.Close()
			realms[addr], realms["twice."+addr] = &Realm{Client: c}, &Realm{Client: c}
		}
		p := &Proxy{Realms: realms}
		if reply, err := p.Handle(t.Context(), netip.AddrPort{}, record(statusOn, "x")); err != nil || reply.Code != AccountingResponse {
			t.Errorf("%v, %v", reply, err)
		}
		realms["local"] = &Realm{}
		n := newNAS(t, m, "10.0.0.1:2000", "10.0.0.8:1813")
		serve(t, &Server{Clients: anybody.Find, Handler: (&Proxy{Realms: realms}).Handle, Account: func(context.Context, *Record) error {
			here.Add(1)
			return nil
		}}, m.listen("10.0.0.8:1813"))
		if list := n.send(n.request(AccountingRequest, 1, false, func(p *Packet) { p.attrs = record(statusOff, "x").attrs })); len(list) != 1 {
			t.Errorf("%v", list)
		}
		if a, b := asked[0].Load(), asked[1].Load(); a != 2 || b != 2 || here.Load() != 1 {
			t.Errorf("asked %d, %d and here %d", a, b, here.Load())
		}
		realms["10.0.0.5:1813"].Client.Targets[0].Secret = "wrong"
		realms["10.0.0.5:1813"].Client.Close()
		if reply, err := p.Handle(t.Context(), netip.AddrPort{}, record(statusOn, "x")); !errors.Is(err, ErrNoAnswer) {
			t.Errorf("one does not answer: %v, %v", reply, err)
		}
	})
}

// A realm whose home servers do not answer takes no more than its share, and the others do not notice.
func TestProxyDeadRealmHurtsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		dead := &Client{Dial: m.dial("10.0.0.7"), NAS: "proxy", Targets: []Target{{Addr: "10.0.0.99", Secret: homeSecret}}}
		live := &Client{Dial: m.dial("10.0.0.7"), NAS: "proxy", Targets: []Target{{Addr: serverA, Secret: homeSecret}}}
		defer dead.Close()
		defer live.Close()
		home(t, m, serverA, &Server{Authenticator: passwords})
		access, _ := proxied(t, m, &Proxy{Realms: map[string]*Realm{"dead": {Client: dead}, "live": {Client: live, Strip: true}}})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 2000 {
			wg.Go(func() { access.Exchange(ctx, named("alice@dead")) })
		}
		time.Sleep(time.Second)
		for range 50 {
			start := time.Now()
			if reply, err := access.Exchange(t.Context(), named("alice@live")); err != nil || reply.Code != AccessAccept || time.Since(start) != 0 {
				t.Fatalf("%v, %v after %v", reply, err, time.Since(start))
			}
		}
		if n := dead.Stats()[0].Sent; n != 512 {
			t.Errorf("%d requests wait for the dead", n)
		}
		cancel()
		wg.Wait()
	})
}

func named(user string) *Packet {
	p := &Packet{Code: AccessRequest}
	p.addText(UserName, user)
	p.addText(UserPassword, "secret")
	return p
}
