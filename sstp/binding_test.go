package sstp

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"testing"
)

// [MS-SSTP] section 4.7.
var bindingVectors = []struct {
	name                        string
	hash                        uint8
	nonce, certHash, hlak, code string
	header                      string
}{
	{
		name: "SHA-256", hash: hashSHA256,
		nonce:    goldenNonce,
		certHash: "79 93 EF 31 4C 49 3D AC E9 F0 2D 60 E7 E6 1C 84 B6 69 0A AF E9 D7 AE EA 92 CB BE 8A D5 99 42 2D",
		hlak:     "2A 1B B4 0D 55 AB 0F 5E F3 2F 06 F2 B3 CC 73 C4 8F D3 FA C4 1D 7A 13 15 A1 92 28 D9 02 4C A1 64",
		code:     "52 A6 8E FD 8C FF BF 52 77 0B 8F 0F E8 EC 73 71 65 83 AF 6D 61 1E B6 D1 79 B3 B2 08 40 98 54 49",
		header:   "10 01 00 70 00 04 00 01 00 03 00 68 00 00 00 02",
	},
	{
		name: "SHA-1", hash: hashSHA1,
		nonce:    "0F 1A 2D 58 D4 A3 E3 00 0F AD 3C E4 90 6E 07 B7 07 AA 9E 44 1C CE AC 5C BD 7B 2C C1 C9 D8 6C DF",
		certHash: "58 26 B6 29 BD A5 9B 8E 6F D8 DC D2 62 2F D3 4C 53 48 05 A5",
		hlak:     "4B 31 28 F4 39 25 D9 00 6E EF B1 C4 E8 65 15 A1 D8 8E 56 BA B3 CA 2B DF 03 73 B7 F5 A8 A1 3B 19",
		code:     "69 91 5D D5 83 D8 06 2F EF 16 F6 1D B2 F0 32 90 EC 27 CB 6C",
		header:   "10 01 00 70 00 04 00 01 00 03 00 68 00 00 00 01",
	},
}

func TestBindingVectors(t *testing.T) {
	for _, v := range bindingVectors {
		t.Run(v.name, func(t *testing.T) {
			nonce := [nonceLen]byte(unhex(t, v.nonce))
			hlak := [hlakLen]byte(unhex(t, v.hlak))
			m := makeConnected(v.hash, &nonce, unhex(t, v.certHash))
			m.sign(&hlak)
			want := make([]byte, connectedLen)
			copy(want, unhex(t, v.header+v.nonce+v.certHash))
			copy(want[macAt:], unhex(t, v.code))
			if !bytes.Equal(m[:], want) {
				t.Fatalf(" got %x\nwant %x", m, want)
			}
			got, ok := parseConnected(want)
			if !ok {
				t.Fatal("not read")
			}
			o := offer{nonce: nonce, hashes: [][]byte{unhex(t, v.certHash)}}
			if err := o.check(got); err != nil {
				t.Error(err)
			}
			if _, err := got.verify([]candidate{{hlak: hlak}}); err != nil {
				t.Error(err)
			}
		})
	}
}

