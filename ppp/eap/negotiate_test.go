package eap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
)

func TestNegotiation(t *testing.T) {
	for _, c := range []struct {
		server, peer []Type
		want         Type
		packets      int
	}{
		{[]Type{200}, []Type{200}, 200, 3},
		{[]Type{200, 201}, []Type{201}, 201, 5},
		{[]Type{200, 201, 202}, []Type{202, 201}, 202, 5}, // the peer's order among the server's
		{[]Type{200, 254, 201}, []Type{254}, 254, 5},
		{[]Type{254, 201}, []Type{202, 201}, 201, 5}, // an expanded Nak
		{[]Type{200}, []Type{201}, 0, 3},
		{[]Type{254}, []Type{201}, 0, 3},
		{[]Type{200, 201}, []Type{202, 203}, 0, 3},
	} {
		t.Run(fmt.Sprint(c.server, c.peer), func(t *testing.T) {
			a, p := &Authenticator{}, &Peer{Identity: "alice"}
			for _, n := range c.server {
				a.Methods = append(a.Methods, token{typ: n})
			}
			for _, n := range c.peer {
				p.Methods = append(p.Methods, token{typ: n})
			}
			k := (&talk{auth: a, peer: p.Respond}).run(t)
			if len(k.trace) != c.packets {
				t.Errorf("%x", k.trace)
			}
			if c.want == 0 {
				k.refused(t)
				if !strings.Contains(k.authErr.Error(), fmt.Sprint(c.peer)) {
					t.Errorf("%v does not say what the peer wanted", k.authErr)
				}
				return
			}
			k.agreed(t, "alice")
			if k.msk[0] != byte(c.want) {
				t.Errorf("by %d", k.msk[0])
			}
		})
	}
}

// Identifiers count up, so that a Request never looks like the last one once more.
func TestIdentifiers(t *testing.T) {
	k := (&talk{auth: &Authenticator{Methods: []Method{token{typ: 200}, token{typ: 201}}}, peer: (&Peer{Methods: []PeerMethod{token{typ: 201}}}).Respond}).run(t)
	for i, pkt := range k.trace {
		if int(pkt[1]) != (i+1)/2 {
			t.Errorf("packet %d: %x", i, pkt)
		}
	}
}

// A method that does not care for the Nak, and grants, grants nothing.
func TestRefusedMethodGrantsNothing(t *testing.T) {
	careless := token{typ: 200, before: func(ctx context.Context, r *Round) (*ppp.Grant, error) {
		r.Do(ctx, []byte("hello"))
		if _, err := r.Do(ctx, []byte("again")); err == nil {
			t.Error("a refused method goes on")
		}
		return &ppp.Grant{User: "root", RecvKey: make([]byte, 32), SendKey: make([]byte, 32)}, nil
	}}
	k := (&talk{auth: &Authenticator{Methods: []Method{careless}}, peer: (&Peer{Methods: []PeerMethod{token{typ: 201}}}).Respond}).run(t)
	k.refused(t)
}

// What is not EAP is for Next, and without one refused.
func TestOtherProtocolsGoToNext(t *testing.T) {
	req := &ppp.AuthRequest{Protocol: ppp.PAP, User: "alice", Password: "secret"}
	if g, err := (&Authenticator{Next: alice}).Authenticate(t.Context(), req); g == nil || err != nil {
		t.Errorf("%v, %v", g, err)
	}
	var e *ppp.AuthError
	if _, err := (&Authenticator{}).Authenticate(t.Context(), req); !errors.As(err, &e) {
		t.Error(err)
	}
	nobody := ppp.AuthenticatorFunc(func(context.Context, *ppp.AuthRequest) (*ppp.Grant, error) { return nil, nil })
	if g, err := (&Authenticator{Next: nobody}).Authenticate(t.Context(), req); g != nil || !errors.As(err, &e) {
		t.Errorf("%v, %v", g, err)
	}
}

