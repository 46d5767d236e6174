package radius

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
)

// fake answers what comes to addr by hand.
func fake(t *testing.T, m *mesh, addr string, answer func(p *Packet, b []byte) [][]byte) {
	t.Helper()
	n := m.listen(addr)
	t.Cleanup(func() { n.Close() })
	go func() {
		b := make([]byte, maxPacket)
		for {
			k, from, err := n.ReadFrom(b)
			if err != nil {
				return
			}
			p, err := Parse(b[:k])
			if err != nil {
				t.Errorf("the client sent %x: %v", b[:k], err)
				return
			}
			for _, r := range answer(p, b[:k]) {
				n.WriteTo(r, from)
			}
		}
	}()
}

// reply encodes an answer.
func reply(t *testing.T, p *Packet, code Code, sign bool, secret Secret, attrs ...func(*Packet)) []byte {
	t.Helper()
	r := &Packet{Code: code}
	for _, f := range attrs {
		f(r)
	}
	b, err := encode(r, p.Identifier, p.Authenticator, secret, sign)
	if err != nil {
		t.Error(err)
	}
	return b
}

func lone(m *mesh) *Client {
	return &Client{Targets: []Target{{Addr: serverA, Secret: testSecret}}, Dial: m.dial("10.0.0.1")}
}

