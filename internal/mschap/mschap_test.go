package mschap

import (
	"bytes"
	"crypto/rc4"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The samples of RFC 2759 section 9.2 and RFC 3079 section 3.5, and values computed from them.
const (
	user     = "User"
	password = "clientPass"
)

func unhex[T ~[]byte](t testing.TB, s string, want int) T {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || want != 0 && len(b) != want {
		t.Fatalf("bad vector %q: %v", s, err)
	}
	return b
}

func a16(t testing.TB, s string) [16]byte { return [16]byte(unhex[[]byte](t, s, 16)) }

func equal(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if !strings.EqualFold(hex.EncodeToString(got), want) {
		t.Errorf("%s: %X, want %s", what, got, want)
	}
}

func mustHash(t testing.TB, password string) [16]byte {
	t.Helper()
	h, err := NTPasswordHash(password)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestVectorsOfRFC2759(t *testing.T) {
	auth := a16(t, "5B5D7C7D7B3F2F3E3C2C602132262628")
	peer := a16(t, "21402324255E262A28295F2B3A337C7E")
	hash := mustHash(t, password)
	equal(t, "hash", hash[:], "44EBBA8D5312B8D611474411F56989AE")
	hh := HashHash(hash)
	equal(t, "hash of hash", hh[:], "41C00C584BD2D91C4017A2A12FA59F3F")
	for _, name := range []string{user, `DOMAIN\User`, `A\B\User`} {
		challenge := ChallengeHash(peer, auth, name)
		equal(t, "challenge of "+name, challenge[:], "D02E4386BCE91226")
		response := NTResponse(auth, peer, name, hash)
		equal(t, "response of "+name, response[:], "82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF")
		proof := AuthenticatorResponse(hash, response, peer, auth, name)
		if got := string(AppendProof(nil, proof)); got != "S=407A5589115FD0D6209F510FE9C04566932CDA56" {
			t.Errorf("proof of %s: %s", name, got)
		}
	}
	for _, name := range []string{"user", "User@domain", "DOMAIN/User"} { // hashed whole, and as sent
		if ChallengeHash(peer, auth, name) == ChallengeHash(peer, auth, user) {
			t.Errorf("%q is hashed as %q", name, user)
		}
	}
}

func TestVectorsOfRFC3079(t *testing.T) {
	response := [24]byte(unhex[[]byte](t, "82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF", 24))
	master := MasterKey(a16(t, "41C00C584BD2D91C4017A2A12FA59F3F"), response)
	equal(t, "master key", master[:], "FDECE3717A8C838CB388E527AE3CDD31")
	send, recv := StartKeys(master, true)
	equal(t, "server's send key", send[:], "8B7CDC149B993A1BA118CB153F56DCCB")
	equal(t, "server's receive key", recv[:], "D5F0E9521E3EA9589645E86051C82226")
	if s, r := StartKeys(master, false); s != recv || r != send {
		t.Error("the client's keys are not the server's the other way round")
	}
	for _, v := range []struct {
		strength    Strength
		key, cipher string
	}{
		{Bits40, "D1269EC49FA62E3E", "929137917E5803D668D75898"},
		{Bits56, "D15C00C49FA62E3E", "3F106833FA448DA842BC57B8"}, // section 3.5.2 prints another last byte
		{Bits128, "405CB2247A7956E6E211007AE27B22D4", "81848317DF68846272FB5ABE"},
	} {
		key := SessionKey(send, v.strength)
		equal(t, "session key", key, v.key)
		equal(t, "test message", crypt(t, key), v.cipher)
	}
	equal(t, "receive session key", SessionKey(recv, Bits128), "49D11D0F0CC6BEFBA2A9B4B688F91EEE")
	for _, v := range []struct {
		strength Strength
		keys     []string
		ciphers  []string
	}{
		{Bits128, []string{"726F10500E2B54135B1B74D7682F0471", "2805BC7869BEC825573A7803E95A3ACD", "58128C36CABD54968139FD94B5883D4A"},
			[]string{"041C255FC0023DC9A007EE40", "4178925D865C8B2F31BC7CF2", "B89D43AF11D4AE2CA728C276"}},
		{Bits40, []string{"D1269ECE4D98D181", "D1269EDEEFBD8AFF"}, nil},
	} {
		key := SessionKey(send, v.strength)
		for i, want := range v.keys {
			next, err := NextKey(send, key, v.strength)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "next key", next, want)
			if v.ciphers != nil {
				equal(t, "test message", crypt(t, next), v.ciphers[i])
			}
			key = next
		}
	}
}

func crypt(t *testing.T, key []byte) []byte {
	t.Helper()
	c, err := rc4.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	b := []byte("test message")
	c.XORKeyStream(b, b)
	return b
}

// RFC 2759 section 9.3 prints "4D 79 50 77", but the hash is of the same text in UTF-16LE.
func TestDESKeysOfRFC2759(t *testing.T) {
	hash := mustHash(t, "MyPw")
	equal(t, "hash", hash[:], "FC156AF7EDCD6C0EDDE3337D427F4EAC")
	k := desKey([7]byte(hash[:]))
	equal(t, "first key", k[:], "FD0B5B5E7F6E34D9")
	k = desKey([7]byte(hash[7:]))
	equal(t, "second key", k[:], "0E6E796737EA08FE")
}

func TestChangeVectors(t *testing.T) {
	oldHash, newHash := mustHash(t, password), mustHash(t, "newPass1")
	equal(t, "new hash", newHash[:], "2A408365F72BDBA84336616E8BC36C9E")
	e := EncryptHash(oldHash, newHash)
	equal(t, "encrypted hash", e[:], "C9C405739AAC0406CE510476DA1B67E6")
	if DecryptHash(e, newHash) != oldHash {
		t.Error("DecryptHash does not give back the old hash")
	}
}

func TestPasswordBlock(t *testing.T) {
	oldHash := mustHash(t, password)
	var padding [512]byte
	for i := range padding {
		padding[i] = byte(i)
	}
	for _, p := range []string{"", "a", "newPass1", "päßwörd", "🔑 and 鍵", strings.Repeat("x", 256), strings.Repeat("🔑", 128)} {
		block, err := EncryptPassword(p, oldHash, padding)
		if err != nil {
			t.Fatalf("%q: %v", p, err)
		}
		if got, err := DecryptPassword(block, oldHash); got != p || err != nil {
			t.Errorf("%q came back as %q, %v", p, got, err)
		}
	}
	block, _ := EncryptPassword("newPass1", oldHash, padding)
	if got, err := DecryptPassword(block, mustHash(t, "other")); err == nil {
		t.Errorf("another hash gives %q", got)
	}
}

// What a block says of itself is not believed.
func TestPasswordBlockLies(t *testing.T) {
	oldHash := mustHash(t, password)
	for _, c := range []struct {
		name   string
		length []byte
		tail   []byte
	}{
		{"longer than the block", []byte{1, 2, 0, 0}, nil},
		{"absurdly long", []byte{0xff, 0xff, 0xff, 0xff}, nil},
		{"odd", []byte{3, 0, 0, 0}, []byte{'a', 0, 'b'}},
		{"half a pair at the end", []byte{2, 0, 0, 0}, []byte{0x00, 0xd8}},
		{"low surrogate first", []byte{4, 0, 0, 0}, []byte{0x00, 0xdc, 0x00, 0xd8}},
		{"high surrogate and a letter", []byte{4, 0, 0, 0}, []byte{0x00, 0xd8, 'a', 0}},
	} {
		var block [BlockLen]byte
		copy(block[512-len(c.tail):], c.tail)
		copy(block[512:], c.length)
		if err := cryptBlock(&block, oldHash); err != nil {
			t.Fatal(err)
		}
		if got, err := DecryptPassword(block, oldHash); !errors.Is(err, ErrPassword) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

func TestPasswordLimits(t *testing.T) {
	for _, p := range []string{strings.Repeat("x", 257), strings.Repeat("🔑", 128) + "x", "\xff", "a\xc3"} {
		if _, err := NTPasswordHash(p); !errors.Is(err, ErrPassword) {
			t.Errorf("%.10q (%d bytes): %v", p, len(p), err)
		}
	}
	// A character beyond the basic plane is two units; the hash of U+1F511 was computed by another implementation's MD4
	// over 3D D8 11 DD.
	b, err := appendUTF16(nil, "🔑")
	if err != nil || !bytes.Equal(b, []byte{0x3d, 0xd8, 0x11, 0xdd}) {
		t.Errorf("%x, %v", b, err)
	}
}

func TestParseProof(t *testing.T) {
	const text = "407A5589115FD0D6209F510FE9C04566932CDA56"
	for s, want := range map[string]bool{text: true, strings.ToLower(text): true, text[:39]: false, text + "0": false, "": false, "x" + text[1:]: false} {
		if _, ok := ParseProof(s); ok != want {
			t.Errorf("%q: %v", s, ok)
		}
	}
}

// In FIPS 140-only mode every way in returns an error, and none panics.
func TestFIPSOnly(t *testing.T) {
	const child = "MSCHAP_TEST_FIPS_CHILD"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFIPSOnly$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1", "GODEBUG=fips140=only")
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("--- PASS: TestFIPSOnly")) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if err := Available(); !errors.Is(err, ErrFIPS) {
		t.Errorf("Available: %v", err)
	}
	if _, err := NTPasswordHash(password); !errors.Is(err, ErrFIPS) {
		t.Errorf("NTPasswordHash: %v", err)
	}
	if _, err := EncryptPassword(password, [16]byte{1}, [512]byte{}); !errors.Is(err, ErrFIPS) {
		t.Errorf("EncryptPassword: %v", err)
	}
	if _, err := DecryptPassword([BlockLen]byte{}, [16]byte{1}); !errors.Is(err, ErrFIPS) {
		t.Errorf("DecryptPassword: %v", err)
	}
}

func FuzzDecryptPassword(f *testing.F) {
	hash := mustHash(f, password)
	for _, p := range []string{"", "newPass1", "🔑"} {
		block, err := EncryptPassword(p, hash, [512]byte{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(block[:], hash[:])
	}
	f.Fuzz(func(t *testing.T, b, h []byte) {
		if len(b) != BlockLen || len(h) != 16 {
			return
		}
		p, err := DecryptPassword([BlockLen]byte(b), [16]byte(h))
		if err != nil {
			return
		}
		// What could be read can be written again, and then reads the same.
		again, err := EncryptPassword(p, [16]byte(h), [512]byte{})
		if err != nil {
			t.Fatalf("%q: %v", p, err)
		}
		if q, err := DecryptPassword(again, [16]byte(h)); q != p || err != nil {
			t.Fatalf("%q came back as %q, %v", p, q, err)
		}
	})
}

func FuzzUTF16(f *testing.F) {
	for _, s := range []string{"", "clientPass", "🔑", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := appendUTF16(nil, s)
		if err != nil {
			return
		}
		if got, err := parseUTF16(b); got != s || err != nil {
			t.Fatalf("%q came back as %q, %v", s, got, err)
		}
	})
}