// A zero Authenticator, Peer or Round says what it lacks.
func TestZeroValues(t *testing.T) {
	req := &ppp.AuthRequest{Protocol: ppp.EAP}
	if _, err := new(Authenticator).Authenticate(t.Context(), req); err == nil {
		t.Error("no Exchange")
	}
	req.Exchange = func(context.Context, []byte) ([]byte, error) { return nil, io.EOF }
	for _, identity := range []string{"", "\x02\x00\x00\x05\x02", "\x01\x00\x00\x05\x01", "\x02\x00\x00\x06\x01"} {
		req.EAP = []byte(identity)
		if _, err := new(Authenticator).Authenticate(t.Context(), req); err == nil {
			t.Errorf("%x", identity)
		}
	}
	req.EAP = packet{code: codeResponse, typ: typeIdentity}.append(nil)
	if _, err := new(Authenticator).Authenticate(t.Context(), req); err == nil {
		t.Error("no Methods")
	}
	if _, err := new(Peer).Respond(t.Context(), nil, nil); err == nil {
		t.Error("no Methods")
	}
	if _, err := new(Round).Do(t.Context(), nil); err == nil {
		t.Error("no conversation")
	}
	if _, err := (&Round{do: func(context.Context, []byte) ([]byte, error) { return nil, nil }}).Do(t.Context(), []byte{1}); err == nil {
		t.Error("more than fits")
	}
}

// The server's side of what a peer may not do.
func TestAuthenticatorRefuses(t *testing.T) {
	for name, touch := range map[string]func(n int, b []byte) []byte{
		"Request":         func(n int, b []byte) []byte { b[0] = 1; return b },
		"Success":         func(n int, b []byte) []byte { return []byte{3, b[1], 0, 4} },
		"identifier":      func(n int, b []byte) []byte { b[1]++; return b },
		"truncated":       func(n int, b []byte) []byte { return b[:len(b)-1] },
		"length":          func(n int, b []byte) []byte { b[3] = 4; return b },
		"another type":    func(n int, b []byte) []byte { b[4]++; return b },
		"Identity":        func(n int, b []byte) []byte { b[4] = 1; return b },
		"empty":           func(n int, b []byte) []byte { return []byte{} },
		"Nak of nothing":  func(n int, b []byte) []byte { return []byte{2, b[1], 0, 6, 3, 0} },
		"expanded, short": func(n int, b []byte) []byte { return []byte{2, b[1], 0, 8, 254, 0, 0, 0} },
	} {
		t.Run(name, func(t *testing.T) {
			k := &talk{auth: &Authenticator{Methods: []Method{token{typ: 200}}}, peer: (&Peer{Methods: []PeerMethod{token{typ: 200}}}).Respond}
			k.touch = func(toServer bool, n int, b []byte) []byte {
				if toServer && n == 2 {
					return touch(n, b)
				}
				return b
			}
			k.run(t).refused(t)
		})
	}
	t.Run("Nak in the middle", func(t *testing.T) {
		two := token{typ: 200, before: func(ctx context.Context, r *Round) (*ppp.Grant, error) {
			if _, err := r.Do(ctx, []byte("one")); err != nil {
				return nil, err
			}
			_, err := r.Do(ctx, []byte("two"))
			return nil, err
		}}
		k := &talk{auth: &Authenticator{Methods: []Method{two, token{typ: 201}}}}
		k.peer = func(ctx context.Context, request []byte, x ppp.Exchange) ([]byte, error) {
			for id, data := range []string{"\x01alice", "\xc8one", "\x03\xc9"} {
				var err error
				if request, err = x(ctx, packet{code: codeResponse, id: byte(id), typ: Type(data[0]), data: []byte(data[1:])}.append(nil)); err != nil {
					return nil, err
				}
			}
			return nil, fmt.Errorf("it goes on with %x", request)
		}
		k.run(t).refused(t)
		var n *ppp.NegotiationError
		if !errors.As(k.authErr, &n) || !n.Remote {
			t.Error(k.authErr)
		}
	})
}

