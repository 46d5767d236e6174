package radius

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/ppp"
)

// A sealedRig is a Server that is asked by RadSec.
type sealedRig struct {
	t      *testing.T
	ca     *authority
	server *Server
	l      *memnet.Listener
	client *Client
	dials  atomic.Int32
}

func newSealedRig(t *testing.T, s *Server) *sealedRig {
	t.Helper()
	r := &sealedRig{t: t, ca: newAuthority(t), server: s, l: memnet.Listen(netip.MustParseAddrPort("10.0.0.5:2083"))}
	if s.TLSConfig == nil {
		s.TLSConfig = r.ca.server(t, "server.test")
	}
	r.serve(s, r.l)
	r.client = &Client{Targets: []Target{{Addr: "server.test", TLS: r.ca.client(t, "nas.test")}}, NAS: "nas", Dial: r.dial}
	t.Cleanup(func() { r.client.Close() })
	return r
}

func (r *sealedRig) serve(s *Server, l net.Listener) {
	done := make(chan error, 1)
	go func() { done <- s.ServeTLS(l) }()
	r.t.Cleanup(func() {
		s.Close()
		if err := <-done; err != ErrServerClosed {
			r.t.Errorf("ServeTLS: %v", err)
		}
	})
}

func (r *sealedRig) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	r.dials.Add(1)
	if network != "tcp" || addr != "server.test:2083" {
		return nil, errors.New("dialled " + network + " " + addr)
	}
	return r.l.Dial(ctx, network, addr)
}

func login(t *testing.T, c *Client) {
	t.Helper()
	if _, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret")); err != nil {
		t.Fatal(err)
	}
}

func TestRadSecCarriesEverythingOnOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records atomic.Int32
		var names sync.Map
		r := newSealedRig(t, &Server{
			Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
				names.Store(ConnectionState(ctx).PeerCertificates[0].Subject.CommonName, true)
				time.Sleep(time.Second)
				return accounts.Authenticate(ctx, req)
			}),
			Account: func(ctx context.Context, r *Record) error {
				if ConnectionState(ctx) == nil {
					return errors.New("no certificate")
				}
				records.Add(1)
				return nil
			},
		})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				p := []ppp.AuthProtocol{ppp.PAP, ppp.CHAP, ppp.MSCHAPv2}[i%3]
				g, err := r.client.Authenticate(t.Context(), ask(t, p, "alice", "secret"))
				if err != nil {
					t.Errorf("%v: %v", p, err)
				} else if p == ppp.MSCHAPv2 && len(g.RecvKey) != 16 {
					t.Errorf("keys: %x", g.RecvKey)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d > 2*time.Second || r.dials.Load() != 1 {
			t.Errorf("took %v, %d connections", d, r.dials.Load())
		}
		p := &Packet{Code: AccountingRequest}
		p.addUint32(AcctStatusType, statusStart)
		if reply, err := r.client.Exchange(t.Context(), p); err != nil || reply.Code != AccountingResponse || records.Load() != 1 {
			t.Errorf("accounting: %v, %v", reply, err)
		}
		if reply, err := r.client.Exchange(t.Context(), &Packet{Code: StatusServer}); err != nil || reply.Code != AccessAccept {
			t.Errorf("status: %v, %v", reply, err)
		}
		if _, err := r.client.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "wrong")); !errors.As(err, new(*ppp.AuthError)) {
			t.Errorf("a wrong password: %v", err)
		}
		if _, ok := names.Load("nas.test"); !ok || r.dials.Load() != 1 {
			t.Errorf("%d connections", r.dials.Load())
		}
		if st := r.client.Stats()[0]; st.Sent != 203 || st.Replies != 203 || st.Resent+st.Bad+st.Lost != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestRadSecNeedsAVerifiedCertificate(t *testing.T) {
	for name, c := range map[string]*tls.Config{
		"no TLSConfig":         nil,
		"the world's":          {},
		"the world's, asked":   {ClientAuth: tls.RequireAndVerifyClientCert},
		"any":                  {ClientAuth: tls.RequireAnyClientCert},
		"another config":       {ClientCAs: newAuthority(t).pool(), GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }},
		"looked at, not asked": {ClientAuth: tls.RequestClientCert, VerifyConnection: func(tls.ConnectionState) error { return nil }},
	} {
		l := memnet.Listen(netip.MustParseAddrPort("10.0.0.5:2083"))
		s := &Server{TLSConfig: c, Authenticator: passwords}
		time.AfterFunc(time.Second, func() { s.Close() }) // of one that serves
		if err := s.ServeTLS(l); err == nil || err == ErrServerClosed {
			t.Errorf("%s: served, %v", name, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		r := newSealedRig(t, &Server{Authenticator: passwords})
		login(t, r.client)
		other := newAuthority(t)
		for name, c := range map[string]*tls.Config{
			"none":                {RootCAs: r.ca.pool()},
			"another authority's": {RootCAs: r.ca.pool(), Certificates: []tls.Certificate{other.issue(t, "nas.test")}},
		} {
			client := &Client{Targets: []Target{{Addr: "server.test", TLS: c}}, Dial: r.dial}
			if _, err := client.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret")); !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "tls: ") {
				t.Errorf("%s: %v", name, err)
			}
			client.Close()
		}
		// The client, too, wants to know whom it asks.
		stranger := &Client{Targets: []Target{{Addr: "another.test:2083", TLS: &tls.Config{RootCAs: r.ca.pool(), Certificates: r.ca.client(t, "nas.test").Certificates}}},
			Dial: func(ctx context.Context, network, _ string) (net.Conn, error) { return r.l.Dial(ctx, network, "") }}
		if _, err := stranger.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret")); !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "another.test") {
			t.Errorf("another server: %v", err)
		}
		stranger.Close()
	})
}