// Blast-RADIUS: an Access-Accept whose Response Authenticator is right, but which has no Message-Authenticator.
func TestUnsignedReplyRefused(t *testing.T) {
	for _, unsigned := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := newMesh()
			fake(t, m, serverA, func(p *Packet, b []byte) [][]byte {
				return [][]byte{reply(t, p, AccessAccept, false, testSecret)}
			})
			c := lone(m)
			defer c.Close()
			c.Targets[0].Unsigned = unsigned
			g, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "x"))
			if unsigned && err != nil || !unsigned && (g != nil || !errors.Is(err, ErrNoAnswer)) {
				t.Errorf("unsigned %v: %v, %v", unsigned, g, err)
			}
			if st := c.Stats()[0]; !unsigned && (st.Bad != st.Sent+st.Resent || st.Replies != 0) {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestForgedRepliesAreDropped(t *testing.T) {
	accept := func(t *testing.T, p *Packet) []byte { return reply(t, p, AccessAccept, true, testSecret) }
	for name, forge := range map[string]func(t *testing.T, p *Packet, b []byte) []byte{
		"another secret":  func(t *testing.T, p *Packet, b []byte) []byte { return reply(t, p, AccessAccept, true, "x") },
		"truncated":       func(t *testing.T, p *Packet, b []byte) []byte { r := accept(t, p); return r[:len(r)-1] },
		"empty":           func(t *testing.T, p *Packet, b []byte) []byte { return nil },
		"its own request": func(t *testing.T, p *Packet, b []byte) []byte { return b },
		"a reject turned to accept": func(t *testing.T, p *Packet, b []byte) []byte {
			r := reply(t, p, AccessReject, true, testSecret)
			r[0] = byte(AccessAccept)
			return r
		},
		"a bit": func(t *testing.T, p *Packet, b []byte) []byte { r := accept(t, p); r[len(r)-1] ^= 1; return r },
		"another request's": func(t *testing.T, p *Packet, b []byte) []byte {
			q := p.clone()
			q.Authenticator[0] ^= 1
			return accept(t, q)
		},
		"another identifier": func(t *testing.T, p *Packet, b []byte) []byte {
			q := p.clone()
			q.Identifier++
			return accept(t, q)
		},
		"another code": func(t *testing.T, p *Packet, b []byte) []byte {
			return reply(t, p, AccountingResponse, true, testSecret)
		},
		"a Message-Authenticator of zeros": func(t *testing.T, p *Packet, b []byte) []byte {
			r := reply(t, p, AccessAccept, false, testSecret, func(q *Packet) { q.addLong(Class, []byte("0123456789abcdef")) })
			r[headerLen] = byte(MessageAuthenticator)
			clear(r[headerLen+2:])
			sum := digest(r, p.Authenticator, testSecret)
			copy(r[4:], sum[:])
			return r
		},
		"a key that is none": func(t *testing.T, p *Packet, b []byte) []byte {
			r := reply(t, p, AccessReject, true, testSecret, func(q *Packet) { q.AddVendor(Microsoft, msMPPERecvKey, []byte("short")) })
			r[0] = byte(AccessAccept)
			sum := signature(r, headerLen+2, p.Authenticator, testSecret)
			copy(r[headerLen+2:], sum[:])
			sum = digest(r, p.Authenticator, testSecret)
			copy(r[4:], sum[:])
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMesh()
				sent := 0
				fake(t, m, serverA, func(p *Packet, b []byte) [][]byte {
					if sent++; sent > 1 {
						return [][]byte{reply(t, p, AccessReject, true, testSecret)}
					}
					return [][]byte{forge(t, p, b)}
				})
				c := lone(m)
				defer c.Close()
				// The wait goes on, and the true answer counts.
				start := time.Now()
				g, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "x"))
				if g != nil || !errors.As(err, new(*ppp.AuthError)) || time.Since(start) < time.Second {
					t.Errorf("%v, %v after %v", g, err, time.Since(start))
				}
				if st := c.Stats()[0]; st.Bad != 1 || st.Replies != 1 || st.Resent != 1 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestDuplicatedRepliesCountOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		var first []byte
		fake(t, m, serverA, func(p *Packet, b []byte) [][]byte {
			r := reply(t, p, AccessReject, true, testSecret)
			if first == nil {
				first = r
			}
			return [][]byte{r, r, first}
		})
		c := lone(m)
		defer c.Close()
		for range 300 { // identifiers come again
			if _, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "x")); !errors.As(err, new(*ppp.AuthError)) {
				t.Fatal(err)
			}
		}
		if st := c.Stats()[0]; st.Sent != 300 || st.Lost != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAcceptOfAnotherServiceRefused(t *testing.T) {
	for _, x := range []struct {
		attr  Attr
		value []byte
		ok    bool
	}{
		{ServiceType, []byte{0, 0, 0, 2}, true}, {ServiceType, []byte{0, 0, 0, 1}, false}, {ServiceType, []byte{0, 0, 0, 4}, false},
		{ServiceType, []byte{0, 0, 0, 0}, false}, {ServiceType, []byte{2}, false}, {ServiceType, []byte{9, 9, 9, 9}, false},
		{FramedProtocol, []byte{0, 0, 0, 1}, true}, {FramedProtocol, []byte{0, 0, 0, 2}, false}, {250, []byte("unknown"), true},
	} {
		p := &Packet{Code: AccessAccept}
		p.Add(x.attr, x.value)
		g, err := new(Client).grant(&ppp.AuthRequest{Protocol: ppp.PAP}, p, &server{target: new(Target)})
		if (g != nil) != x.ok || !x.ok && !errors.As(err, new(*ppp.AuthError)) {
			t.Errorf("attribute %d %x: %v, %v", x.attr, x.value, g, err)
		}
	}
}

