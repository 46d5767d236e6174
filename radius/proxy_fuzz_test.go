package radius

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// What one secret has hidden and another hides anew, comes out as it went in; and no packet panics.
func FuzzHideAnew(f *testing.F) {
	auth := [16]byte{1, 2, 3}
	seed := &Packet{Code: AccessAccept}
	seed.AddVendor(Microsoft, msMPPESendKey, []byte("send"))
	seed.AddVendor(Microsoft, msMPPERecvKey, []byte("recv"))
	seed.AddVendor(Microsoft, msCHAPMPPEKeys, make([]byte, 32))
	seed.Add(TunnelPassword, []byte("\x03tunnel"))
	b, err := encode(seed, 1, auth, testSecret, true)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(AccessAccept), b[headerLen:])
	request := &Packet{Code: AccessRequest}
	pap(request)
	if b, err = encode(request, 1, auth, testSecret, true); err != nil {
		f.Fatal(err)
	}
	f.Add(byte(AccessRequest), b[headerLen:])
	f.Add(byte(AccessAccept), []byte{26, 18, 0, 0, 1, 55, 7, 6, 0, 0, 0, 1, 8, 6, 0, 0, 0, 6})
	f.Fuzz(func(t *testing.T, code byte, attrs []byte) {
		if len(attrs) > maxPacket-headerLen {
			return
		}
		n := headerLen + len(attrs)
		p, err := Parse(append([]byte{code, 1, byte(n >> 8), byte(n), 19: 0}, attrs...))
		if err != nil || reveal(p, auth, testSecret) != nil {
			return
		}
		next := [16]byte{9}
		b, err := encode(p, 2, next, homeSecret, false)
		if err != nil {
			return // it has grown too long
		}
		q, err := Parse(b)
		if err != nil {
			t.Fatalf("encoded as %x: %v", b, err)
		}
		if err := reveal(q, next, homeSecret); err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		p.Remove(MessageAuthenticator)
		if !bytes.Equal(p.attrs, q.attrs) {
			t.Fatalf("%x became %x", p.attrs, q.attrs)
		}
	})
}

// A realm is found in any name, and what is left of the name is a part of it.
func FuzzRealm(f *testing.F) {
	for _, s := range []string{"alice", "alice@example.com", `CORP\alice`, `CORP\alice@a.example.com`, "@", `\`, "a@b@*"} {
		f.Add(s)
	}
	p := &Proxy{Realms: map[string]*Realm{"example.com": {}, "Corp": {}, "*.example.com": {}, "*": {}}}
	p.start()
	f.Fuzz(func(t *testing.T, name string) {
		key, user := p.route(name)
		if _, ok := p.Realms[key]; !ok && key != "" || !strings.Contains(name, user) || key == "" && user != name {
			t.Errorf("%q: %q of realm %q", name, user, key)
		}
	})
}

// Any request that a Server could have verified, prepared for a home server, is a packet again.
func FuzzProxy(f *testing.F) {
	for _, add := range []func(p *Packet){pap, func(p *Packet) {
		p.addText(UserName, "alice@cut")
		p.Add(CHAPPassword, make([]byte, 17))
		p.addText(ProxyState, "x")
	}, eapRequestOf([]byte(stateMark+"\x00state"), eap(eapResponse, 1, 1, "alice@cut"))} {
		p := new(Packet)
		add(p)
		f.Add(p.attrs)
	}
	dead := &Client{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }, Targets: []Target{{Addr: "home", Secret: homeSecret}}}
	var sent *Packet
	proxy := &Proxy{Realms: map[string]*Realm{"": {Client: dead}, "cut": {Client: dead, Strip: true}}, Edit: func(p *Packet, _ string) { sent = p }}
	f.Fuzz(func(t *testing.T, attrs []byte) {
		if len(attrs) > maxPacket-headerLen {
			return
		}
		n := headerLen + len(attrs)
		p, err := Parse(append([]byte{byte(AccessRequest), 1, byte(n >> 8), byte(n), 19: 0}, attrs...))
		if err != nil {
			return
		}
		sent = nil
		reply, err := proxy.Handle(t.Context(), netip.AddrPort{}, p)
		if (reply == nil) == (err == nil) {
			t.Fatalf("%v, %v", reply, err)
		}
		if sent == nil {
			return
		}
		marks := 0
		for a, v := range sent.All() {
			if a == ProxyState && string(v) == string(proxy.mark[:]) {
				marks++
			}
		}
		if b, err := sent.AppendBinary(nil); err == nil {
			mustParse(t, b)
		}
		if marks != 1 {
			t.Errorf("%d marks", marks)
		}
	})
}

// A stream of anything is packets, or ends.
func FuzzReadPacket(f *testing.F) {
	f.Add([]byte{1, 1, 0, 20, 20: 0, 21: 3}, 7)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		c := &pieces{rest: stream, size: max(1, piece&0xff)}
		b := make([]byte, maxPacket)
		var read []byte
		for {
			n, err := readPacket(c, b, time.Minute, func() bool { return false })
			if err != nil {
				break
			}
			if n < headerLen || n > maxPacket {
				t.Fatalf("a packet of %d bytes", n)
			}
			read = append(read, b[:n]...)
		}
		if !bytes.HasPrefix(stream, read) {
			t.Error("packets that were not in the stream")
		}
	})
}

// pieces is a connection from which bytes come in pieces.
type pieces struct {
	net.Conn
	rest []byte
	size int
}

func (p *pieces) SetReadDeadline(time.Time) error { return nil }

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}
