package eap

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dialway/dialway/ppp"
)

// [MS-PEAP] section 4.4.
func TestPEAPVectors(t *testing.T) {
	tk := unhex(t, "738BB5F462D58E7ED844E1F00D0EBE50C50A2050DE11997710D65F45FB5FBAB7E3181E924F429738DE40C846CDF50BCBF9CEDB1E851D2252453BDF63")
	isk := unhex(t, "673E961401BEFBA560717B3B5DDD40386567F9F416FD3E9DFC71163BDFF2FA95")
	b := newBinding(tk, isk)
	for _, c := range []struct {
		name, want string
		got        []byte
	}{
		{"IPMK", "3A911C255473E83E9A0CC333AE1F8A35CDC74163E7F60F6C65EF71C26442AAACA2B6F1EB4F25ECA3", b.ipmk[:]},
		{"CMK", "3355353B6920D074C782E475DFB0999D4DB467EB", b.cmk[:]},
		{"CSK", "6A02D782201BC7138BF8EFF733B496970D7CAB300AC9577278E1DDD5AEF766971752D4E584A1C895039B4D05E3BC9A8484DDC2AA6E2CE162765C4068BFF65A45" +
			"10E3057485DB98B799D86E66763C64D49889B4DD1B273DC8A2CA73D60D11AFB22C52BAADD351E0CB7BB2E72C7D9373857E03C14A32C8F7E5959F46680E86E65C", b.csk()},
	} {
		if got := fmt.Sprintf("%X", c.got); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	for subtype, c := range []struct{ nonce, mac string }{
		{"BDA7A599FA816521AD3064C2BDDBD16EAA949E7D98A8D7943147CF425D85DA7B", "0CBF105E91755748224FBB83000626911CFB1B0F"},
		{"6C6BA38784237457CCC90B1A908CBDF4711B69994D0CFE8D3DB44ECBCDAD37E9", "42E086071D1C8B8C8E458F7021F06A6EAB16B646"},
	} {
		tlv := b.newTLV(byte(subtype), [32]byte(unhex(t, c.nonce)))
		if got, want := fmt.Sprintf("%X", tlv[:]), fmt.Sprintf("000C003800000%03d", subtype)+c.nonce+c.mac; got != want {
			t.Errorf("TLV %d:\n%s\n%s", subtype, got, want)
		}
		if !b.holds(tlv, byte(subtype)) || b.holds(tlv, byte(1-subtype)) {
			t.Errorf("TLV %d: holds", subtype)
		}
	}
}

// peapTalk is alice in a tunnel, with nobody's name outside.
func peapTalk(v uint16, m *MSCHAPv2) (*talk, *PEAP, *PEAP) {
	p := testPKI()
	server := &PEAP{Config: &tls.Config{Certificates: []tls.Certificate{p.server}, MaxVersion: v}, Inner: &MSCHAPv2{}}
	client := &PEAP{Config: p.clientTLS(v), InnerPeer: m}
	client.Config.Certificates = nil
	return &talk{
		auth: &Authenticator{Methods: []Method{server}, Next: alice},
		peer: (&Peer{Identity: "@example.com", Methods: []PeerMethod{client}}).Respond,
	}, server, client
}

func TestPEAP(t *testing.T) {
	for _, v := range []uint16{0, tls.VersionTLS12, tls.VersionTLS13} {
		k, _, _ := peapTalk(v, &MSCHAPv2{User: "alice", Password: "secret"})
		k.run(t).agreed(t, "alice")
		if !isKey(k.msk[32:]) {
			t.Errorf("MSK %x", k.msk)
		}
		for _, pkt := range k.trace {
			if bytes.Contains(pkt, []byte("alice")) {
				t.Errorf("the name is seen outside: %q", pkt)
			}
		}
	}
}

// The outer Identity proves nothing.
func TestPEAPOuterIdentity(t *testing.T) {
	k, _, client := peapTalk(0, &MSCHAPv2{User: "alice", Password: "secret"})
	k.peer = (&Peer{Identity: "DD_NewYork", Methods: []PeerMethod{client}}).Respond
	k.run(t).agreed(t, "alice")
}

func TestPEAPInnerTLS(t *testing.T) {
	p := testPKI()
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		k, server, client := peapTalk(0, nil)
		server.Inner, client.InnerPeer = &TLS{Config: p.serverTLS(v)}, &TLS{Config: p.clientTLS(v)}
		k.auth.(*Authenticator).Next = anybody
		k.run(t).agreed(t, "alice")
	}
}