func TestFilterThatIsUnknownRefused(t *testing.T) {
	even := func(b []byte) bool { return b[0]%2 == 0 }
	small := func(b []byte) bool { return b[0] < 10 }
	filter := func(id string) (func([]byte) bool, error) {
		switch id {
		case "even.in":
			return even, nil
		case "small":
			return small, nil
		}
		return nil, errors.New("unknown")
	}
	s := &server{target: new(Target)}
	accept := func(ids ...string) *Packet {
		p := &Packet{Code: AccessAccept}
		for _, id := range ids {
			p.addText(FilterID, id)
		}
		return p
	}
	req := &ppp.AuthRequest{Protocol: ppp.PAP}
	if g, err := (&Client{}).grant(req, accept("small"), s); g != nil || !errors.As(err, new(*ppp.AuthError)) {
		t.Errorf("without Filter: %v, %v", g, err)
	}
	c := &Client{Filter: filter}
	if g, err := c.grant(req, accept("small", "other"), s); g != nil || !errors.As(err, new(*ppp.AuthError)) {
		t.Errorf("one of two is unknown: %v, %v", g, err)
	}
	p := accept("small")
	p.AddVendor(Microsoft, msFilter, []byte{1})
	if g, err := c.grant(req, p, s); g != nil || err == nil {
		t.Errorf("MS-Filter: %v, %v", g, err)
	}
	g, err := c.grant(req, accept("even.in", "small"), s)
	if err != nil {
		t.Fatal(err)
	}
	if !g.In([]byte{4}) || g.In([]byte{5}) || g.In([]byte{12}) || !g.Out([]byte{5}) || g.Out([]byte{12}) {
		t.Error("the filters are not all applied")
	}
	if g, err = c.grant(req, accept(), s); err != nil || g.In != nil || g.Out != nil {
		t.Errorf("no filter: %v, %v", g, err)
	}
}

func TestMissingKeysAreNamed(t *testing.T) {
	p := &Packet{Code: AccessAccept}
	for _, protocol := range []ppp.AuthProtocol{ppp.MSCHAPv2, ppp.EAP} {
		_, err := new(Client).grant(&ppp.AuthRequest{Protocol: protocol}, p, &server{target: new(Target)})
		var m *MissingError
		if !errors.As(err, &m) || len(m.Attributes) < 2 || !errors.As(err, new(*ppp.AuthError)) {
			t.Errorf("%v: %v", protocol, err)
		}
	}
}

