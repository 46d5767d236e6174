package netstack

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers questions on an address of s with what answer says: the code, and the address for a name.
func nameServer(t *testing.T, s *host, address string, answer func(name string) (dnsmessage.RCode, netip.Addr)) {
	t.Helper()
	reply := func(q []byte) []byte {
		var m dnsmessage.Message
		if m.Unpack(q) != nil || len(m.Questions) != 1 {
			return nil
		}
		m.Additionals, m.Response = nil, true
		asked := m.Questions[0]
		code, a := answer(strings.TrimSuffix(asked.Name.String(), "."))
		m.RCode = code
		h := dnsmessage.ResourceHeader{Name: asked.Name, Class: dnsmessage.ClassINET}
		switch {
		case a.Is4() && asked.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && asked.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
		b, err := m.Pack()
		if err != nil {
			t.Error(err)
		}
		return b
	}
	pc, err := s.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			r := reply(b[:n])
			if strings.Contains(string(b[:n]), "large") { // only by TCP
				r[2] |= 2
			}
			pc.WriteTo(r, from)
		}
	}()
	l := listen(t, s, "tcp", address)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var size [2]byte
			if _, err := c.Read(size[:]); err == nil {
				b := make([]byte, binary.BigEndian.Uint16(size[:]))
				c.Read(b)
				r := reply(b)
				c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(r))), r...))
			}
			c.Close()
		}
	}()
}

var (
	dns1 = netip.MustParseAddr("10.8.0.53")
	dns2 = netip.MustParseAddr("10.8.0.54")
	dns3 = netip.MustParseAddr("10.8.0.55") // is nobody's
)

func TestNamesAreAskedOfTheTunnelsServers(t *testing.T) {
	x, y := pipe([]netip.Addr{addrA, addrA6}, []netip.Addr{addrB, addrB6, dns1, dns2})
	x.dns = []netip.Addr{dns3, dns1, dns2} // dead, unwilling, good
	a, b := serve(t, new(Stack), x), serve(t, new(Stack), y)
	if _, err := b.await(t.Context()); err != nil {
		t.Fatal(err)
	}
	var unwilling atomic.Int64
	nameServer(t, b, "10.8.0.53:53", func(string) (dnsmessage.RCode, netip.Addr) {
		unwilling.Add(1)
		return dnsmessage.RCodeServerFailure, netip.Addr{}
	})
	nameServer(t, b, "10.8.0.54:53", func(name string) (dnsmessage.RCode, netip.Addr) {
		switch name {
		case "four.example", "large.example":
			return dnsmessage.RCodeSuccess, addrB
		case "six.example":
			return dnsmessage.RCodeSuccess, addrB6
		}
		return dnsmessage.RCodeNameError, netip.Addr{}
	})
	l := listen(t, b, "tcp", ":80")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for name, want := range map[string]string{"four.example": "10.8.0.2:80", "six.example": "[fd00::2]:80", "large.example": "10.8.0.2:80"} {
		c := dial(t, a, "tcp", name+":80")
		if got := c.RemoteAddr().String(); got != want {
			t.Errorf("%s is at %s", name, got)
		}
		c.Close()
	}
	if unwilling.Load() == 0 {
		t.Error("the second server has not been asked")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var notFound *net.DNSError
	if _, err := a.DialContext(ctx, "tcp", "none.example:80"); !errors.As(err, &notFound) || !notFound.IsNotFound || notFound.Server != "10.8.0.55:53" {
		t.Errorf("%#v", err)
	}
	if _, err := b.DialContext(ctx, "tcp", "four.example:80"); !errors.Is(err, errNoServers) {
		t.Error(err)
	}
}

func TestUnwilling(t *testing.T) {
	for code, want := range []bool{false, false, true, false, true, true} {
		if got := unwilling([]byte{0, 0, 0, 0x80 | byte(code), 0, 0, 0, 0, 0, 0, 0, 0}); got != want {
			t.Error(code, got)
		}
	}
	if unwilling([]byte{0, 0, 0, 2}) {
		t.Error("of four bytes")
	}
}