// The master key and the zero HLAK, of RFC 3079's sample and of a method without keys.
func TestHLAK(t *testing.T) {
	send := unhex(t, "D5F0E9521E3EA9589645E86051C82226") // of the client
	recv := unhex(t, "8B7CDC149B993A1BA118CB153F56DCCB")
	want := unhex(t, "D5F0E9521E3EA9589645E86051C822268B7CDC149B993A1BA118CB153F56DCCB")
	k, err := clientHLAK(send, recv)
	if err != nil || !bytes.Equal(k[:], want) {
		t.Errorf("client: %x, %v", k, err)
	}
	cs, err := serverHLAKs(recv, send, false) // the server's view
	if err != nil || len(cs) != 1 || !bytes.Equal(cs[0].hlak[:], want) {
		t.Errorf("server: %v, %v", cs, err)
	}

	msk := make([]byte, 64)
	for i := range msk {
		msk[i] = byte(i + 1)
	}
	cs, err = serverHLAKs(msk[32:], msk[:32], false)
	if err != nil || len(cs) != 2 || !bytes.Equal(cs[0].hlak[:], msk[:32]) ||
		!bytes.Equal(cs[1].hlak[:], append(msk[:16:16], msk[32:48]...)) {
		t.Errorf("EAP-TLS: %v, %v", cs, err)
	}
	if k, err := clientHLAK(msk[:32], msk[32:]); err != nil || !bytes.Equal(k[:], msk[:32]) {
		t.Errorf("EAP-TLS client: %x, %v", k, err)
	}
	if k := makeHLAK([]byte{1, 2}, []byte{3}); k != [hlakLen]byte{1, 2, 3} {
		t.Errorf("short keys: %x", k)
	}
	if cs, err := serverHLAKs(nil, nil, false); err != nil || len(cs) != 1 || cs[0].hlak != [hlakLen]byte{} {
		t.Errorf("keyless: %v, %v", cs, err)
	}
}

func TestKeysFailClosed(t *testing.T) {
	key, zero := bytes.Repeat([]byte{1}, 16), make([]byte, 16)
	for _, tt := range []struct {
		name       string
		send, recv []byte
	}{
		{"only one to send", key, nil},
		{"only one to receive", nil, key},
		{"zeros", zero, zero},
		{"zeros to send", zero, key},
		{"zeros to receive", key, zero},
		{"a long key of zeros", make([]byte, 32), make([]byte, 32)},
	} {
		var be *BindingError
		if _, err := serverHLAKs(tt.send, tt.recv, false); !errors.As(err, &be) || be.Part != "no keys" {
			t.Errorf("server, %s: %v", tt.name, err)
		}
		if _, err := clientHLAK(tt.send, tt.recv); !errors.As(err, &be) || be.Part != "no keys" {
			t.Errorf("client, %s: %v", tt.name, err)
		}
	}
}

// EAP-MSCHAPv2's keys: 32 bytes, and then zeros.
func TestKeysOfEAPMSCHAPv2(t *testing.T) {
	key, zero := bytes.Repeat([]byte{1}, 32), make([]byte, 32)
	k, err := clientHLAK(key, zero)
	if err != nil || !bytes.Equal(k[:], key) {
		t.Errorf("client: %x, %v", k, err)
	}
	cs, err := serverHLAKs(zero, key, false)
	if err != nil || cs[0].hlak != k {
		t.Errorf("server: %v, %v", cs, err)
	}
	if _, err := clientHLAK(zero, key); err == nil {
		t.Error("a client binds with zeros")
	}
	if _, err := serverHLAKs(key, zero, false); err == nil {
		t.Error("a server binds with zeros")
	}
}

