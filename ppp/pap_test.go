package ppp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// unhexed reads bytes of a foreign peer; blanks are for the reader.
func unhexed(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}

func isBytes(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if g, w := fmt.Sprintf("%x", got), strings.ReplaceAll(want, " ", ""); g != w {
		t.Errorf("%s: %s, want %s", what, g, w)
	}
}

// The client's side against servers' bytes: a plain Ack, and RouterOS', whose text stands behind a Length of 4.
func TestPAPClientAgainstServers(t *testing.T) {
	for _, c := range []struct {
		name, reply, message string
		ok                   bool
	}{
		{"pppd", "02 66 000d 08 4c6f67696e206f6b", "", true},
		{"RouterOS, Length 4 and text behind it", "02 66 0004 4c6f67696e206f6b", "", true},
		{"a message longer than the packet", "02 66 0007 ff 4f4b", "", true},
		{"Nak", "03 66 0011 0c 42616420 6c6f67696e 0d0a00", "Bad login", false},
		{"Nak without message", "03 66 0004", "", false},
	} {
		bubble(t, c.name, func(t *testing.T) {
			r := newRig(t, PAP, nil, &Config{User: "alice", Password: "pw"})
			h := r.prover
			h.id = 0x65
			h.method.begin(time.Now())
			isBytes(t, "request", h.one(), "01 66 000d 05 616c696365 02 7077")
			h.give(unhexed(t, c.reply))
			var e *AuthError
			switch {
			case c.ok && (h.isProved != 1 || h.err != nil):
				t.Error(h.err)
			case !c.ok && (!errors.As(h.err, &e) || !e.Remote || e.Message != c.message || h.isProved > 0):
				t.Errorf("%#v", h.err)
			}
			if !h.method.deadline().IsZero() {
				t.Error("a timer is left")
			}
			h.none("the reply")
		})
	}
}

func TestPAPClientIgnores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, PAP, nil, aliceClient()).prover
		h.id = 0x10
		h.give(unhexed(t, "02 11 0004")) // before it was asked
		h.method.begin(time.Now())
		first := h.one()
		for _, s := range []string{"02 12 0004", "02 10 0004", "05 11 0004", "01 11 0005 00", "02 11 0003", "02 11 0009 00", "02 11", ""} {
			h.give(unhexed(t, s))
		}
		if h.isProved > 0 || h.err != nil {
			t.Fatalf("proved %d, %v", h.isProved, h.err)
		}
		// A request has a new identifier each time; the answer to any of them will do.
		time.Sleep(methodRestart)
		h.method.expire(time.Now())
		if second := h.one(); second[1] == first[1] {
			t.Errorf("repeated under identifier %d", first[1])
		}
		h.give(unhexed(t, "02 11 0004"))
		if h.isProved != 1 {
			t.Error("an answer to the first request is none")
		}
		h.give(unhexed(t, "03 12 0004"))
		if h.err != nil {
			t.Errorf("a late Nak: %v", h.err)
		}
	})
}

func TestPAPClientTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []*Config{
			{User: strings.Repeat("u", 256), Password: "x"},
			{User: "u", Password: Secret(strings.Repeat("p", 256))},
		} {
			h := newRig(t, PAP, nil, c).prover
			h.method.begin(time.Now())
			var e *NegotiationError
			if !errors.As(h.err, &e) || e.Remote {
				t.Errorf("%v", h.err)
			}
			h.none("too long")
		}
		longest := &Config{User: strings.Repeat("u", 255), Password: Secret(strings.Repeat("p", 255))}
		h := newRig(t, PAP, nil, longest).prover
		h.method.begin(time.Now())
		user, password, ok := parsePAPRequest(h.one()[4:])
		if !ok || string(user) != longest.User || string(password) != string(longest.Password) {
			t.Error("255 bytes do not fit")
		}
	})
}

// Repetitions while the Authenticator decides are dropped and move the identifier; afterwards the same answer comes under
// any identifier, whatever the request says (RFC 1334 section 2.2.1).
func TestPAPServerRepeats(t *testing.T) {
	for _, verdict := range []error{nil, &AuthError{Message: "no"}} {
		bubble(t, fmt.Sprint(verdict), func(t *testing.T) {
			h := newRig(t, PAP, &Config{}, nil).verifier
			h.method.begin(time.Now())
			h.none("begin")
			for _, s := range []string{"01 01 0008 05 616c69", "01 01 0009 03 626f62 05", "01 01 0004", "02 01 0004"} {
				h.give(unhexed(t, s)) // malformed
			}
			h.give(unhexed(t, "01 07 000d 05 616c696365 02 7077"))
			h.give(unhexed(t, "01 08 000d 05 616c696365 02 7077"))
			h.give(unhexed(t, "01 09 000b 03 626f62 02 7077 ffff")) // padding
			h.none("while it decides")
			if len(h.asked) != 1 {
				t.Fatalf("asked %d times", len(h.asked))
			}
			if q := h.asked[0]; q.User != "alice" || q.Password != "pw" || q.Attempt != 1 || q.Protocol != PAP {
				t.Errorf("%+v", q)
			}
			v := h.method.(verifier)
			want := "02 09 0007 02 6869"
			if verdict == nil {
				v.verdict(time.Now(), &Grant{Message: "hi"}, nil)
			} else {
				v.verdict(time.Now(), nil, verdict)
				want = "03 09 0007 02 6e6f"
			}
			isBytes(t, "answer", h.one(), want)
			h.give(unhexed(t, "01 0a 000b 03 657665 02 7077"))
			isBytes(t, "answer again", h.one(), want[:3]+"0a"+want[5:])
			if len(h.asked) != 1 {
				t.Error("asked again")
			}
			if g := h.grant; (verdict == nil) != (g != nil) || g != nil && g.User != "alice" {
				t.Errorf("granted %+v", g)
			}
		})
	}
}