// A client whose certificate somebody's own function has looked at.
func TestRadSecByFingerprint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, other := newAuthority(t), newAuthority(t)
		own := other.client(t, "nas.test")
		own.RootCAs = ca.pool()
		config := ca.server(t, "server.test")
		config.ClientCAs, config.ClientAuth = nil, tls.RequireAnyClientCert
		config.VerifyConnection = func(s tls.ConnectionState) error {
			if string(s.PeerCertificates[0].Raw) != string(own.Certificates[0].Certificate[0]) {
				return errors.New("another certificate")
			}
			return nil
		}
		r := newSealedRig(t, &Server{Authenticator: passwords, TLSConfig: config})
		r.client.Targets[0].TLS = own
		login(t, r.client)
		stranger := other.client(t, "nas.test")
		stranger.RootCAs = ca.pool()
		c := &Client{Targets: []Target{{Addr: "server.test", TLS: stranger}}, Dial: r.dial}
		defer c.Close()
		if _, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret")); !errors.Is(err, ErrNoAnswer) {
			t.Errorf("a stranger: %v", err)
		}
	})
}

func TestRadSecConnectsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		r := newSealedRig(t, &Server{Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			asked.Add(1)
			time.Sleep(3 * time.Second)
			return passwords.Authenticate(ctx, req)
		})})
		login(t, r.client)
		r.l.Cut()
		synctest.Wait()
		login(t, r.client)
		// A request under way is asked again on the next connection: the first answer is lost with the first.
		time.AfterFunc(time.Second, r.l.Cut)
		login(t, r.client)
		if r.dials.Load() != 3 || asked.Load() != 4 {
			t.Errorf("%d connections, asked %d times", r.dials.Load(), asked.Load())
		}
		if st := r.client.Stats()[0]; st.Resent != 1 || st.Lost != 0 || st.Dead {
			t.Errorf("%+v", st)
		}
		// Close ends what is under way; the next call connects again.
		time.AfterFunc(time.Second, func() { r.client.Close() })
		if _, err := r.client.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret")); !errors.Is(err, errClosed) {
			t.Errorf("closed: %v", err)
		}
		synctest.Wait() // until Close has ended
		login(t, r.client)
	})
}

