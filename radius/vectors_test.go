package radius

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"testing"

	"github.com/dialway/dialway/internal/mschap"
	"github.com/dialway/dialway/ppp"
)

// The packets of RFC 2865 section 7 and RFC 5997 section 6, all with one secret.
const rfcSecret Secret = "xyzzy5461"

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t testing.TB, b []byte) *Packet {
	t.Helper()
	p, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var rfcExchanges = []struct {
	name, request, reply string
	password             string // in the request's User-Password
	signed               bool   // the request has a Message-Authenticator
}{
	{"RFC 2865 7.1", "010000380f403f9473978057bd83d5cb98f4227a01066e656d6f02120dbe708d93d413ce3196e43f782a0aee0406c0a80110050600000003",
		"0200002686fe220e7624ba2a1005f6bf9b55e0b20606000000010f06000000000e06c0a80103", "arctangent", false},
	{"RFC 2865 7.2", "010100472aee86f08d0d55969ca5978e0d3367a20108666c6f707379031316e97557c316185895f293ff63440772750406c0a80110050600000014060600000002070600000001",
		"0201003815efbc7dab26cfa3dc34d9c03c8601a40606000000020706000000010806fffffffe0a06000000020d06000000010c06000005dc", "", false},
	{"RFC 2865 7.3", "01020039f3a47a1f6a6d76710b947ab93041a03901076d6f707379021233657573778289b570885e15084825c50406c0a80110050600000007",
		"0b02004e36f3c8764ae8c71157403c0c71ff9c4512304368616c6c656e67652033323736393433302e2020456e74657220726573706f6e73652061742070726f6d70742e180a3332373639343330", "challenge", false},
	// The RFC prints a State of length 16 that has 8 bytes.
	{"RFC 2865 7.3, second", "01030043b122556d428a13d0d6253807c457ecf001076d6f7073790212692c1f205fc081b919b95195f561a5810406c0a80110050600000007180a3332373639343330",
		"03030014a42f4fca45916c4e09c8340f9e746aa0", "99101462", false},
	{"RFC 5997 6.1", "0cda00268a54f4686fb394c52866e302185d062350125a665e2e1e8411f3e243822097c84fa3",
		"02da0014ef0d552a4bf2d693ec2b6fe8b5411d66", "", true},
	// The RFC prints code 2; the Authenticator is right for 5, an accounting port's.
	{"RFC 5997 6.2", "0cb30026925f6b66dd5fed571fcb1db7ad3882605012e8d6eabda910875cd91fdade26367858",
		"05b300140f6f92145f107e2f504e860a4860669c", "", true},
	{"RFC 5997 6.3", "0c47002cbf58de56ae408ad3b70c8513f9b03fbe0406c00002105012852d6fec61e7ed74b8e32dac2f2a5fb2",
		"0247003446f43e62fd0354424cbbebfd6d214e06122052414449555320536572766572207570203220646179732c2031383a3430", "", true},
}

func TestVectorsOfTheRFCs(t *testing.T) {
	for _, x := range rfcExchanges {
		t.Run(x.name, func(t *testing.T) {
			request, reply := unhex(t, x.request), unhex(t, x.reply)
			p := mustParse(t, request)
			signed, err := verifyRequest(request, rfcSecret)
			if signed != x.signed || err != nil {
				t.Errorf("request: signed %v, %v", signed, err)
			}
			r := mustParse(t, reply)
			if _, err := verifyReply(reply, p.Authenticator, rfcSecret); err != nil || !r.Code.answers(p.Code) {
				t.Errorf("reply %v: %v", r.Code, err)
			}
			if _, err := verifyReply(reply, p.Authenticator, rfcSecret+"x"); err == nil {
				t.Error("a reply with another secret is verified")
			}
			if again, err := p.AppendBinary(nil); err != nil || !bytes.Equal(again, request) {
				t.Errorf("encoded again: %x, %v", again, err)
			}
			if again, err := encode(r, r.Identifier, p.Authenticator, rfcSecret, false); err != nil || !bytes.Equal(again, reply) {
				t.Errorf("reply encoded: %x, %v", again, err)
			}
			plain := p.clone()
			if err := reveal(plain, p.Authenticator, rfcSecret); err != nil {
				t.Fatal(err)
			}
			if got := plain.text(UserPassword); x.password != "" && got != x.password {
				t.Errorf("password %q", got)
			}
			if x.signed {
				return // ours has the Message-Authenticator first
			}
			if again, err := encode(plain, p.Identifier, p.Authenticator, rfcSecret, false); err != nil || !bytes.Equal(again, request) {
				t.Errorf("request encoded: %x, %v", again, err)
			}
		})
	}
}

func TestCHAPOfRFC2865(t *testing.T) {
	p := mustParse(t, unhex(t, rfcExchanges[1].request))
	v, _ := p.Get(CHAPPassword)
	h := md5.New()
	h.Write(v[:1])
	h.Write([]byte("arctangent"))
	h.Write(p.Authenticator[:])
	if !bytes.Equal(h.Sum(nil), v[1:]) {
		t.Errorf("CHAP-Password %x", v)
	}
}

// Keys of the user of RFC 2759 section 9.2, hidden for the request of RFC 2865 section 7.1.
func TestMPPEKeysHiddenAndRevealed(t *testing.T) {
	auth := mustParse(t, unhex(t, rfcExchanges[0].request)).Authenticator
	hash, err := mschap.NTPasswordHash("clientPass")
	if err != nil {
		t.Fatal(err)
	}
	master := mschap.MasterKey(mschap.HashHash(hash), [24]byte(unhex(t, "82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df")))
	send, recv := mschap.StartKeys(master, true)
	for _, x := range []struct {
		key  [16]byte
		salt uint16
		attr string
	}{
		{send, 0x8001, "1a2a0000013710248001d7c4aaa4718a06cddca737c2f3bcd1ffef26b141dc036e4cdb731d79248c658e"},
		{recv, 0x8002, "1a2a00000137112480028118c1340bddec5f79718a8085b7273966e0d8bf4cd44176fa9f6eabd96e2af8"},
	} {
		want := unhex(t, x.attr)
		got, err := hideKey(x.key[:], x.salt, auth, rfcSecret)
		if err != nil || !bytes.Equal(got, want[8:]) {
			t.Errorf("hidden: %x, %v; want %x", got, err, want[8:])
		}
		key, err := revealKey(want[8:], auth, rfcSecret)
		if err != nil || !bytes.Equal(key, x.key[:]) {
			t.Errorf("revealed: %x, %v", key, err)
		}
	}
}

// The attributes that the same user's MS-CHAPv2 makes: of the request, and of the Access-Accept.
func TestMSCHAPv2Attributes(t *testing.T) {
	req := &ppp.AuthRequest{
		Protocol: ppp.MSCHAPv2, Identifier: 7, Challenge: unhex(t, "5b5d7c7d7b3f2f3e3c2c602132262628"),
		Response: unhex(t, "21402324255e262a28295f2b3a337c7e000000000000000082309ecd8d708b5ea08faa3981cd83544233114a3d85d6df00"),
	}
	p := &Packet{}
	if err := addCredentials(p, req); err != nil {
		t.Fatal(err)
	}
	const want = "1a18000001370b125b5d7c7d7b3f2f3e3c2c602132262628" +
		"1a3a000001371934070021402324255e262a28295f2b3a337c7e000000000000000082309ecd8d708b5ea08faa3981cd83544233114a3d85d6df"
	if !bytes.Equal(p.attrs, unhex(t, want)) {
		t.Errorf("%x", p.attrs)
	}
	accept, err := new(Server).accept(req, &ppp.Grant{Proof: [20]byte(unhex(t, "407a5589115fd0d6209f510fe9c04566932cda56"))})
	if err != nil || !bytes.Contains(accept.attrs, unhex(t, "1a33000001371a2d07533d34303741353538393131354644304436323039463531304645394330343536363933324344413536")) {
		t.Errorf("%x, %v", accept.attrs, err)
	}
}

func TestHidingIsUndone(t *testing.T) {
	auth := [16]byte{1, 2, 3}
	for n := range 129 {
		password := bytes.Repeat([]byte{'x'}, n)
		b, err := hidePassword(password, auth, rfcSecret)
		if err != nil || len(b) == 0 || len(b)%16 != 0 || bytes.Contains(b, []byte("xxxx")) {
			t.Fatalf("%d bytes: %x, %v", n, b, err)
		}
		if got, err := revealPassword(b, auth, rfcSecret); err != nil || !bytes.Equal(got, password) {
			t.Fatalf("%d bytes: %q, %v", n, got, err)
		}
		if b, err = hideKey(password, 0x8123, auth, rfcSecret); err != nil {
			t.Fatal(err)
		}
		if got, err := revealKey(b, auth, rfcSecret); err != nil || !bytes.Equal(got, password) {
			t.Fatalf("key of %d bytes: %q, %v", n, got, err)
		}
	}
	if _, err := hidePassword(make([]byte, 129), auth, rfcSecret); err == nil {
		t.Error("a password of 129 bytes is hidden")
	}
	for _, b := range [][]byte{nil, make([]byte, 15), make([]byte, 144)} {
		if _, err := revealPassword(b, auth, rfcSecret); err == nil {
			t.Errorf("a User-Password of %d bytes is revealed", len(b))
		}
	}
	for _, b := range [][]byte{nil, make([]byte, 18), append([]byte{0x80}, make([]byte, 16)...)} {
		if _, err := revealKey(b, auth, rfcSecret); err == nil {
			t.Errorf("a key of %d bytes is revealed", len(b))
		}
	}
}

func TestMessageAuthenticatorIsFirstAndVerified(t *testing.T) {
	p := &Packet{Code: AccessRequest}
	p.Add(UserName, []byte("alice"))
	p.Add(MessageAuthenticator, make([]byte, 16)) // replaced by ours
	b, err := encode(p, 7, [16]byte{9}, rfcSecret, true)
	if err != nil {
		t.Fatal(err)
	}
	if Attr(b[headerLen]) != MessageAuthenticator {
		t.Errorf("the first attribute is %d", b[headerLen])
	}
	if signed, err := verifyRequest(b, rfcSecret); !signed || err != nil {
		t.Errorf("signed %v, %v", signed, err)
	}
	for i := range b {
		if i == 2 || i == 3 || i == headerLen+1 || i == len(b)-6 {
			continue // lengths: another packet altogether
		}
		c := bytes.Clone(b)
		c[i] ^= 1
		if signed, err := verifyRequest(c, rfcSecret); signed && err == nil {
			t.Errorf("byte %d changed: verified", i)
		}
	}
	q := mustParse(t, b)
	q.Add(MessageAuthenticator, make([]byte, 16))
	b, _ = q.AppendBinary(nil)
	if _, err := verifyRequest(b, rfcSecret); err == nil {
		t.Error("a packet with two is verified")
	}
}
