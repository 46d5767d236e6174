package ppp

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

func FuzzPAP(f *testing.F) {
	f.Add(appendPAPRequest(nil, "alice", "pw"))
	f.Add(appendPAPReply(nil, "welcome"))
	f.Add([]byte{255, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		if user, password, ok := parsePAPRequest(data); ok {
			b := appendPAPRequest(nil, string(user), string(password))
			if !bytes.HasPrefix(data, b) {
				t.Fatalf("%x came back as %x", data, b)
			}
		}
		if m := parsePAPReply(data); len(m) > maxMessage || !utf8.ValidString(m) {
			t.Fatalf("message %q", m)
		}
	})
}

func FuzzCHAP(f *testing.F) {
	f.Add(appendCHAPValue(nil, make([]byte, 16), "alice"))
	f.Add(appendCHAPValue(nil, make([]byte, msResponseLen), `EXAMPLE\alice`))
	f.Add(make([]byte, msChangeLen))
	f.Fuzz(func(t *testing.T, data []byte) {
		if value, name, ok := parseCHAPValue(data); ok {
			if b := appendCHAPValue(nil, value, string(name)); !bytes.Equal(b, data) {
				t.Fatalf("%x came back as %x", data, b)
			}
			if r, ok := parseMSResponse(value); ok {
				if again, ok := parseMSResponse(r.append(nil)); !ok || again != r {
					t.Fatalf("%+v came back as %+v", r, again)
				}
			}
		}
		if c, ok := parseMSChange(data); ok {
			if again, ok := parseMSChange(c.append(nil)); !ok || again != c {
				t.Fatalf("%+v came back as %+v", c, again)
			}
		}
	})
}

func FuzzMSCHAPMessages(f *testing.F) {
	for _, s := range []string{
		sampleProof + " M=Access granted",
		"E=691 R=1 C=0123456789ABCDEF0123456789ABCDEF V=3 M=Authentication failed",
		"M=a E=1 b R=1 V=0", "E=691 R=0 V=3", "", " ", "=", "E=", "M=", "M= M=", "  E=1  R=1",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fail := parseMSFailure(data)
		again := parseMSFailure(fail.append(nil))
		// Fields that were missing are zero, and are there the second time.
		if again.code != fail.code || again.retry != fail.retry || again.challenge != fail.challenge || again.version != fail.version {
			t.Fatalf("%+v came back as %+v", fail, again)
		}
		if m := fail.message; len(m) > maxMessage || !utf8.ValidString(m) {
			t.Fatalf("message %q", m)
		}
		if s := parseMSSuccess(data); s.hasProof {
			if again := parseMSSuccess(s.append(nil)); again.proof != s.proof || !again.hasProof {
				t.Fatalf("%+v came back as %+v", s, again)
			}
		}
	})
}

// FuzzMethods gives both roles of every method packets of whoever, in whatever order: nobody is let in by them, nobody
// panics, and what is sent is well formed (the host checks).
func FuzzMethods(f *testing.F) {
	for p := range everyMethod {
		f.Add(byte(p), []byte("\x01\x33\x00\x0d\x05alice\x02pw\x02\x33\x00\x0a\x01alice"))
		f.Add(byte(p), []byte("\x03\x67\x00\x04\x03\x01\x00\x04\x01\x01\x00\x05\x01\x03\x01\x00\x04"))
	}
	f.Fuzz(func(t *testing.T, which byte, script []byte) {
		if len(script) > 4000 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			p := everyMethod[int(which)%len(everyMethod)]
			server := &Config{Authenticator: AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
				if p == EAP {
					return tokenServer(ctx, req)
				}
				return nil, &AuthError{Code: CodeExpired, Retry: len(script)%2 == 0}
			})}
			client := aliceClient()
			client.EAP = tokenPeer
			client.Retry = func(context.Context, *AuthError) (Secret, error) { return "other", nil }
			for _, r := range []*rig{newRig(t, p, server, nil), newRig(t, p, nil, client)} {
				h := r.hosts()[0]
				h.method.begin(time.Now())
				h.take()
				for s := script; len(s) > 0 && h.err == nil; {
					n := len(s)
					if len(s) >= 4 {
						n = min(n, max(4, int(s[2])<<8|int(s[3])))
					}
					h.give(s[:n])
					h.take()
					s = s[n:]
				}
				if h.isProved > 0 && p == MSCHAPv2 || h.grant != nil && p != EAP {
					t.Fatalf("%v: in by %x", p, script)
				}
				h.stop()
			}
		})
	})
}