// Who takes connections and drops them is not dialled in a loop; a server that cannot be connected is left for the next.
func TestRadSecBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSealedRig(t, &Server{Authenticator: passwords})
		var bad atomic.Int32
		dropper := memnet.Listen(netip.MustParseAddrPort("10.0.0.6:2083"))
		go func() {
			for {
				c, err := dropper.Accept()
				if err != nil {
					return
				}
				tc := tls.Server(c, r.ca.server(t, "server.test"))
				tc.HandshakeContext(t.Context())
				tc.Close()
			}
		}()
		defer dropper.Close()
		c := &Client{Targets: []Target{{Addr: "server.test", TLS: r.ca.client(t, "nas.test")}}, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			bad.Add(1)
			return dropper.Dial(ctx, network, addr)
		}}
		defer c.Close()
		start := time.Now()
		_, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret"))
		if !errors.Is(err, ErrNoAnswer) || time.Since(start) != mostTime || bad.Load() < 4 || bad.Load() > 6 {
			t.Errorf("%v after %v and %d connections", err, time.Since(start), bad.Load())
		}
		dropper.Close()
		both := &Client{Targets: []Target{c.Targets[0], c.Targets[0]}, NAS: "nas"}
		both.Targets[0].Addr = "dead.test"
		both.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == "dead.test:2083" {
				return dropper.Dial(ctx, network, addr)
			}
			return r.l.Dial(ctx, network, addr)
		}
		defer both.Close()
		for range 64 { // each is as likely to ask the one first as the other, until that is dead
			start := time.Now()
			login(t, both)
			if d := time.Since(start); d != 0 {
				t.Errorf("fail-over took %v", d)
			}
		}
		if !both.Stats()[0].Dead {
			t.Error("a server that cannot be connected is not dead")
		}
	})
}

// A connection on which every identifier is waited for is asked whether it lives, on one that is kept for that; more requests
// go by another connection.
func TestRadSecWatchdogOfABusyConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waiting atomic.Int32
		r := newSealedRig(t, &Server{Handler: func(ctx context.Context, from netip.AddrPort, p *Packet) (*Packet, error) {
			if p.Code == StatusServer {
				return nil, nil
			}
			waiting.Add(1)
			<-ctx.Done()
			return nil, ErrDrop
		}})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := r.client.servers(false)[0]
		var wg sync.WaitGroup
		for range 255 + 3 {
			wg.Go(func() {
				p := &Packet{Code: AccessRequest}
				pap(p)
				s.roundTripTLS(ctx, p, 20, time.Minute)
			})
		}
		synctest.Wait()
		if waiting.Load() != 258 || r.dials.Load() != 2 {
			t.Fatalf("%d requests on %d connections", waiting.Load(), r.dials.Load())
		}
		time.Sleep(2 * time.Minute)
		if st := s.snapshot(); r.dials.Load() != 2 || st.Dead || st.Replies < 4 {
			t.Errorf("%d connections, %+v", r.dials.Load(), st)
		}
		cancel()
		wg.Wait()
	})
}

// Who leaves while it is dialled for him says nothing about the server.
func TestRadSecAskerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSealedRig(t, &Server{Authenticator: passwords})
		slow := true
		dial := r.client.Dial
		r.client.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if slow {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return dial(ctx, network, addr)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.client.Authenticate(ctx, ask(t, ppp.PAP, "alice", "secret")); !errors.Is(err, context.DeadlineExceeded) || r.client.Stats()[0].Dead {
			t.Errorf("%v, %+v", err, r.client.Stats()[0])
		}
		slow = false
		start := time.Now()
		login(t, r.client)
		if time.Since(start) != 0 {
			t.Errorf("the next one waited %v", time.Since(start))
		}
	})
}

