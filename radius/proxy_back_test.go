package radius

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/ppp"
)

const (
	backAddr = "10.0.0.7:3799"
	homeAddr = "10.0.0.5"
)

// A backRig is an access server with a session, a Proxy, and a home server that asks for Disconnect and CoA.
type backRig struct {
	*coaRig
	proxy *Proxy
	m     *mesh
}

// newBackRig makes it; user is who logs in at the access server "nas".
func newBackRig(t *testing.T, p *Proxy, user string) *backRig {
	m := newMesh()
	p.Dial = m.dial("10.0.0.7")
	if p.Back == nil {
		p.Back = func(nas netip.Addr) (Target, bool) {
			return Target{Addr: nas.String(), Secret: testSecret}, nas == netip.MustParseAddr("10.0.0.1")
		}
	}
	for _, r := range p.Realms {
		if r.Client != nil {
			r.Client.Dial = m.dial("10.0.0.7")
			t.Cleanup(func() { r.Client.Close() })
		}
	}
	access, _ := proxied(t, m, p)
	home(t, m, serverA, &Server{Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
		return &ppp.Grant{User: user, Addr: netip.MustParseAddr("10.8.0.5")}, nil
	})})
	r := &backRig{coaRig: &coaRig{sessions: new(ppp.Sessions)}, proxy: p, m: m}
	srv := vpn(t, access, nil, r.sessions)
	link, err := srv.Dialer(&ppp.Config{User: user, Password: "secret", Auth: []ppp.AuthProtocol{ppp.PAP}, AllowUnverified: true}).DialContext(t.Context(), srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	go link.Serve(context.WithoutCancel(t.Context()), func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
	synctest.Wait()
	for c := range r.sessions.All() {
		r.conns = append(r.conns, c)
	}
	r.dynamic(t, &Dynamic{Sessions: r.sessions, Clients: anybody.Find, NAS: "nas"}, coaAddr)
	r.dynamic(t, &Dynamic{Handler: p.Handle, Clients: func(netip.Addr) (Secret, bool) { return homeSecret, true }}, backAddr)
	r.nas = newNAS(t, m, homeAddr+":5000", backAddr)
	r.nas.secret = homeSecret
	return r
}

func (r *backRig) dynamic(t *testing.T, d *Dynamic, addr string) {
	done := make(chan error, 1)
	pc := r.m.listen(addr)
	go func() { done <- d.Serve(pc) }()
	t.Cleanup(func() {
		d.Close()
		if err := <-done; err != ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
}

// realmOf is a realm of one home server.
func realmOf(host string, strip bool) *Realm {
	return &Realm{Client: &Client{NAS: "proxy", Targets: []Target{{Addr: host + ":1812", Secret: homeSecret}}}, Strip: strip}
}

func TestProxyPassesDisconnectAndCoABack(t *testing.T) {
	for name, add := range map[string]func(p *Packet, c *ppp.Conn){
		"User-Name and NAS-Identifier": func(p *Packet, c *ppp.Conn) { p.addText(UserName, "alice"); p.addText(NASIdentifier, "nas") },
		"Acct-Session-Id":              func(p *Packet, c *ppp.Conn) { p.addText(AcctSessionID, c.Info().Call.ID) },
		"all": func(p *Packet, c *ppp.Conn) {
			p.addText(UserName, "alice")
			p.addText(AcctSessionID, c.Info().Call.ID)
			p.addText(NASIdentifier, "nas")
		},
		"an address of which nothing was heard": func(p *Packet, c *ppp.Conn) {
			p.addText(UserName, "alice")
			p.Add(NASIPAddress, []byte{10, 0, 0, 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newBackRig(t, &Proxy{}, "alice")
				c := r.conns[0]
				hops := func(p *Packet) {
					p.addText(ProxyState, "first")
					p.addText(ProxyState, "second")
					p.addText(State, "x")
				}
				b := r.dated(CoARequest, func(p *Packet) { add(p, c); hops(p); p.addUint32(IdleTimeout, 3600) })
				list := r.send(b)
				if len(list) != 1 || list[0].Code != CoAACK || c.Grant().IdleTimeout != time.Hour {
					t.Fatalf("CoA: %v, %v", list, c.Grant().IdleTimeout)
				}
				var states []string
				for a, v := range list[0].All() {
					if a == ProxyState || a == State {
						states = append(states, string(v))
					}
				}
				if s := fmt.Sprint(states); s != "[x first second]" && s != "[first second x]" {
					t.Errorf("states %v", states)
				}
				// What is sent again is answered, and does not act again.
				g := *c.Grant()
				g.IdleTimeout = 0
				c.SetGrant(&g)
				if again := r.send(b); len(again) != 1 || again[0].Code != CoAACK || c.Grant().IdleTimeout != 0 {
					t.Errorf("again: %v, %v", again, c.Grant().IdleTimeout)
				}
				r.expect("disconnect", r.dated(DisconnectRequest, func(p *Packet) { add(p, c) }), DisconnectACK, 0)
				<-c.Context().Done()
				r.expect("once more", r.dated(DisconnectRequest, func(p *Packet) { add(p, c) }), DisconnectNAK, nakNoSession)
			})
		})
	}
}

// TestOperatorNASIdentifierPasses: what a proxy further on knows its access servers by comes to it as it was said.
func TestOperatorNASIdentifierPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		r := newBackRig(t, &Proxy{Edit: func(p *Packet, _ string) {
			if v, ok := p.Get(241); ok { // RFC 6929; 8 is Operator-NAS-Identifier
				got = append(got, p.Code.String()+" "+string(v))
				p.Remove(241) // as that proxy does
			}
		}}, "alice")
		r.expect("disconnect", r.dated(DisconnectRequest, func(p *Packet) {
			p.addText(UserName, "alice")
			p.addText(NASIdentifier, "nas")
			p.addText(241, "\x08opaque")
		}), DisconnectACK, 0)
		if want := DisconnectRequest.String() + " \x08opaque"; len(got) != 1 || got[0] != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestProxyBackNotRoutable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := false
		r := newBackRig(t, &Proxy{Back: func(nas netip.Addr) (Target, bool) {
			return Target{Addr: nas.String(), Secret: testSecret}, !deaf
		}}, "alice")
		user := func(p *Packet) { p.addText(UserName, "alice") }
		r.expect("no access server", r.dated(DisconnectRequest, user), DisconnectNAK, nakNotRoutable)
		r.expect("an unknown one", r.dated(CoARequest, func(p *Packet) { user(p); p.addText(NASIdentifier, "another") }), CoANAK, nakNotRoutable)
		// Two that say the same of themselves.
		r.proxy.ways().learn(t.Context(), netip.MustParseAddrPort("10.0.0.2:9"), named2("alice", "nas"), "")
		r.expect("two", r.dated(DisconnectRequest, func(p *Packet) { user(p); p.addText(NASIdentifier, "nas") }), DisconnectNAK, nakNotRoutable)
		time.Sleep(2 * forgetAfter)
		r.proxy.ways().learn(t.Context(), netip.MustParseAddrPort("10.0.0.1:9"), named2("alice", "nas"), "")
		r.expect("one, the other is there no more", r.dated(CoARequest, func(p *Packet) { user(p); p.addText(NASIdentifier, "nas"); p.addUint32(IdleTimeout, 60) }), CoAACK, 0)
		deaf = true
		r.expect("one that takes none", r.dated(DisconnectRequest, func(p *Packet) { user(p); p.addText(NASIdentifier, "nas") }), DisconnectNAK, nakNotRoutable)
		if r.sessions.Len() != 1 {
			t.Error("the session ended")
		}
	})
}