func TestPEAPWrongPassword(t *testing.T) {
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		k, _, _ := peapTalk(v, &MSCHAPv2{User: "alice", Password: "wrong"})
		k.run(t).refused(t)
		var e *ppp.AuthError
		if !errors.As(k.peerErr, &e) || e.Code != ppp.CodeFailed || !e.Remote {
			t.Error(k.peerErr)
		}
		if !errors.As(k.authErr, &e) || e.Remote {
			t.Error(k.authErr)
		}
	}
}

func TestPEAPRetryAndChange(t *testing.T) {
	k, _, _ := peapTalk(0, &MSCHAPv2{User: "alice", Password: "wrong", Retry: func(context.Context, *ppp.AuthError) (ppp.Secret, error) { return "secret", nil }})
	k.run(t).agreed(t, "alice")
	stored := ppp.Secret("secret")
	k, _, _ = peapTalk(0, &MSCHAPv2{User: "alice", Password: "secret", Retry: func(context.Context, *ppp.AuthError) (ppp.Secret, error) { return "new", nil }})
	k.auth.(*Authenticator).Next = changing(t, &stored)
	k.run(t).agreed(t, "alice")
	if stored != "new" {
		t.Error("not changed")
	}
}

// A peer with other methods inside than the server's is refused inside.
func TestPEAPInnerNak(t *testing.T) {
	k, _, client := peapTalk(0, nil)
	client.InnerPeer = token{typ: 200}
	k.run(t).refused(t)
	if !strings.Contains(k.authErr.Error(), "EAP type 200") {
		t.Error(k.authErr)
	}
}

func TestPEAPWrongServer(t *testing.T) {
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, edit := range map[string]func(c *tls.Config){
			"roots":    func(c *tls.Config) { c.RootCAs = testPKI().other.pool() },
			"name":     func(c *tls.Config) { c.ServerName = "other.example.com" },
			"no roots": func(c *tls.Config) { c.RootCAs = nil },
		} {
			k, _, client := peapTalk(v, &MSCHAPv2{User: "alice", Password: "secret"})
			edit(client.Config)
			k.run(t)
			if k.authErr == nil && k.grant != nil || k.peerErr == nil {
				t.Errorf("%s: %v, %v", name, k.authErr, k.peerErr)
			}
		}
	}
}

// A relay of the inner method into another tunnel: both tunnels are good, the inner method, too, and nobody is content.
func TestPEAPManInTheMiddle(t *testing.T) {
	for _, who := range []string{"server", "peer"} {
		k, server, client := peapTalk(0, nil)
		// The relay gives alice's answers, and does not know her keys.
		if who == "server" {
			client.InnerPeer = keyless{&MSCHAPv2{User: "alice", Password: "secret"}}
		} else {
			client.InnerPeer = &MSCHAPv2{User: "alice", Password: "secret"}
			server.Inner = keylessServer{server.Inner}
		}
		k.run(t).refused(t)
		if !errors.Is(k.peerErr, errBinding) {
			t.Errorf("%s: %v", who, k.peerErr)
		}
	}
	// A peer that has no qualms answers with the keys that it has.
	k, _, client := peapTalk(0, nil)
	client.InnerPeer = keyless{&MSCHAPv2{User: "alice", Password: "secret"}}
	bold := &loosePEAP{client, true}
	k.peer = (&Peer{Identity: "mallory", Methods: []PeerMethod{bold}}).Respond
	k.run(t)
	if !errors.Is(k.authErr, errBinding) {
		t.Error(k.authErr)
	}
}