func TestNetworkOfAccept(t *testing.T) {
	for name, x := range map[string]struct {
		add      func(p *Packet)
		addr     string
		prefixes string
		refused  bool
	}{
		"nothing":          {func(p *Packet) {}, "", "", false},
		"address":          {func(p *Packet) { p.Add(FramedIPAddress, []byte{10, 0, 0, 5}) }, "10.0.0.5", "", false},
		"the NAS chooses":  {func(p *Packet) { p.Add(FramedIPAddress, []byte{255, 255, 255, 254}) }, "", "", false},
		"the user chooses": {func(p *Packet) { p.Add(FramedIPAddress, []byte{255, 255, 255, 255}) }, "", "", false},
		"loopback":         {func(p *Packet) { p.Add(FramedIPAddress, []byte{127, 0, 0, 1}) }, "", "", true},
		"short":            {func(p *Packet) { p.Add(FramedIPAddress, []byte{10, 0}) }, "", "", true},
		"host mask": {func(p *Packet) {
			p.Add(FramedIPNetmask, []byte{255, 255, 255, 255})
			p.Add(FramedIPAddress, []byte{10, 0, 0, 5})
		}, "10.0.0.5", "", false},
		"router": {func(p *Packet) {
			p.Add(FramedIPAddress, []byte{10, 0, 5, 1})
			p.Add(FramedIPNetmask, []byte{255, 255, 255, 0})
		}, "10.0.5.1", "10.0.5.0/24 ", false},
		"mask with holes": {func(p *Packet) {
			p.Add(FramedIPAddress, []byte{10, 0, 5, 1})
			p.Add(FramedIPNetmask, []byte{255, 0, 255, 0})
		}, "", "", true},
		"routes": {func(p *Packet) {
			p.addText(FramedRoute, "172.16.2.0/24 0.0.0.0 1")
			p.addText(FramedRoute, "192.168.7.0 10.0.0.5")
			p.addText(FramedIPv6Route, "2001:db8::/48 :: 1")
			p.Add(FramedIPAddress, []byte{10, 0, 0, 5})
		}, "10.0.0.5", "172.16.2.0/24 192.168.7.0/24 2001:db8::/48 ", false},
		"route elsewhere": {func(p *Packet) {
			p.Add(FramedIPAddress, []byte{10, 0, 0, 5})
			p.addText(FramedRoute, "172.16.2.0/24 10.0.0.9 1")
		}, "", "", true},
		"no route":      {func(p *Packet) { p.addText(FramedRoute, "somewhere") }, "", "", true},
		"IPv6":          {func(p *Packet) { p.Add(FramedIPv6Prefix, []byte{0, 64, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 1}) }, "", "2001:db8:0:1::/64 ", false},
		"short prefix":  {func(p *Packet) { p.Add(DelegatedIPv6Prefix, []byte{0, 64, 0x20, 1}) }, "", "", true},
		"IPv6 address":  {func(p *Packet) { p.Add(FramedIPv6Address, netip.MustParseAddr("2001:db8::5").AsSlice()) }, "", "2001:db8::5/128 ", false},
		"prefix of 129": {func(p *Packet) { p.Add(FramedIPv6Prefix, append([]byte{0, 129}, make([]byte, 16)...)) }, "", "", true},
	} {
		p := &Packet{Code: AccessAccept}
		x.add(p)
		g, err := new(Client).grant(&ppp.AuthRequest{Protocol: ppp.PAP}, p, &server{target: new(Target)})
		if x.refused {
			if g != nil || !errors.As(err, new(*ppp.AuthError)) {
				t.Errorf("%s: %v, %v", name, g, err)
			}
			continue
		}
		var addr netip.Addr
		if x.addr != "" {
			addr = netip.MustParseAddr(x.addr)
		}
		if err != nil || g.Addr != addr || prefixList(g) != x.prefixes {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
	}
}

// Pools by name: of IPv4, of IPv6 (RFC 3162, RFC 6911), of what is delegated; and back again.
func TestPoolsOfAccept(t *testing.T) {
	for _, x := range []struct {
		attrs []Attr // each with its number as the name
		want  [3]string
	}{
		{[]Attr{FramedPool}, [3]string{"88", "", ""}},
		{[]Attr{FramedIPv6Pool}, [3]string{"", "100", ""}},
		{[]Attr{FramedPool, StatefulIPv6Pool}, [3]string{"88", "172", ""}},
		{[]Attr{StatefulIPv6Pool, FramedIPv6Pool}, [3]string{"", "100", ""}},
		{[]Attr{FramedIPv6Pool, StatefulIPv6Pool}, [3]string{"", "100", ""}},
		{[]Attr{DelegatedIPv6Pool, FramedPool}, [3]string{"88", "", "171"}},
	} {
		p := &Packet{Code: AccessAccept}
		for _, a := range x.attrs {
			p.addText(a, strconv.Itoa(int(a)))
		}
		g, err := new(Client).grant(&ppp.AuthRequest{Protocol: ppp.PAP}, p, &server{target: new(Target)})
		if err != nil || [3]string{g.Pool, g.Pool6, g.PoolDelegated} != x.want {
			t.Errorf("%v: %+v, %v", x.attrs, g, err)
			continue
		}
		if p, err = new(Server).accept(&ppp.AuthRequest{}, g); err != nil {
			t.Fatal(err)
		}
		if again, err := new(Client).grant(&ppp.AuthRequest{Protocol: ppp.PAP}, p, &server{target: new(Target)}); err != nil || again.Pool != g.Pool || again.Pool6 != g.Pool6 || again.PoolDelegated != g.PoolDelegated {
			t.Errorf("%v, sent and read: %+v, %v", x.attrs, again, err)
		}
	}
}

func TestPAPChallengeIsARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		fake(t, m, serverA, func(p *Packet, b []byte) [][]byte {
			return [][]byte{reply(t, p, AccessChallenge, true, testSecret, func(r *Packet) { r.addText(ReplyMessage, "token?") })}
		})
		c := lone(m)
		defer c.Close()
		_, err := c.Authenticate(context.WithoutCancel(t.Context()), ask(t, ppp.PAP, "alice", "x"))
		var e *ppp.AuthError
		if !errors.As(err, &e) || e.Message != "token?" {
			t.Errorf("%v", err)
		}
	})
}
