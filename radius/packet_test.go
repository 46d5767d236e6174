package radius

import (
	"bytes"
	"strings"
	"testing"
)

func TestPacketAttributesInOrder(t *testing.T) {
	p := &Packet{Code: AccessAccept}
	p.Add(Class, []byte("one"))
	p.AddVendor(Microsoft, msPrimaryDNS, []byte{10, 0, 0, 1})
	p.AddVendor(9, 1, []byte("other"))
	p.Add(Class, []byte("two"))
	p.AddVendor(Microsoft, msPrimaryNBNS, []byte{10, 0, 0, 2})
	p.Add(VendorSpecific, []byte{0, 0, 1, 55, 1, 9, 9}) // says more than it has
	p.Add(VendorSpecific, []byte{0, 0})
	p.addLong(EAPMessage, bytes.Repeat([]byte("e"), 600))
	b, err := p.AppendBinary([]byte("before"))
	if err != nil {
		t.Fatal(err)
	}
	q := mustParse(t, append(b[6:], "padding"...))
	var all []Attr
	for a := range q.All() {
		all = append(all, a)
	}
	if len(all) != 10 || all[0] != Class || all[3] != Class {
		t.Errorf("attributes %v", all)
	}
	if v, ok := q.Get(Class); !ok || string(v) != "one" {
		t.Errorf("Get: %q, %v", v, ok)
	}
	if _, ok := q.Get(State); ok {
		t.Error("Get finds what is not there")
	}
	var ms []byte
	for typ, v := range q.Vendor(Microsoft) {
		ms = append(ms, typ, byte(len(v)))
	}
	if !bytes.Equal(ms, []byte{28, 4, 30, 4}) {
		t.Errorf("Microsoft's: %d", ms)
	}
	if v, ok := q.concat(EAPMessage); !ok || len(v) != 600 {
		t.Errorf("EAP of %d bytes", len(v))
	}
}

func TestPacketTooLong(t *testing.T) {
	p := &Packet{}
	p.Add(Class, make([]byte, 254))
	if _, err := p.AppendBinary(nil); err == nil || !strings.Contains(err.Error(), "254") {
		t.Errorf("an attribute of 254 bytes: %v", err)
	}
	p = &Packet{}
	p.AddVendor(Microsoft, 1, make([]byte, 248))
	if _, err := p.AppendBinary(nil); err == nil || !strings.Contains(err.Error(), "248") {
		t.Errorf("a vendor's attribute of 248 bytes: %v", err)
	}
	p = &Packet{}
	for range 17 {
		p.Add(Class, make([]byte, 253))
	}
	if _, err := p.AppendBinary(nil); err == nil {
		t.Error("a packet of more than 4096 bytes")
	}
}

func TestParseRefuses(t *testing.T) {
	good := unhex(t, rfcExchanges[0].request)
	for name, b := range map[string][]byte{
		"nothing":                 nil,
		"a short header":          good[:19],
		"a truncated packet":      good[:len(good)-1],
		"a length below 20":       append([]byte{1, 0, 0, 19}, good[4:]...),
		"a length above 4096":     append([]byte{1, 0, 16, 1}, make([]byte, 4096)...),
		"an attribute too long":   append([]byte{1, 0, 0, 23}, append(good[4:20:20], 1, 4, 0)...),
		"an attribute of 1 byte":  append([]byte{1, 0, 0, 23}, append(good[4:20:20], 1, 1, 0)...),
		"half an attribute":       append([]byte{1, 0, 0, 21}, append(good[4:20:20], 1)...),
		"an attribute of 0 bytes": append([]byte{1, 0, 0, 22}, append(good[4:20:20], 1, 0)...),
	} {
		if p, err := Parse(b); err == nil {
			t.Errorf("%s: %v", name, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, x := range rfcExchanges {
		f.Add(unhex(f, x.request))
		f.Add(unhex(f, x.reply))
	}
	f.Add(unhex(f, "020000480000000000000000000000000000000"+"01a2a0000013710248001d7c4aaa4718a06cddca737c2f3bcd1ffef26b141dc036e4cdb731d79248c658e1a0a00000137ff04"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		again, err := p.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, trim(b)) {
			t.Fatalf("%x, %v", again, err)
		}
		for range p.Vendor(Microsoft) {
		}
		verifyRequest(again, rfcSecret)
		verifyReply(again, p.Authenticator, rfcSecret)
		if reveal(p, p.Authenticator, rfcSecret) != nil {
			return
		}
		before := bytes.Clone(p.attrs)
		e, err := encode(p, 1, p.Authenticator, rfcSecret, true)
		if err != nil {
			return
		}
		q := mustParse(t, e)
		if err := reveal(q, p.Authenticator, rfcSecret); err != nil {
			t.Fatal(err)
		}
		// The same, but for Message-Authenticators and how long the padding was.
		n := &Packet{}
		for a, v := range q.All() {
			if a != MessageAuthenticator {
				n.Add(a, v)
			}
		}
		o := &Packet{}
		for a, v := range (&Packet{attrs: before}).All() {
			if a != MessageAuthenticator {
				o.Add(a, v)
			}
		}
		if !bytes.Equal(n.attrs, o.attrs) {
			t.Fatalf("%x became %x", o.attrs, n.attrs)
		}
	})
}

func TestRemove(t *testing.T) {
	p := new(Packet)
	p.Add(UserName, []byte("alice"))
	p.Add(Class, []byte("a"))
	p.Add(VendorSpecific, []byte{0, 0, 1, 55, 7, 3, 1, 8, 3, 2, 7, 2})
	p.Add(Class, []byte("b"))
	p.AddVendor(Microsoft, 7, []byte("x"))
	p.AddVendor(9, 7, []byte("x"))
	p.Add(VendorSpecific, []byte{0, 0, 1, 55, 7, 99}) // in a format of its own
	p.Remove(Class)
	p.RemoveVendor(Microsoft, 7)
	want := new(Packet)
	want.Add(UserName, []byte("alice"))
	want.AddVendor(Microsoft, 8, []byte{2})
	want.AddVendor(9, 7, []byte("x"))
	want.Add(VendorSpecific, []byte{0, 0, 1, 55, 7, 99})
	if !bytes.Equal(p.attrs, want.attrs) {
		t.Errorf("%x, want %x", p.attrs, want.attrs)
	}
}