func named2(user, nas string) *Packet {
	p := named(user)
	p.addText(NASIdentifier, nas)
	return p
}

// Two realms share an access server. The home server of one reaches its own users, and no other's.
func TestProxyBackOnlyToOwnSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBackRig(t, &Proxy{Realms: map[string]*Realm{"a.example": realmOf(homeAddr, false), "b.example": realmOf("10.0.0.6", false), "here": {}}}, "alice@a.example")
		c := r.conns[0]
		id := func(p *Packet) { p.addText(AcctSessionID, c.Info().Call.ID) }
		alice := func(p *Packet) { p.addText(UserName, "alice@a.example"); p.addText(NASIdentifier, "nas") }
		other := &coaRig{nas: newNAS(t, r.m, "10.0.0.6:5000", backAddr), sessions: r.sessions}
		other.nas.secret = homeSecret
		other.expect("by session", other.dated(DisconnectRequest, id), DisconnectNAK, nakMissing)
		other.expect("by address", other.dated(DisconnectRequest, func(p *Packet) {
			p.Add(FramedIPAddress, c.Info().Peer.AsSlice())
			p.addText(NASIdentifier, "nas")
		}), DisconnectNAK, nakMissing)
		for what, add := range map[string]func(p *Packet){"by name": alice, "by name and session": func(p *Packet) { alice(p); id(p) }} {
			if list := other.send(other.dated(DisconnectRequest, add)); len(list) != 0 {
				t.Errorf("%s: %v", what, list)
			}
		}
		// Its own name beside another's session: the access server looks at both.
		other.expect("a name and another's session", other.dated(DisconnectRequest, func(p *Packet) {
			p.addText(UserName, "bob@b.example")
			p.addText(NASIdentifier, "nas")
			id(p)
		}), DisconnectNAK, nakNoSession)
		stranger := &coaRig{nas: newNAS(t, r.m, "10.0.0.9:5000", backAddr)}
		stranger.nas.secret = homeSecret
		if list := stranger.send(stranger.dated(DisconnectRequest, alice)); len(list) != 0 {
			t.Errorf("one of no realm: %v", list)
		}
		if r.sessions.Len() != 1 {
			t.Fatal("the session ended")
		}
		r.proxy.Realms["a.example"].Dynamic = []netip.Prefix{netip.MustParsePrefix("10.0.0.9/32")}
		stranger.expect("one that speaks for a realm", stranger.dated(DisconnectRequest, alice), DisconnectACK, 0)
	})
}