// The peer's side of what a server may not do, and of what it may do at any time.
func TestPeerScript(t *testing.T) {
	script := func(t *testing.T, requests ...string) (answers []string, err error) {
		p := &Peer{Identity: "alice", Methods: []PeerMethod{token{typ: 200}, token{typ: 202}}}
		_, err = p.Respond(t.Context(), []byte(requests[0]), func(_ context.Context, pkt []byte) ([]byte, error) {
			if pkt != nil {
				answers = append(answers, fmt.Sprintf("%x", pkt))
			}
			requests = requests[1:]
			switch {
			case len(requests) == 0:
				return nil, errCut
			case requests[0] == "success":
				return nil, io.EOF
			}
			return []byte(requests[0]), nil
		})
		return answers, err
	}
	for name, c := range map[string]struct {
		requests []string
		answers  string
		ok       bool
	}{
		"Notification": {[]string{"\x01\x05\x00\x06\x02x", "\x01\x06\x00\x06\xc8a", "\x01\x07\x00\x06\x02x", "success"},
			"[0205000502 02060007c86121 0207000502]", true},
		"unknown types": {[]string{"\x01\x05\x00\x05\x04", "\x01\x06\x00\x06\xc8a", "success"},
			"[0205000703c8ca 02060007c86121]", true},
		"expanded type": {[]string{"\x01\x05\x00\x0d\xfe\x00\x00\x01\x00\x00\x00\x02z", "\x01\x06\x00\x06\xc8a", "success"},
			"[0205001cfe00000000000003fe000000000000c8fe000000000000ca 02060007c86121]", true},
		"early Success": {[]string{"\x01\x05\x00\x05\x01", "success", "\x01\x06\x00\x06\xc8a", "success"},
			"[0205000a01616c696365 02060007c86121]", true},
		"Success alone":   {[]string{"\x01\x05\x00\x05\x01", "success"}, "[0205000a01616c696365]", false},
		"Request/Nak":     {[]string{"\x01\x05\x00\x06\x03\xc8"}, "[]", false},
		"Response":        {[]string{"\x02\x05\x00\x06\xc8a"}, "[]", false},
		"another method":  {[]string{"\x01\x05\x00\x06\xc8a", "\x01\x06\x00\x06\xcaa", "success"}, "[02050007c86121]", false},
		"truncated":       {[]string{"\x01\x05\x00\x07\xc8a"}, "[]", false},
		"nothing":         {[]string{""}, "[]", false},
		"one more round":  {[]string{"\x01\x05\x00\x06\xc8a", "\x01\x06\x00\x06\xc8a"}, "[02050007c86121]", false},
		"Nak, no Success": {[]string{"\x01\x05\x00\x05\x04", "success"}, "[0205000703c8ca]", false},
	} {
		t.Run(name, func(t *testing.T) {
			answers, err := script(t, c.requests...)
			if fmt.Sprint(answers) != c.answers || (err == nil) != c.ok && name != "one more round" {
				t.Errorf("%v, %v", answers, err)
			}
		})
	}
}