// keyless and keylessServer are a method whose keys are another's.
type keyless struct{ PeerMethod }

func (m keyless) Respond(ctx context.Context, request []byte, r *Round) ([]byte, error) {
	msk, err := m.PeerMethod.Respond(ctx, request, r)
	for i := range msk {
		msk[i] ^= 1
	}
	return msk, err
}

type keylessServer struct{ Method }

func (m keylessServer) Authenticate(ctx context.Context, r *Round) (*ppp.Grant, error) {
	g, err := m.Method.Authenticate(ctx, r)
	if g != nil {
		g.RecvKey[0] ^= 1
	}
	return g, err
}

// A loosePEAP is a peer that verifies no crypto binding, and sends one or none.
type loosePEAP struct {
	*PEAP
	bind bool
}

func (m *loosePEAP) Respond(ctx context.Context, request []byte, r *Round) ([]byte, error) {
	cfg, err := m.clientConfig()
	if err != nil {
		return nil, err
	}
	f := &flights{ctx: ctx, round: r, do: r.need, mask: versionMask}
	c := &peapClient{peapTunnel: peapTunnel{f: f, conn: tls.Client(f, cfg)}, id: r.nextID}
	if err := c.conn.Handshake(); err != nil {
		return nil, err
	}
	first, err := c.next()
	if err != nil {
		return nil, err
	}
	state := c.conn.ConnectionState()
	material, _ := keyMaterial(&state, TypePEAP)
	msk, err := (&client{conversation: conversation{exchange: c.respond}, identity: "alice"}).run(ctx, first, []PeerMethod{m.InnerPeer})
	if err != nil {
		return nil, err
	}
	t := tlvs{result: resultSuccess}
	if m.bind {
		b := newBinding(material, msk[:32])
		t.binding = b.newTLV(bindingResponse, [32]byte{1})
	}
	c.finish(t, r)
	return material[:64], nil
}

func TestPEAPWithoutBinding(t *testing.T) {
	for _, okay := range []bool{false, true} {
		// A peer without.
		k, server, client := peapTalk(0, &MSCHAPv2{User: "alice", Password: "secret"})
		server.NoBindingOkay = okay
		k.peer = (&Peer{Identity: "alice", Methods: []PeerMethod{&loosePEAP{client, false}}}).Respond
		k.run(t)
		if okay {
			k.agreed(t, "alice")
		} else if !errors.Is(k.authErr, errUnbound) {
			t.Error(k.authErr)
		}
		// A server without, as FreeRADIUS is: the TLV is cut out by its own server.
		for _, verified := range []bool{true, false} {
			k, server, client = peapTalk(0, &MSCHAPv2{User: "alice", Password: "secret"})
			client.NoBindingOkay = okay
			if !verified {
				client.Config.InsecureSkipVerify = true
				client.Config.VerifyConnection = func(tls.ConnectionState) error { return nil }
			}
			k.auth = &Authenticator{Methods: []Method{noBinding{server}}, Next: alice}
			k.run(t)
			if okay && verified {
				k.agreed(t, "alice")
			} else if !errors.Is(k.peerErr, errUnbound) {
				t.Errorf("okay %v, verified %v: %v", okay, verified, k.peerErr)
			}
		}
	}
}

// noBinding is a PEAP server that knows no crypto binding.
type noBinding struct{ *PEAP }

func (m noBinding) Authenticate(ctx context.Context, r *Round) (*ppp.Grant, error) {
	cfg, _ := m.serverConfig()
	f := &flights{ctx: ctx, round: r, do: r.Do, mask: versionMask}
	if err := f.begin(); err != nil {
		return nil, err
	}
	p := &peapTunnel{f: f, conn: tls.Server(f, cfg)}
	if err := p.conn.Handshake(); err != nil {
		return nil, err
	}
	if err := f.turn(); err != nil {
		return nil, err
	}
	state := p.conn.ConnectionState()
	material, _ := keyMaterial(&state, TypePEAP)
	s := &server{conversation: conversation{exchange: p.ask}, id: r.nextID(), next: r.Next}
	g, err := m.inner(ctx, s, r)
	if err != nil {
		return nil, err
	}
	answer, err := s.request(ctx, typeTLV, tlvs{result: resultSuccess}.append(nil))
	if err != nil {
		return nil, err
	}
	if t, err := parseTLVs(answer.data); err != nil || t.result != resultSuccess {
		return nil, fmt.Errorf("result %v, %v", t, err)
	}
	return keyed(g, "", material), nil
}