// A home server that gets names without their realm reaches sessions by their id: the name might be anybody's.
func TestProxyBackOfStrippedNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBackRig(t, &Proxy{Realms: map[string]*Realm{"a.example": realmOf(homeAddr, true)}}, "alice@a.example")
		c := r.conns[0]
		if list := r.send(r.dated(DisconnectRequest, func(p *Packet) { p.addText(UserName, "alice"); p.addText(NASIdentifier, "nas") })); len(list) != 0 || r.sessions.Len() != 1 {
			t.Errorf("by name: %v", list)
		}
		r.expect("by session", r.dated(DisconnectRequest, func(p *Packet) { p.addText(UserName, "alice"); p.addText(AcctSessionID, c.Info().Call.ID) }), DisconnectACK, 0)
	})
}

// An access server that is silent: the home server's repetitions are the same request, and there is no answer that nobody gave.
func TestProxyBackToOneThatIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBackRig(t, &Proxy{}, "alice")
		var mu sync.Mutex
		sent, ids := 0, make(map[byte]bool)
		r.m.mu.Lock()
		r.m.pass = func(from, to netip.AddrPort, b []byte) [][]byte {
			if to.String() == coaAddr {
				mu.Lock()
				defer mu.Unlock()
				sent++
				ids[b[1]] = true
				return nil
			}
			return [][]byte{b}
		}
		r.m.mu.Unlock()
		b := r.dated(DisconnectRequest, func(p *Packet) { p.addText(UserName, "alice"); p.addText(NASIdentifier, "nas") })
		for range 20 {
			if list := r.send(b); len(list) != 0 {
				t.Fatalf("%v", list)
			}
			time.Sleep(time.Second)
		}
		mu.Lock()
		if sent < 3 || sent > 5 || len(ids) != 1 {
			t.Errorf("%d sent, identifiers %v", sent, ids)
		}
		mu.Unlock()
		time.Sleep(mostTime)
		r.m.mu.Lock()
		r.m.pass = nil
		r.m.mu.Unlock()
		r.expect("later", b, DisconnectACK, 0)
	})
}