func TestConversationIsBounded(t *testing.T) {
	t.Run("rounds", func(t *testing.T) {
		endless := token{typ: 200, before: func(ctx context.Context, r *Round) (*ppp.Grant, error) {
			for {
				if _, err := r.Do(ctx, []byte("more")); err != nil {
					return nil, err
				}
			}
		}}
		babbler := &Peer{Methods: []PeerMethod{babble{}}}
		k := (&talk{auth: &Authenticator{Methods: []Method{endless}}, peer: babbler.Respond}).run(t)
		k.refused(t)
		if !errors.Is(k.authErr, errTooLong) && !errors.Is(k.peerErr, errTooLong) || len(k.trace) > 2*maxRounds+2 {
			t.Errorf("%d packets: %v, %v", len(k.trace), k.authErr, k.peerErr)
		}
	})
	t.Run("age", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := &Authenticator{Methods: []Method{token{typ: 200}}}
			start := time.Now()
			_, err := a.Authenticate(t.Context(), &ppp.AuthRequest{
				Protocol: ppp.EAP, EAP: packet{code: codeResponse, typ: typeIdentity}.append(nil),
				Exchange: func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
			})
			if !errors.Is(err, errTooOld) || time.Since(start) != maxAge {
				t.Errorf("%v after %v", err, time.Since(start))
			}
			_, err = (&Peer{Methods: []PeerMethod{token{typ: 200}}}).Respond(t.Context(), []byte("\x01\x05\x00\x05\x01"),
				func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
			if !errors.Is(err, errTooOld) {
				t.Error(err)
			}
		})
	})
	t.Run("bytes", func(t *testing.T) {
		c := &conversation{exchange: func(context.Context, []byte) ([]byte, error) { return make([]byte, 60000), nil }}
		for i := range 5 {
			if _, err := c.send(t.Context(), nil); (err != nil) != (i == 4) {
				t.Errorf("round %d: %v", i, err)
			}
		}
	})
}

// A babble answers for ever.
type babble struct{}

func (babble) Type() Type { return 200 }
func (babble) Respond(ctx context.Context, request []byte, r *Round) ([]byte, error) {
	for {
		if _, err := r.Do(ctx, request); err != nil {
			return nil, err
		}
	}
}

func FuzzPacket(f *testing.F) {
	for _, p := range []packet{{codeRequest, 1, typeIdentity, nil}, {codeResponse, 2, TypeTLS, []byte{0x80, 0, 0, 0, 1, 2}}, {codeResponse, 9, typeNak, []byte{13, 25}}} {
		f.Add(p.append(nil))
	}
	f.Add(packet{codeResponse, 3, typeExpanded, appendExpandedNak(nil, []Type{13, 26})}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parsePacket(b)
		if !ok {
			return
		}
		if again := p.append(nil); string(again) != string(b[:len(again)]) {
			t.Errorf("%x came back as %x", b, again)
		}
		types, ok := parseNak(p)
		if !ok {
			return
		}
		legacy, _ := parseNak(packet{typ: typeNak, data: appendNak(nil, types)})
		expanded, _ := parseNak(packet{typ: typeExpanded, data: appendExpandedNak(nil, types)})
		if p.typ == typeExpanded && (fmt.Sprint(legacy) != fmt.Sprint(types) || fmt.Sprint(expanded) != fmt.Sprint(types)) {
			t.Errorf("%v came back as %v and %v", types, legacy, expanded)
		}
	})
}

// Who knows the accounts is told by which method it is asked: the outermost.
func TestNextLearnsTheMethod(t *testing.T) {
	p := testPKI()
	peap, _, _ := peapTalk(0, &MSCHAPv2{User: "alice", Password: "secret"})
	for want, k := range map[Type]*talk{
		TypeMSCHAPv2: {auth: &Authenticator{Methods: []Method{&MSCHAPv2{}}, Next: alice}, peer: (&Peer{Identity: "alice", Methods: []PeerMethod{&MSCHAPv2{User: "alice", Password: "secret"}}}).Respond},
		TypeTLS:      tlsTalk(&TLS{Config: p.serverTLS(0)}, &TLS{Config: p.clientTLS(0)}),
		TypePEAP:     peap,
	} {
		a := k.auth.(*Authenticator)
		next, asked := a.Next, 0
		a.Next = ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			asked++
			if Type(req.EAPType) != want {
				t.Errorf("%v asks as %v", want, Type(req.EAPType))
			}
			return next.Authenticate(ctx, req)
		})
		k.run(t).agreed(t, "alice")
		if asked != 1 {
			t.Errorf("%v: asked %d times", want, asked)
		}
	}
}
