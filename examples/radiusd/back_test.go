package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/dialway/dialway/radius"
)

// A home server's Disconnect reaches the access server that has the session, also after a SIGHUP.
func TestDisconnectGoesBack(t *testing.T) {
	dir := t.TempDir()
	p := ports(t, 4)
	serve := func(addr string, s interface {
		Serve(net.PacketConn) error
		Close() error
	}) {
		pc, err := net.ListenPacket("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Serve(pc) }()
		t.Cleanup(func() { s.Close(); <-done })
	}
	secret := func(s radius.Secret) func(netip.Addr) (radius.Secret, bool) {
		return func(netip.Addr) (radius.Secret, bool) { return s, true }
	}
	serve(p[0], &radius.Server{Clients: secret("home's"), Handler: func(context.Context, netip.AddrPort, *radius.Packet) (*radius.Packet, error) {
		return &radius.Packet{Code: radius.AccessAccept}, nil
	}})
	var mu sync.Mutex
	var asked []string
	serve(p[3], &radius.Dynamic{Clients: secret("nas'"), Handler: func(_ context.Context, _ netip.AddrPort, q *radius.Packet) (*radius.Packet, error) {
		id, _ := q.Get(radius.AcctSessionID)
		mu.Lock()
		asked = append(asked, string(id))
		mu.Unlock()
		return &radius.Packet{Code: radius.DisconnectACK}, nil
	}})
	_, coaPort, _ := strings.Cut(p[3], ":")
	file := write(t, dir, "radiusd.toml", fmt.Sprintf(`listen = [%q]
coa = %q
[[client]]
prefix = "127.0.0.0/8"
secret = "nas'"
coa-port = %s
[[home]]
name = "home"
address = %q
secret = "home's"
[[realm]]
name = "away"
home = "home"
`, p[1], p[2], coaPort, p[0]))
	proxy := start(t, file)
	nas := &radius.Client{Targets: []radius.Target{{Addr: p[1], Secret: "nas'"}}, NAS: "vpn1"}
	defer nas.Close()
	q := request("alice@away", "secret")
	q.Add(radius.AcctSessionID, []byte("5f3a"))
	q.Add(radius.NASIdentifier, []byte("vpn1"))
	if reply, err := nas.Exchange(t.Context(), q); err != nil || reply.Code != radius.AccessAccept {
		t.Fatalf("%v, %v", reply, err)
	}
	home := &radius.Client{Targets: []radius.Target{{Addr: p[2], Secret: "home's"}}}
	defer home.Close()
	disconnect := func(attr radius.Attr, v string) *radius.Packet {
		t.Helper()
		q := &radius.Packet{Code: radius.DisconnectRequest}
		q.Add(attr, []byte(v))
		reply, err := home.Exchange(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	if got := disconnect(radius.AcctSessionID, "another").Code; got != radius.DisconnectNAK {
		t.Errorf("another session: %v", got)
	}
	proxy.hangup <- nil
	proxy.await("reloaded")
	got := disconnect(radius.AcctSessionID, "5f3a").Code
	mu.Lock()
	defer mu.Unlock()
	if got != radius.DisconnectACK || strings.Join(asked, " ") != "5f3a" {
		t.Errorf("%v, asked for %q", got, asked)
	}
}
