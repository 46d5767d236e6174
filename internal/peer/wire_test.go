package peer

import (
	"bytes"
	"testing"
)

// The vectors of [MS-SSTP] section 4.7.
func TestBindingVectors(t *testing.T) {
	for _, c := range []struct {
		name             string
		protocol         byte
		nonce, hlak, mac string
		certHash         string
	}{
		{"SHA-256", SHA256,
			"412B489AEBD7ECC7D08966F26BE7CD72B231A0E9210D7C91B308862B0344C435",
			"2A1BB40D55AB0F5EF32F06F2B3CC73C48FD3FAC41D7A1315A19228D9024CA164",
			"52A68EFD8CFFBF52770B8F0FE8EC73716583AF6D611EB6D179B3B20840985449",
			"7993EF314C493DACE9F02D60E7E61C84B6690AAFE9D7AEEA92CBBE8AD599422D"},
		{"SHA-1", SHA1,
			"0F1A2D58D4A3E3000FAD3CE4906E07B707AA9E441CCEAC5CBD7B2CC1C9D86CDF",
			"4B3128F43925D9006EEFB1C4E86515A1D88E56BAB3CA2BDF0373B7F5A8A13B19",
			"69915DD583D8062FEF16F61DB2F03290EC27CB6C",
			"5826B629BDA59B8E6FD8DCD2622FD34C534805A5"},
	} {
		p := CallConnected(c.protocol, Hex(c.nonce), nil, Hex(c.hlak), func(p []byte) {
			clear(p[48:80])
			copy(p[48:], Hex(c.certHash))
		})
		if mac := Hex(c.mac); !bytes.Equal(p[80:80+len(mac)], mac) || len(p) != 112 {
			t.Errorf("%s: %x, want %x", c.name, p[80:], mac)
		}
	}
}

func TestCheckConnected(t *testing.T) {
	nonce, der, hlak := bytes.Repeat([]byte{1}, 32), []byte("certificate"), bytes.Repeat([]byte{2}, 32)
	for _, protocol := range []byte{SHA1, SHA256} {
		good := CallConnected(protocol, nonce, der, hlak, nil)
		if err := CheckConnected(good, nonce, der, hlak); err != nil {
			t.Error(err)
		}
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 0x40
			if i >= 80+20 && protocol == SHA1 {
				continue // padding behind the code
			}
			if CheckConnected(bad, nonce, der, hlak) == nil {
				t.Errorf("hash protocol %d: byte %d may be changed", protocol, i)
			}
		}
	}
}

// Each of these is a packet that some peer in the field refuses.
func TestStrictChecks(t *testing.T) {
	good := PPP(LCP, ConfReq, 1, Opt(1, "0578"))
	if err := Packet(good).Check(); err != nil {
		t.Error(err)
	}
	for name, p := range map[string][]byte{
		"R bits":           append([]byte{0x10, 0, 0x80 | good[2]}, good[3:]...),
		"reserved bit":     append([]byte{0x10, 2}, good[2:]...),
		"no FF 03":         Data(good[6:]),
		"short protocol":   Data(Hex("ff03 21 45")),
		"trailing bytes":   Frame(LCP, append(bytes.Clone(good[8:]), 0)),
		"identification":   PPP(LCP, Identification, 1, Hex("00000000 41")),
		"attribute R bits": Control(ConnectRequest, Hex("00 01 80 06 00 01")),
		"attribute short":  Control(ConnectRequest, Hex("00 01 00 03")),
		"attribute long":   Control(ConnectRequest, Hex("00 01 00 09 00 01")),
		"behind the last":  append(Hex("10 01 00 0a 00 08 00 00"), 0, 0),
	} {
		if Packet(p).Check() == nil {
			t.Errorf("%s passes: % x", name, p)
		}
	}
}

func TestCut(t *testing.T) {
	two := append(Request(), PPP(IPCP, ConfReq, 3, Opt(3, "00000000"))...)
	for n := range len(Request()) {
		if _, _, ok, err := Cut(two[:n]); ok || err != nil {
			t.Errorf("%d bytes: %v %v", n, ok, err)
		}
	}
	p, rest, ok, err := Cut(two)
	if !ok || err != nil || p.Type() != ConnectRequest {
		t.Fatalf("%v %v %v", p, ok, err)
	}
	q, rest, ok, _ := Cut(rest)
	if v, has := q.Option(3); !ok || len(rest) != 0 || !has || len(v) != 4 || q.Proto() != IPCP || q.ID() != 3 {
		t.Errorf("%v %v", q, rest)
	}
	for _, bad := range []string{"11010008", "10010007", "10000003"} {
		if _, _, _, err := Cut(Hex(bad)); err == nil {
			t.Errorf("%s is a packet", bad)
		}
	}
}