// A server that says the result in front of the method, or nothing that is a result.
func TestPEAPEarlyResult(t *testing.T) {
	for _, c := range []tlvs{{result: resultSuccess}, {result: resultFailure}, {result: 3}, {}} {
		k, server, _ := peapTalk(0, &MSCHAPv2{User: "alice", Password: "secret"})
		server.Inner = token{typ: TypeMSCHAPv2, before: func(ctx context.Context, r *Round) (*ppp.Grant, error) {
			data := packet{codeRequest, 77, typeTLV, c.append(nil)}.append(nil)
			_, err := r.Request.Exchange(ctx, data)
			return nil, err
		}}
		k.run(t)
		if k.peerErr == nil || k.msk != nil {
			t.Errorf("%v: the peer is content", c)
		}
	}
}

func TestPEAPMangled(t *testing.T) {
	for _, toServer := range []bool{false, true} {
		for n := 2; n <= 9; n++ {
			for _, at := range []int{0, 1, 4, 5, 6, 10, 30, 60} {
				for _, cut := range []bool{false, true} {
					k, _, _ := peapTalk(0, &MSCHAPv2{User: "alice", Password: "secret"})
					changed := false
					k.touch = func(s bool, i int, b []byte) []byte {
						if s != toServer || i != n || at >= len(b) {
							return b
						}
						changed = true
						if cut {
							return b[:at:at]
						}
						b[at] ^= 0x55
						return b
					}
					k.run(t)
					if k.authErr == nil && k.peerErr == nil && (!bytes.Equal(k.msk[:32], k.grant.RecvKey) || changed && at > 10) {
						t.Errorf("to server %v, packet %d, byte %d, cut %v: both content", toServer, n, at, cut)
					}
				}
			}
		}
	}
}

func TestPEAPConfigs(t *testing.T) {
	k, server, client := peapTalk(0, &MSCHAPv2{User: "alice", Password: "secret"})
	config := server.Config
	server.Config = nil
	k.run(t).refused(t)
	server.Config, server.Inner = config, nil
	k.run(t).refused(t)
	server.Inner, client.InnerPeer = &MSCHAPv2{}, nil
	k.run(t).refused(t)
}

func FuzzTLVs(f *testing.F) {
	var b binding
	f.Add(tlvs{resultSuccess, b.newTLV(0, [32]byte{})}.append(nil))
	f.Add(tlvs{result: resultFailure}.append(nil))
	f.Add([]byte{0, 7, 0, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parseTLVs(b)
		if err != nil {
			return
		}
		again, err := parseTLVs(v.append(nil))
		if err != nil || again.result != v.result || (again.binding == nil) != (v.binding == nil) || v.binding != nil && *again.binding != *v.binding {
			t.Errorf("%+v came back as %+v, %v", v, again, err)
		}
	})
}

// What comes out of a tunnel is a packet, or an error.
func FuzzPEAPInner(f *testing.F) {
	f.Add([]byte{1}, true)
	f.Add([]byte{26, 1, 2, 0, 4}, true)
	f.Add([]byte{1, 9, 0, 5, 33}, false)
	f.Fuzz(func(t *testing.T, b []byte, request bool) {
		c := codeResponse
		if request {
			c = codeRequest
		}
		if isWhole(b, c) {
			if p, ok := parsePacket(b); !ok || p.typ != typeTLV {
				t.Errorf("%x", b)
			}
		}
	})
}