// A connection whose far end is gone without a word is found out, and closed.
func TestRadSecWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSealedRig(t, &Server{Authenticator: passwords})
		login(t, r.client)
		time.Sleep(10 * time.Minute)
		if st := r.client.Stats()[0]; st.Sent < 15 || st.Replies != st.Sent || r.dials.Load() != 1 {
			t.Errorf("an idle connection: %+v, %d connections", st, r.dials.Load())
		}

		// From now on nothing arrives: a middle box has forgotten the connection.
		ca := r.ca
		var asked, conns atomic.Int32
		var closed atomic.Int64
		hole := memnet.Listen(netip.MustParseAddrPort("10.0.0.6:2083"))
		defer hole.Close()
		start := time.Now()
		go func() {
			for {
				raw, err := hole.Accept()
				if err != nil {
					return
				}
				conns.Add(1)
				c := tls.Server(raw, ca.server(t, "server.test"))
				b := make([]byte, maxPacket)
				for first := true; ; first = false {
					n, err := readPacket(c, b, 0, nil)
					if err != nil {
						closed.CompareAndSwap(0, int64(time.Since(start)))
						break
					}
					if !first && conns.Load() == 1 {
						asked.Add(1)
						continue
					}
					p := mustParse(t, b[:n])
					reply, _ := encode(&Packet{Code: AccessAccept}, p.Identifier, p.Authenticator, radsecSecret, true)
					c.Write(reply)
				}
			}
		}()
		c := &Client{Targets: []Target{{Addr: "server.test", TLS: ca.client(t, "nas.test")}}, Dial: hole.Dial, NAS: "nas"}
		defer c.Close()
		login(t, c)
		time.Sleep(70 * time.Second)
		if !c.Stats()[0].Dead || asked.Load() != 1 {
			t.Errorf("after 70 s: %+v, %d packets", c.Stats()[0], asked.Load())
		}
		time.Sleep(time.Minute)
		if d := time.Duration(closed.Load()); d < 80*time.Second || d > 100*time.Second || asked.Load() != 1 {
			t.Errorf("closed after %v, %d packets", d, asked.Load())
		}
		login(t, c) // on another connection
		if conns.Load() != 2 || c.Stats()[0].Dead {
			t.Errorf("%d connections, %+v", conns.Load(), c.Stats()[0])
		}
	})
}

// A server that answers nothing but Status-Server is left for another.
func TestRadSecFailsOverToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		a, b := newSealedRig(t, &Server{Authenticator: slow}), newSealedRig(t, &Server{Authenticator: passwords})
		a.client.Targets = append(a.client.Targets, Target{Addr: "b.test", TLS: b.client.Targets[0].TLS})
		a.client.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == "b.test:2083" {
				return b.l.Dial(ctx, network, addr)
			}
			return a.l.Dial(ctx, network, addr)
		}
		const logins = 40 // either server may be the first: that all begin with b does not happen
		for range logins {
			start := time.Now()
			login(t, a.client)
			if d := time.Since(start); d != 0 && d != patience(beforeNext, firstWait) {
				t.Errorf("took %v", d)
			}
		}
		if st := a.client.Stats(); st[0].Lost == 0 || st[1].Sent != logins {
			t.Errorf("%+v", st)
		}
	})
}

func TestRadSecSaysWhatItDoesNotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSealedRig(t, &Server{Authenticator: passwords})
		for request, answer := range map[Code]Code{AccountingRequest: AccountingResponse, DisconnectRequest: DisconnectNAK, CoARequest: CoANAK} {
			reply, err := r.client.Exchange(t.Context(), &Packet{Code: request})
			if err != nil {
				t.Fatalf("%v: %v", request, err)
			}
			if n, _ := reply.uint32(ErrorCause); reply.Code != answer || n != 406 {
				t.Errorf("%v: %v, Error-Cause %d", request, reply.Code, n)
			}
		}
		// Accounting knows that this is no receipt.
		acct := &Accounting{Client: r.client}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := acct.Serve(ctx); err == nil || acct.Pending() != 2 {
			t.Errorf("%v, %d wait", err, acct.Pending())
		}
	})
}
