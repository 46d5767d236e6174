package register

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
)

func FuzzDNSAnswer(f *testing.F) {
	s := newDNSServer("192.0.2.53:53", "vpn.test.", "10.in-addr.arpa.")
	for _, x := range []string{"ns.vpn.test. A 192.0.2.53", "a.vpn.test. AAAA fd00::1", "2.0.8.10.in-addr.arpa. PTR pc1.vpn.test.", "c.vpn.test. CNAME a.vpn.test.", "d.vpn.test. DHCID x"} {
		s.put(x)
	}
	for _, q := range []struct {
		name string
		typ  uint16
	}{{"vpn.test.", typeSOA}, {"x.vpn.test.", typeSOA}, {"a.vpn.test.", typeAAAA}, {"2.0.8.10.in-addr.arpa.", typePTR}, {"c.vpn.test.", typeA}, {"d.vpn.test.", typeDHCID}} {
		msg, _ := query(7, q.name, q.typ)
		f.Add(s.handle(msg), q.name, q.typ)
	}
	f.Fuzz(func(t *testing.T, msg []byte, name string, typ uint16) {
		sent, err := query(7, name, typ)
		if err != nil {
			return
		}
		if !answers(msg, sent) {
			return
		}
		a, err := parseAnswer(msg, name, typ)
		if err != nil {
			return
		}
		if len(a.addrs)+len(a.names)+len(a.data) > maxRecords || len(a.glue) > maxRecords {
			t.Errorf("%d addresses, %d names", len(a.addrs), len(a.names))
		}
		for _, n := range a.names { // what is taken from an answer can be asked for and sent
			if _, err := appendName(nil, n); err != nil && n != "" {
				t.Errorf("name %q: %v", n, err)
			}
		}
	})
}

// FuzzTSIG: nothing but what the key signed is believed, and what is split is the same when it is put together.
func FuzzTSIG(f *testing.F) {
	server := netip.MustParseAddrPort("192.0.2.53:53")
	msg, _ := (&update{zone: "vpn.test."}).pack(7)
	signed, verify, _ := testKey.Sign(f.Context(), server, msg)
	_, q, _ := splitTSIG(signed)
	e := tsig{key: q.key, algorithm: q.algorithm, at: uint64(time.Now().Unix()), fudge: 300, id: 7}
	e.mac = e.sum(hashes["hmac-sha256"], testKey.Secret, q.mac, msg)
	good := e.append(bytes.Clone(msg))
	f.Add(good)
	f.Add(signed)
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := verify(b); err == nil && !bytes.Equal(b, good) {
			body, x, _ := splitTSIG(b)
			if !bytes.Equal(body[2:], msg[2:]) || !bytes.Equal(x.mac, e.mac) {
				t.Errorf("%x is believed", b)
			}
		}
		if body, x, err := splitTSIG(b); err == nil {
			again := x.append(body)
			if _, y, err := splitTSIG(again); err != nil || !bytes.Equal(y.mac, x.mac) || y.id != x.id {
				t.Errorf("%x becomes %x: %v", b, again, err)
			}
		}
	})
}

func FuzzNBNS(f *testing.F) {
	b, _ := nbRequest(7, nbRegister<<11|nbRecursion, nbName{name: "PC1", suffix: 0x20, scope: "corp.test"}, 300000, 0x6000, netip.MustParseAddr("10.8.0.2"))
	f.Add(b)
	m, _ := parseNBNS(b)
	f.Add(reply(m, nbActive, 0, netip.MustParseAddr("10.8.0.9")))
	f.Add(wack(m, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseNBNS(b)
		if err != nil {
			return
		}
		n := &node{addr: netip.MustParseAddr("10.8.0.2"), held: map[*holding]struct{}{{name: m.name, up: true}: {}}}
		n.answer(m)
		m.owner()
		raw, err := m.name.append(make([]byte, headerSize))
		if err != nil {
			return // a scope that has no name's form
		}
		if again, _, err := parseNBName(raw, headerSize); err != nil || !again.is(m.name) {
			t.Errorf("%+v becomes %+v: %v", m.name, again, err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add("key \"ddns-key\" {\n\talgorithm hmac-sha256;\n\tsecret \"MTIz\";\n};\n")
	f.Add("hmac-sha512:k:MTIz")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKey(text)
		if err != nil {
			return
		}
		if _, _, err := k.Sign(t.Context(), netip.AddrPort{}, make([]byte, headerSize)); err != nil {
			t.Error(err)
		}
	})
}
