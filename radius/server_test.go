package radius

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A nas sends requests by hand.
type nas struct {
	t      *testing.T
	node   *node
	to     net.Addr
	secret Secret
}

func newNAS(t *testing.T, m *mesh, local, server string) *nas {
	n := m.listen(local)
	t.Cleanup(func() { n.Close() })
	return &nas{t, n, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(server)), testSecret}
}

// send sends b and returns what comes back by the time that everything has stopped.
func (n *nas) send(b []byte) (list []*Packet) {
	n.t.Helper()
	n.node.WriteTo(b, n.to)
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
	for {
		select {
		case d := <-n.node.in:
			p := mustParse(n.t, d.b)
			if _, err := verifyReply(d.b, [16]byte(b[4:]), n.secret); err != nil {
				n.t.Error(err)
			}
			list = append(list, p)
		default:
			return list
		}
	}
}

func (n *nas) request(code Code, id byte, sign bool, add func(p *Packet)) []byte {
	n.t.Helper()
	p := &Packet{Code: code}
	if add != nil {
		add(p)
	}
	auth := [16]byte{id, 1, 2}
	if !code.isAccess() {
		auth = [16]byte{}
	}
	b, err := encode(p, id, auth, n.secret, sign)
	if err != nil {
		n.t.Fatal(err)
	}
	return b
}

func pap(p *Packet) {
	p.addText(UserName, "alice")
	p.addText(UserPassword, "secret")
}

func nasOf(t *testing.T, s *Server) *nas {
	m := newMesh()
	if s.Clients == nil {
		s.Clients = anybody.Find
	}
	serve(t, s, m.listen(serverA))
	return newNAS(t, m, "10.0.0.1:2000", serverA)
}

func TestUnsignedRequestDropped(t *testing.T) {
	for _, unsigned := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := nasOf(t, &Server{Authenticator: passwords, Unsigned: unsigned})
			for name, x := range map[string]struct {
				b        []byte
				answered bool
			}{
				"unsigned":          {n.request(AccessRequest, 1, false, pap), unsigned},
				"signed":            {n.request(AccessRequest, 2, true, pap), true},
				"with Proxy-State":  {n.request(AccessRequest, 3, false, func(p *Packet) { pap(p); p.addText(ProxyState, "x") }), false},
				"with EAP":          {n.request(AccessRequest, 4, false, func(p *Packet) { p.Add(EAPMessage, nil) }), false},
				"Status-Server":     {n.request(StatusServer, 5, false, nil), false},
				"a signed Status":   {n.request(StatusServer, 6, true, nil), true},
				"a signed EAPStart": {n.request(AccessRequest, 7, true, func(p *Packet) { p.Add(EAPMessage, nil) }), true},
			} {
				list := n.send(x.b)
				if (len(list) == 1) != x.answered {
					t.Errorf("unsigned %v, %s: %d answers", unsigned, name, len(list))
				}
				for _, p := range list {
					if first := Attr(p.attrs[0]); first != MessageAuthenticator {
						t.Errorf("%s: the first attribute of the answer is %d", name, first)
					}
				}
			}
		})
	}
}

func TestRequestsThatAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		n := nasOf(t, &Server{
			Clients:       Secrets{netip.MustParsePrefix("10.0.0.0/24"): testSecret}.Find,
			Authenticator: ppp.AuthenticatorFunc(func(context.Context, *ppp.AuthRequest) (*ppp.Grant, error) { asked.Add(1); return nil, nil }),
			Account:       func(ctx context.Context, r *Record) error { asked.Add(1); return nil },
		})
		good := n.request(AccessRequest, 1, true, pap)
		wrong := &nas{t, n.node, n.to, "another secret"}
		flip := bytes.Clone(good)
		flip[len(flip)-1] ^= 1
		for name, b := range map[string][]byte{
			"nothing": nil, "truncated": good[:len(good)-1], "a bit": flip,
			"another secret":             wrong.request(AccessRequest, 2, true, pap),
			"accounting, another secret": wrong.request(AccountingRequest, 3, false, nil),
			"a reply":                    n.request(AccessAccept, 4, true, nil),
			"CoA":                        n.request(CoARequest, 5, false, nil),
		} {
			n.node.WriteTo(b, n.to)
			synctest.Wait()
			if len(n.node.in) != 0 || asked.Load() != 0 {
				t.Errorf("%s: answered", name)
			}
		}
		stranger := newNAS(t, n.node.mesh, "192.0.2.9:2000", serverA)
		if list := stranger.send(good); len(list) != 0 {
			t.Error("a stranger is answered")
		}
		if list := n.send(good); len(list) != 1 || list[0].Code != AccessReject {
			t.Errorf("the good one: %v", list)
		}
	})
}

func TestDuplicatesGetTheSameReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		n := nasOf(t, &Server{Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			asked.Add(1)
			time.Sleep(time.Second)
			return &ppp.Grant{Class: [][]byte{{byte(asked.Load())}}}, nil
		})})
		b := n.request(AccessRequest, 1, true, pap)
		for range 5 {
			if list := n.send(b); len(list) != 0 { // it is worked at
				t.Errorf("%d answers", len(list))
			}
		}
		time.Sleep(time.Second)
		first := <-n.node.in
		for range 3 {
			n.node.WriteTo(b, n.to)
			synctest.Wait()
			if again := <-n.node.in; !bytes.Equal(again.b, first.b) {
				t.Error("another reply")
			}
		}
		if asked.Load() != 1 {
			t.Errorf("asked %d times", asked.Load())
		}
		// The same identifier with another Authenticator is another request; so is the same one when it is old.
		other := n.request(AccessRequest, 1, true, func(p *Packet) { pap(p); p.addText(NASIdentifier, "x") })
		other[4] = 99
		p := mustParse(t, other)
		sum := signature(other, headerLen+2, p.Authenticator, testSecret)
		copy(other[headerLen+2:], sum[:])
		n.node.WriteTo(other, n.to)
		time.Sleep(2 * time.Second)
		if len(n.node.in) != 1 || asked.Load() != 2 {
			t.Errorf("%d answers, asked %d times", len(n.node.in), asked.Load())
		}
		<-n.node.in
		time.Sleep(keepReplies)
		n.node.WriteTo(b, n.to)
		time.Sleep(2 * time.Second)
		if len(n.node.in) != 1 || asked.Load() != 3 {
			t.Errorf("%d answers, asked %d times", len(n.node.in), asked.Load())
		}
	})
}

func TestTooManyRequestsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := nasOf(t, &Server{MaxPending: 2, Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			time.Sleep(time.Second)
			return nil, nil
		})})
		for id := range byte(10) {
			n.node.WriteTo(n.request(AccessRequest, id, true, pap), n.to)
		}
		time.Sleep(2 * time.Second)
		if len(n.node.in) != 2 {
			t.Errorf("%d of 10 answered, 2 at once are allowed", len(n.node.in))
		}
	})
}

func TestProxyStatesComeBackInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := nasOf(t, &Server{Authenticator: passwords})
		list := n.send(n.request(AccessRequest, 1, true, func(p *Packet) {
			p.addText(ProxyState, "one")
			pap(p)
			p.addText(ProxyState, "two")
		}))
		if len(list) != 1 {
			t.Fatal("no answer")
		}
		if v, _ := list[0].concat(ProxyState); string(v) != "onetwo" || list[0].Code != AccessAccept {
			t.Errorf("%v with %q", list[0].Code, v)
		}
	})
}

func TestHandlerSeesRequestsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := nasOf(t, &Server{Authenticator: passwords, Handler: func(ctx context.Context, from netip.AddrPort, p *Packet) (*Packet, error) {
			switch p.text(UserName) {
			case "drop":
				return nil, ErrDrop
			case "mine":
				return &Packet{Code: AccessReject}, nil
			}
			if p.text(UserPassword) != "secret" {
				t.Errorf("password %q", p.text(UserPassword))
			}
			return nil, nil
		}})
		for name, code := range map[string]Code{"drop": 0, "mine": AccessReject, "alice": AccessAccept} {
			list := n.send(n.request(AccessRequest, byte(code), true, func(p *Packet) { p.addText(UserName, name); p.addText(UserPassword, "secret") }))
			if len(list) > 1 || (len(list) == 1) != (code != 0) || len(list) == 1 && list[0].Code != code {
				t.Errorf("%s: %v", name, list)
			}
		}
	})
}