// A loop of proxies ends also on the way back.
func TestProxyBackLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBackRig(t, &Proxy{}, "alice")
		if list := r.send(r.dated(DisconnectRequest, func(p *Packet) {
			p.addText(UserName, "alice")
			p.addText(NASIdentifier, "nas")
			p.Add(ProxyState, r.proxy.mark[:])
		})); len(list) != 0 || r.sessions.Len() != 1 {
			t.Errorf("%v", list)
		}
	})
}

// RadSec at both ends, RFC 8559: a Disconnect goes back over the connections that the requests came by. The access server
// is known by the network that it is in, the second time by a Proxy that took the first one's place.
func TestProxyBackOverRadSec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		home := newSealedRig(t, &Server{Authenticator: lasting})
		toHome := home.client
		toHome.Targets[0].TLS = home.ca.client(t, "proxy.test")
		var proxy atomic.Pointer[Proxy]
		ways := new(Ways)
		use := func() { proxy.Store(&Proxy{Realms: map[string]*Realm{"": {Client: toHome}}, Ways: ways}) }
		use()
		handle := func(ctx context.Context, from netip.AddrPort, p *Packet) (*Packet, error) {
			return proxy.Load().Handle(ctx, from, p)
		}
		toHome.Dynamic = &Dynamic{Handler: handle}
		l := memnet.Listen(netip.MustParseAddrPort("10.0.0.7:2083"))
		home.serve(&Server{Handler: handle, TLSConfig: home.ca.server(t, "server.test")}, l)
		sessions := new(ppp.Sessions)
		access := &Client{Targets: []Target{{Addr: "proxy.test", TLS: home.ca.client(t, "nas.test")}}, NAS: "nas", Dial: l.Dial, Dynamic: &Dynamic{Sessions: sessions},
			Request: func(p *Packet, _ *ppp.AuthRequest) { p.addText(OperatorName, "1visited.example") }}
		defer access.Close()
		srv := vpn(t, access, nil, sessions)
		link := dial(t, srv)
		synctest.Wait()
		p := &Packet{Code: CoARequest}
		p.addText(UserName, "alice")
		p.addText(OperatorName, "1visited.example")
		p.addUint32(IdleTimeout, 7200)
		if reply, err := home.server.Send(t.Context(), "proxy.test", p); err != nil || reply.Code != CoAACK {
			t.Fatalf("CoA: %v, %v", reply, err)
		}
		for c := range sessions.All() {
			if got := c.Grant().IdleTimeout; got != 2*time.Hour {
				t.Errorf("Idle-Timeout %v", got)
			}
		}
		use()
		p = &Packet{Code: DisconnectRequest}
		p.addText(UserName, "alice")
		p.addText(OperatorName, "1visited.example")
		if reply, err := home.server.Send(t.Context(), "proxy.test", p); err != nil || reply.Code != DisconnectACK {
			t.Fatalf("Disconnect: %v, %v", reply, err)
		}
		<-link.Context().Done()
		access.Close()
		synctest.Wait()
		reply, err := home.server.Send(t.Context(), "proxy.test", p)
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := reply.uint32(ErrorCause); reply.Code != DisconnectNAK || n != uint32(nakNotRoutable) {
			t.Errorf("not connected: %v, %d", reply.Code, n)
		}
		// Over another realm's connection, the same request is a stranger's.
		proxy.Load().Realms["other"] = &Realm{Client: &Client{}}
		delete(proxy.Load().Realms, "")
		if reply, err := handle(context.WithValue(t.Context(), clientKey{}, toHome), netip.MustParseAddrPort("10.0.0.5:2083"), p); reply != nil || err != nil {
			t.Errorf("of no realm: %v, %v", reply, err)
		}
	})
}

