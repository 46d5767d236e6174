package dhcpinform

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/dialway/dialway/internal/names"
)

func adr(s string) netip.Addr   { return netip.MustParseAddr(s) }
func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

var testHardware = hardware{1, 6, [16]byte{2, 0, 10, 8, 0, 2}}

// ack makes an answer with options that are given as bytes.
func ack(options ...byte) message {
	b := appendHeader(nil, reply, testHardware, 0x01020304, 0, 0, adr("10.8.0.2"))
	b = append(b, optType, 1, typeACK, optServer, 4, 192, 0, 2, 1)
	return finish(append(b, options...), 0)
}

func TestHeaderVector(t *testing.T) {
	b := appendHeader(nil, request, testHardware, 0x01020304, 5, flagBroadcast, adr("10.8.0.2"))
	want := append([]byte{1, 1, 6, 0, 1, 2, 3, 4, 0, 5, 0x80, 0, 10, 8, 0, 2}, make([]byte, 12)...)
	want = append(append(want, 2, 0, 10, 8, 0, 2), make([]byte, 10+64+128)...)
	want = append(want, 0x63, 0x82, 0x53, 0x63)
	if !bytes.Equal(b, want) {
		t.Errorf("got\n%x, want\n%x", b, want)
	}
	m, ok := parseMessage(b)
	if !ok || m.op() != request || m.xid() != 0x01020304 || m.secs() != 5 || !m.broadcast() || m.ciaddr() != adr("10.8.0.2") ||
		m.giaddr() != adr("0.0.0.0") || m.hardware() != testHardware || m.hops() != 0 || m.kind() != 0 {
		t.Errorf("read back: %v %x", ok, m)
	}
}