// Each part of the binding by itself, under both hash protocols.
func TestBindingGates(t *testing.T) {
	cert := []byte("a certificate")
	h1, h256 := sha1.Sum(cert), sha256.Sum256(cert)
	keys := []candidate{{hlak: [hlakLen]byte{1, 2, 3}}}
	o := &offer{nonce: [nonceLen]byte{9}, hashes: [][]byte{h1[:], h256[:]}}
	for _, tt := range []struct {
		part   string
		tamper func(m *connected)
		offer  func(o *offer)
	}{
		{part: ""},
		{part: "", tamper: func(m *connected) { m[1] |= 0xfe; m[2] |= 0xf0; m[8] = 5; m[12] = 1 }}, // reserved bits, signed as sent
		{part: "nonce", tamper: func(m *connected) { m[nonceAt] ^= 1 }},
		{part: "nonce", tamper: func(m *connected) { m[certHashAt-1] ^= 0x80 }},
		{part: "certificate", tamper: func(m *connected) { m[certHashAt] ^= 1 }},
		{part: "certificate", tamper: func(m *connected) { m[certHashAt+19] ^= 1 }},
		{part: "hash protocol", tamper: func(m *connected) { m[hashAt] = 0 }},
		{part: "hash protocol", tamper: func(m *connected) { m[hashAt] = 3 }},
		{part: "hash protocol", tamper: func(m *connected) { m[hashAt] = 4 }},
		{part: "hash protocol", offer: func(o *offer) { o.hashes = nil }},
		{part: "MAC"},
	} {
		name := tt.part
		if name == "" {
			name = "sound"
		}
		t.Run(name, func(t *testing.T) {
			for _, hash := range []uint8{hashSHA1, hashSHA256} {
				m := makeConnected(hash, &o.nonce, certHash(hash, cert))
				if tt.tamper != nil {
					tt.tamper(&m)
				}
				if hashLen(m.hash()) != 0 {
					m.sign(&keys[0].hlak) // each gate alone: the code is right
				}
				o := *o
				if tt.offer != nil {
					tt.offer(&o)
				}
				if tt.part == "MAC" {
					m[macAt+3] ^= 1
				}
				err := o.check(&m)
				if err == nil {
					_, err = m.verify(keys)
				}
				var be *BindingError
				if errors.As(err, &be) && be.Part != tt.part || (err == nil) != (tt.part == "") {
					t.Errorf("hash protocol %d: %v", hash, err)
				}
			}
		})
	}
	m := makeConnected(hashSHA256, &o.nonce, h256[:])
	m.sign(&[hlakLen]byte{})
	if _, err := m.verify(keys); err == nil {
		t.Error("a code made with zeros passed for keys")
	}
}

func TestCallConnectedIsExact(t *testing.T) {
	nonce := [nonceLen]byte{1}
	m := makeConnected(hashSHA256, &nonce, make([]byte, 32))
	for name, f := range map[string]func([]byte) []byte{
		"two attributes":    func(b []byte) []byte { b[7] = 2; return b },
		"no attribute":      func(b []byte) []byte { b[7] = 0; return b },
		"another attribute": func(b []byte) []byte { b[9] = 4; return b },
		"attribute too short": func(b []byte) []byte {
			b[11] = 0x67
			return b
		},
		"attribute too long": func(b []byte) []byte { b[11] = 0x69; return b },
		"a byte more":        func(b []byte) []byte { return append(b, 0) },
		"a byte less":        func(b []byte) []byte { return b[:111] },
		"empty":              func(b []byte) []byte { return b[:8] },
	} {
		if _, ok := parseConnected(f(append([]byte(nil), m[:]...))); ok {
			t.Errorf("%s: read", name)
		}
	}
	if _, ok := parseConnected(m[:]); !ok {
		t.Error("sound one: not read")
	}
}

func TestSHA1Policy(t *testing.T) {
	for _, tt := range []struct {
		offered uint8
		allow   bool
		want    uint8
	}{
		{0, true, 0}, {hashSHA1, false, 0}, {hashSHA1, true, hashSHA1}, {4, true, 0},
		{hashSHA256, false, hashSHA256}, {3, false, hashSHA256}, {3, true, hashSHA256}, {0xff, false, hashSHA256},
	} {
		got, err := chooseHash(tt.offered, tt.allow)
		if got != tt.want || (err == nil) != (tt.want != 0) {
			t.Errorf("offered %d, SHA-1 allowed %v: %d, %v", tt.offered, tt.allow, got, err)
		}
	}
}

func TestControlProtocol(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want bool
	}{
		{"FF 03 C0 21 01", true}, {"FF 03 80 21 01", true}, {"80 57 01", true}, {"C2 23", true}, {"FF 03 80 FD", true},
		{"FF 03 00 21 45", false}, {"00 21 45", false}, {"21 45", false}, {"57 60", false},
		{"FF 03 21 45", false}, {"81 21 45", false}, {"FF 03 81 21", false}, {"40 21", false}, {"7E 21", false},
		{"FF 03", false}, {"FF", false}, {"80", false}, {"FF 03 80", false}, {"", false},
	} {
		if got := controlProtocol(unhex(t, tt.in)); got != tt.want {
			t.Errorf("%s: %v", tt.in, got)
		}
	}
}