// What is known of access servers and sessions has a bound, and what is used stays.
func TestWaysAreBounded(t *testing.T) {
	var w Ways
	from := netip.MustParseAddrPort("10.0.0.1:1000")
	busy := named2("alice", "busy")
	busy.addText(AcctSessionID, "busy")
	for i := range 3 * mostSessions {
		p := named2("alice", fmt.Sprint("nas", i))
		p.addText(AcctSessionID, fmt.Sprint(i))
		w.learn(t.Context(), from, p, "")
		if i%1000 == 0 {
			w.learn(t.Context(), from, busy, "")
		}
	}
	if n := len(w.servers.young) + len(w.servers.old); n > 2*mostServers {
		t.Errorf("%d access servers", n)
	}
	if n := len(w.sessions.young) + len(w.sessions.old); n > 2*mostSessions || n < mostSessions {
		t.Errorf("%d sessions", n)
	}
	if list, ok := w.access(busy); !ok || len(list) != 1 {
		t.Errorf("the busy one: %v", list)
	}
	realms := map[string]*Realm{"": {}}
	if _, ok := w.session(busy, realms); !ok {
		t.Error("its session is forgotten")
	}
	for i := range 2 * mostWays {
		w.learn(t.Context(), netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), 1), busy, "")
	}
	if list, _ := w.access(busy); len(list) != mostWays {
		t.Errorf("%d ways under one name", len(list))
	}
	stop := record(statusStop, "busy")
	stop.addText(NASIdentifier, "busy")
	w.learn(t.Context(), netip.MustParseAddrPort("10.1.0.15:1"), stop, "")
	if n := len(w.sessions.get("busy")); n != mostWays-1 {
		t.Errorf("%d sessions after one has stopped", n)
	}
}

// A Client is by name what it is by address.
func TestHomeServerByName(t *testing.T) {
	c := &Client{Targets: []Target{{Addr: "localhost"}, {Addr: "[2001:db8::5]:1645"}}}
	for addr, want := range map[string]bool{"127.0.0.1": true, "2001:db8::5": true, "10.0.0.5": false} {
		if got := c.asks(t.Context(), netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}

// A Handler that is slow holds nobody up, and many of them are too many.
func TestDynamicHandlerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		var asked atomic.Int32
		r := &backRig{coaRig: new(coaRig), m: m}
		r.dynamic(t, &Dynamic{Clients: anybody.Find, Handler: func(ctx context.Context, _ netip.AddrPort, p *Packet) (*Packet, error) {
			asked.Add(1)
			if p.text(UserName) == "quick" {
				return &Packet{Code: DisconnectACK}, nil
			}
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}}, coaAddr)
		r.nas = newNAS(t, m, "10.0.0.5:5000", coaAddr)
		send := func(user string) []*Packet {
			return r.send(r.dated(DisconnectRequest, func(p *Packet) { p.addText(UserName, user); p.addText(AcctSessionID, fmt.Sprint(asked.Load())) }))
		}
		for range mostDynamic - 1 {
			send("slow")
		}
		if list := send("quick"); len(list) != 1 || list[0].Code != DisconnectACK {
			t.Errorf("beside slow ones: %v", list)
		}
		send("slow")
		if list := send("quick"); len(list) != 0 || asked.Load() != mostDynamic+1 {
			t.Errorf("too many: %v, %d asked", list, asked.Load())
		}
	})
}

// Exchange asks an access server as it asks others.
func TestExchangeOfDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newCoaRig(t, &Dynamic{}, 1)
		c := &Client{Targets: []Target{{Addr: coaAddr, Secret: testSecret}}, Dial: r.node.mesh.dial("10.0.0.5")}
		defer c.Close()
		p := &Packet{Code: DisconnectRequest}
		p.addText(UserName, "alice")
		if reply, err := c.Exchange(t.Context(), p); err != nil || reply.Code != DisconnectACK {
			t.Errorf("%v, %v", reply, err)
		}
		if _, there := p.Get(EventTimestamp); there {
			t.Error("the caller's packet was changed")
		}
		none := &Client{Targets: []Target{{Addr: "10.0.0.99:3799", Secret: testSecret}}, Dial: r.node.mesh.dial("10.0.0.5")}
		defer none.Close()
		if _, err := none.Exchange(t.Context(), p); !errors.Is(err, ErrNoAnswer) {
			t.Error(err)
		}
	})
}