func TestParseMessageRefuses(t *testing.T) {
	good := ack()
	for name, change := range map[string]func(b []byte) []byte{
		"cut":       func(b []byte) []byte { return b[:239] },
		"no cookie": func(b []byte) []byte { b[236] = 0; return b },
		"op 3":      func(b []byte) []byte { b[0] = 3; return b },
		"hlen 17":   func(b []byte) []byte { b[2] = 17; return b },
	} {
		if _, ok := parseMessage(change(bytes.Clone(good))); ok {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestOptionsVector(t *testing.T) {
	m := ack(
		6, 8, 10, 0, 0, 53, 10, 0, 0, 54,
		15, 9, 'v', 'p', 'n', '.', 't', 'e', 's', 't', 0,
		0, 0, // pads between
		42, 4, 10, 0, 0, 123,
		43, 6, 1, 4, 0, 0, 0, 2,
		44, 4, 10, 77, 0, 9,
		46, 1, 8,
		47, 1, 's',
		// RFC 3397 section 2: the second name points into the first.
		119, 15, 3, 'e', 'n', 'g', 5, 'a', 'p', 'p', 'l', 'e', 0, 1, 'm', 0xc0, 4,
		// RFC 3442: 10.88.0.0/16, 0.0.0.0/0, and 192.0.2.128/25 on link.
		121, 21, 16, 10, 88, 10, 77, 0, 1, 0, 10, 77, 0, 1, 25, 192, 0, 2, 128, 0, 0, 0, 0,
	)
	o, ok := parseOptions(m)
	if !ok {
		t.Fatal("not read")
	}
	codes := ""
	for _, x := range o.Raw {
		codes += string(rune(x.Code))
	}
	if codes != "\x35\x36\x06\x0f\x2a\x2b\x2c\x2e\x2f\x77\x79" {
		t.Errorf("Raw has %x", codes)
	}
	o.Raw = nil
	want := &Options{
		DNS: []netip.Addr{adr("10.0.0.53"), adr("10.0.0.54")}, Domain: "vpn.test", NTP: []netip.Addr{adr("10.0.0.123")},
		Vendor: []byte{1, 4, 0, 0, 0, 2}, WINS: []netip.Addr{adr("10.77.0.9")}, NodeType: 8, Scope: "s",
		Search: []string{"eng.apple", "m.apple"}, Server: adr("192.0.2.1"),
		Routes: []Route{{pfx("10.88.0.0/16"), adr("10.77.0.1")}, {pfx("0.0.0.0/0"), adr("10.77.0.1")}, {Prefix: pfx("192.0.2.128/25")}},
	}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got\n%+v, want\n%+v", o, want)
	}
	if _, ok := parseOptions(m[:len(m)-1]); !ok {
		t.Error("without the last pad it was refused")
	}
	if _, ok := parseOptions(m[:bytes.LastIndexByte(m, 255)-1]); ok {
		t.Error("an option that is cut was taken")
	}
}

func TestOptionsOfOverloadedFieldsAreReadLast(t *testing.T) {
	m := ack(52, 1, 3, 15, 2, 'a', '.')
	copy(m[atFile:], []byte{15, 2, 'b', '.', 255, 0, 0})
	copy(m[atSName:], []byte{15, 1, 'c', 6, 4, 10, 0, 0, 53, 255})
	o, ok := parseOptions(m)
	if !ok || o.Domain != "a.b.c" || len(o.DNS) != 1 {
		t.Errorf("%v %+v", ok, o)
	}
	m = ack(52, 1, 2, 15, 1, 'a')
	copy(m[atFile:], []byte{15, 1, 'b', 255})
	copy(m[atSName:], []byte{15, 1, 'c', 255})
	if o, ok := parseOptions(m); !ok || o.Domain != "ac" {
		t.Errorf("overload 2: %v %+v", ok, o)
	}
	m = ack(15, 1, 'a')
	copy(m[atFile:], []byte{15, 1, 'b', 255})
	if o, ok := parseOptions(m); !ok || o.Domain != "a" {
		t.Errorf("a boot file was read as options: %v %+v", ok, o)
	}
}

func TestLongOptionsAreSplitAndJoined(t *testing.T) {
	long := []byte(strings.Repeat("x", 600))
	m := message(finish(appendOption(ack()[:atOptions+9:atOptions+9], optDomain, long), 0))
	pieces := 0
	m.pieces(func(p piece) bool {
		if p.code == optDomain {
			pieces++
		}
		return true
	})
	if o, ok := parseOptions(m); !ok || pieces != 3 || o.Domain != string(long) {
		t.Errorf("%d pieces, %v", pieces, ok)
	}
}

func TestRoutesOf121BeforeThoseOf249(t *testing.T) {
	one, two := []byte{8, 10, 10, 77, 0, 1}, []byte{8, 11, 10, 77, 0, 1}
	both := ack(append(append([]byte{249, 6}, two...), append([]byte{121, 6}, one...)...)...)
	if o, _ := parseOptions(both); len(o.Routes) != 1 || o.Routes[0].Prefix != pfx("10.0.0.0/8") {
		t.Errorf("both: %v", o.Routes)
	}
	if o, _ := parseOptions(ack(append([]byte{249, 6}, two...)...)); len(o.Routes) != 1 || o.Routes[0].Prefix != pfx("11.0.0.0/8") {
		t.Errorf("249 alone: %v", o.Routes)
	}
}

func TestMalformedValuesAreLeftToRaw(t *testing.T) {
	o, ok := parseOptions(ack(6, 3, 1, 2, 3, 15, 3, 'a', '\n', 'b', 46, 2, 1, 1, 121, 5, 33, 1, 2, 3, 4, 119, 2, 0xc0, 0, 252, 3, 'u', 0, 10))
	if !ok || o.DNS != nil || o.Domain != "" || o.NodeType != 0 || o.Routes != nil || o.Search != nil || o.WPAD != "u" || len(o.Raw) != 8 {
		t.Errorf("%v %+v", ok, o)
	}
}

func TestNames(t *testing.T) {
	for _, bad := range [][]byte{
		{}, {0xc0, 0}, {3, 'a', 'b'}, {1, 'a'}, {0xc0}, {64, 'a', 0}, {1, ' ', 0}, {1, '.', 0}, {1, 'a', 0xc0, 0}, {1, 'a', 0xc0, 9, 0},
		bytes.Repeat([]byte{1, 'a', 0}, maxNames+1),
		append(bytes.Repeat(append([]byte{63}, bytes.Repeat([]byte{'a'}, 63)...), 4), 0),
	} {
		if names, ok := parseNames(bad); ok {
			t.Errorf("%x: %q", bad, names)
		}
	}
	in := []string{"vpn.test", "a..b", "", "x.", strings.Repeat("a", 64) + ".test", "corp.example"}
	if got, ok := parseNames(names.Append(nil, in)); !ok || !reflect.DeepEqual(got, []string{"vpn.test", "x", "corp.example"}) {
		t.Errorf("%q %v", got, ok)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte(ack(6, 4, 10, 0, 0, 53)))
	f.Add([]byte(ack(52, 1, 3)))
	f.Add([]byte(ack(119, 4, 1, 'a', 0xc0, 0, 121, 6, 8, 10, 1, 2, 3, 4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := parseMessage(b)
		if !ok {
			return
		}
		before := bytes.Clone(b)
		o, ok := parseOptions(m)
		if !bytes.Equal(b, before) {
			t.Error("reading changed the message")
		}
		if !ok {
			return
		}
		for _, x := range o.Raw {
			again := message(finish(appendOption(bytes.Clone(m[:atOptions]), x.Code, x.Data), 0))
			if x.Code == optOverload {
				continue
			}
			if got, ok := again.options(); !ok || len(got) == 0 || got[0].Code != x.Code || !bytes.Equal(got[0].Data, x.Data) {
				t.Errorf("option %d does not survive: %x, %v", x.Code, x.Data, got)
			}
		}
		if o.Routes != nil {
			if got, ok := parseRoutes(appendRoutes(nil, o.Routes)); !ok || !reflect.DeepEqual(got, o.Routes) {
				t.Errorf("routes: %v, %v", got, o.Routes)
			}
		}
		if o.Search != nil {
			if got, ok := parseNames(names.Append(nil, o.Search)); !ok || !reflect.DeepEqual(got, o.Search) {
				t.Errorf("names: %q, %q", got, o.Search)
			}
		}
	})
}

func FuzzUDP(f *testing.F) {
	b := make([]byte, headers, headers+300)
	f.Add(sealPacket(append(b, ack()...), 0, netip.AddrPortFrom(adr("10.8.0.1"), 67), netip.AddrPortFrom(adr("10.8.0.2"), 68)))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := parseUDP(b)
		if !ok {
			return
		}
		d.seal()
		if _, ok := parseUDP(b); !ok {
			t.Error("a sealed packet is refused")
		}
	})
}

func TestUDPRefuses(t *testing.T) {
	make1 := func() []byte {
		return sealPacket(append(make([]byte, headers), "payload"...), 0, netip.AddrPortFrom(adr("10.8.0.1"), 67), netip.AddrPortFrom(adr("10.8.0.2"), 68))
	}
	if d, ok := parseUDP(make1()); !ok || d.srcPort != 67 || d.dstPort != 68 || string(d.payload) != "payload" || d.src != adr("10.8.0.1") || d.dst != adr("10.8.0.2") {
		t.Errorf("%v %+v", ok, d)
	}
	for name, change := range map[string]func(b []byte){
		"TCP":               func(b []byte) { b[9] = 6 },
		"first fragment":    func(b []byte) { b[6] = 0x20 },
		"later fragment":    func(b []byte) { b[7] = 1 },
		"length beyond":     func(b []byte) { b[25]++ },
		"length too little": func(b []byte) { b[25] = 7 },
		"checksum":          func(b []byte) { b[30]++ },
		"IPv6":              func(b []byte) { b[0] = 0x60 },
	} {
		b := make1()
		change(b)
		if _, ok := parseUDP(b); ok {
			t.Errorf("%s: taken", name)
		}
	}
}