func TestGrantWithFiltersNeedsFilterID(t *testing.T) {
	g := &ppp.Grant{In: func([]byte) bool { return false }}
	req := &ppp.AuthRequest{Protocol: ppp.PAP, Call: new(ppp.Call)}
	if p := new(Server).verdict(req, g, nil); p.Code != AccessReject {
		t.Errorf("%v", p.Code)
	}
	s := &Server{Accept: func(p *Packet, g *ppp.Grant) { p.addText(FilterID, "none") }}
	if p := s.verdict(req, g, nil); p.Code != AccessAccept || p.text(FilterID) != "none" {
		t.Errorf("with Filter-Id: %v", p.Code)
	}
}

// talker is an Authenticator of an EAP method that goes on as long as it is answered.
func talker(rounds *atomic.Int32) ppp.Authenticator {
	return ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
		for id := byte(2); id < 4; id++ {
			if _, err := req.Exchange(ctx, eap(eapRequest, id, 99, "more")); err != nil {
				return nil, err
			}
			rounds.Add(1)
		}
		return &ppp.Grant{SendKey: make([]byte, 32), RecvKey: make([]byte, 32)}, nil
	})
}

func eapRequestOf(state []byte, packet []byte) func(p *Packet) {
	return func(p *Packet) {
		p.addText(UserName, "alice")
		p.addLong(EAPMessage, packet)
		if state != nil {
			p.Add(State, state)
		}
	}
}

func TestConversationIsOfOneClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rounds atomic.Int32
		n := nasOf(t, &Server{Authenticator: talker(&rounds)})
		list := n.send(n.request(AccessRequest, 1, true, eapRequestOf(nil, eap(eapResponse, 1, eapIdentity, "alice"))))
		if len(list) != 1 || list[0].Code != AccessChallenge {
			t.Fatalf("%v", list)
		}
		state, _ := list[0].Get(State)
		thief := newNAS(t, n.node.mesh, "10.0.0.9:2000", serverA)
		stolen := thief.request(AccessRequest, 1, true, eapRequestOf(state, eap(eapResponse, 2, 99, "mine")))
		if list := thief.send(stolen); len(list) != 1 || list[0].Code != AccessReject || rounds.Load() != 0 {
			t.Errorf("another client goes on: %v, %d rounds", list, rounds.Load())
		}
		if list := n.send(n.request(AccessRequest, 2, true, eapRequestOf([]byte("unknown"), eap(eapResponse, 2, 99, "x")))); len(list) != 1 || list[0].Code != AccessReject {
			t.Errorf("unknown State: %v", list)
		}
		if list := n.send(n.request(AccessRequest, 3, true, eapRequestOf(state, eap(eapResponse, 7, 99, "x")))); len(list) != 0 {
			t.Errorf("another identifier: %v", list)
		}
		n.send(n.request(AccessRequest, 4, true, eapRequestOf(state, eap(eapResponse, 2, 99, "x"))))
		list = n.send(n.request(AccessRequest, 5, true, eapRequestOf(state, eap(eapResponse, 3, 99, "x"))))
		if len(list) != 1 || list[0].Code != AccessAccept || rounds.Load() != 2 {
			t.Fatalf("%v after %d rounds", list, rounds.Load())
		}
		if v, _ := list[0].concat(EAPMessage); !bytes.Equal(v, []byte{eapSuccess, 3, 0, 4}) {
			t.Errorf("EAP %x", v)
		}
	})
}

func TestAbandonedConversationsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rounds atomic.Int32
		s := &Server{Authenticator: talker(&rounds), MaxPending: 3}
		n := nasOf(t, s)
		begin := func(id byte) Code {
			list := n.send(n.request(AccessRequest, id, true, eapRequestOf(nil, eap(eapResponse, id, eapIdentity, "alice"))))
			if len(list) != 1 {
				return 0
			}
			return list[0].Code
		}
		for id := range byte(5) {
			if code := begin(id); code != AccessChallenge != (id >= 3) {
				t.Errorf("conversation %d: %v", id, code)
			}
		}
		time.Sleep(talkPause)
		synctest.Wait()
		if len(s.openTalks()) != 0 {
			t.Errorf("%d are left", len(s.openTalks()))
		}
		if code := begin(9); code != AccessChallenge {
			t.Errorf("after: %v", code)
		}
		if err := s.Shutdown(t.Context()); err != nil || len(s.openTalks()) != 0 {
			t.Errorf("Shutdown: %v, %d are left", err, len(s.openTalks()))
		}
	})
}

func TestShutdownWaitsForRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			select {
			case <-time.After(5 * time.Second):
				return new(ppp.Grant), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		s := &Server{Authenticator: slow}
		n := nasOf(t, s)
		n.node.WriteTo(n.request(AccessRequest, 1, true, pap), n.to)
		synctest.Wait()
		start := time.Now()
		if err := s.Shutdown(t.Context()); err != nil || time.Since(start) != 5*time.Second || len(n.node.in) != 1 {
			t.Errorf("%v after %v, %d answers", err, time.Since(start), len(n.node.in))
		}

		s = &Server{Authenticator: slow}
		n = nasOf(t, s)
		n.node.WriteTo(n.request(AccessRequest, 1, true, pap), n.to)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second || len(n.node.in) != 0 {
			t.Errorf("cut: %v after %v, %d answers", err, time.Since(start), len(n.node.in))
		}
		if err := s.Serve(n.node); err != ErrServerClosed {
			t.Errorf("Serve after Shutdown: %v", err)
		}
	})
}

func TestStatusServerByPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		s := &Server{Clients: anybody.Find, Authenticator: passwords, Account: func(context.Context, *Record) error { return nil }}
		serve(t, s, m.listen(serverA))
		go s.Serve(m.listen("10.0.0.5:1813"))
		for port, code := range map[string]Code{serverA: AccessAccept, "10.0.0.5:1813": AccountingResponse} {
			n := newNAS(t, m, "10.0.0.1:"+port[9:], port)
			if list := n.send(n.request(StatusServer, 1, true, nil)); len(list) != 1 || list[0].Code != code {
				t.Errorf("%s: %v", port, list)
			}
		}
	})
}

func TestRecordOfAccounting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got *Record
		fail := true
		n := nasOf(t, &Server{Account: func(ctx context.Context, r *Record) error {
			if fail {
				return errors.New("disk full")
			}
			got = r
			return nil
		}})
		b := n.request(AccountingRequest, 1, false, func(p *Packet) {
			p.addUint32(AcctStatusType, statusStop)
			p.addText(AcctSessionID, "s1")
			p.addText(UserName, "alice")
			p.addUint32(AcctInputOctets, 5)
			p.addUint32(AcctInputGigawords, 2)
			p.addUint32(AcctOutputOctets, 7)
			p.addUint32(AcctSessionTime, 60)
			p.addUint32(AcctTerminateCause, 6)
			p.addUint32(AcctDelayTime, 10)
			p.Add(FramedIPAddress, []byte{10, 0, 0, 5})
		})
		if list := n.send(b); len(list) != 0 {
			t.Error("what was not kept is acknowledged")
		}
		fail = false
		before := time.Now()
		if list := n.send(b); len(list) != 1 || list[0].Code != AccountingResponse { // it comes again
			t.Fatalf("%v", list)
		}
		if got.Status != "Stop" || got.Session != "s1" || got.User != "alice" || got.NAS != "10.0.0.1" || got.Stats.RxBytes != 2<<32+5 ||
			got.Stats.TxBytes != 7 || got.Time != time.Minute || got.Cause != ppp.AdminReset || got.Addr.String() != "10.0.0.5" ||
			!got.At.Equal(before.Add(-10*time.Second)) {
			t.Errorf("%+v", got)
		}
		got = nil
		if list := n.send(b); len(list) != 1 || got != nil {
			t.Error("a duplicate is recorded twice")
		}
	})
}

func TestSecretsByPrefix(t *testing.T) {
	s := Secrets{
		netip.MustParsePrefix("10.0.0.0/8"): "wide", netip.MustParsePrefix("10.1.0.0/16"): "narrow", netip.MustParsePrefix("2001:db8::/32"): "six",
	}
	for a, want := range map[string]Secret{"10.9.9.9": "wide", "10.1.2.3": "narrow", "2001:db8::1": "six", "192.0.2.1": ""} {
		if got, ok := s.Find(netip.MustParseAddr(a)); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", a, string(got), ok)
		}
	}
}
