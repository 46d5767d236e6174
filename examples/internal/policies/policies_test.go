package policies

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/examples/internal/conf"
	"github.com/dialway/dialway/ppp"
)

func write(t *testing.T, text string) string {
	file := filepath.Join(t.TempDir(), "policies.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const all = `
[[policy]]
name = "guests"
groups = ["guests"]
calling = ["203.0.113.0/24", "198.51.100.7"]
auth = ["mschapv2"]
pool = "guests"
dns = ["10.0.0.53"]
routes = ["10.9.0.0/16"]
session-timeout = "1h"
idle-timeout = "5m"
interim = "10m"
rate-in = 1000000
rate-out = 2000000
max-sessions = 2
replace = true
message = "welcome"
filters = ["web", "quiet.out"]

[[policy]]
name = "rest"
deny = true

[[filter]]
name = "web"
only = ["tcp 10.8.0.0/24 > any:443"]

[[filter]]
name = "quiet.out"
except = ["icmp"]
`

func TestPoliciesOfAFile(t *testing.T) {
	file := write(t, all)
	groups := []string{"guests"}
	next := ppp.AuthenticatorFunc(func(context.Context, *ppp.AuthRequest) (*ppp.Grant, error) {
		return &ppp.Grant{User: "alice", Groups: groups, Value: "account"}, nil
	})
	p, err := Open(file, next)
	if err != nil {
		t.Fatal(err)
	}
	req := &ppp.AuthRequest{Protocol: ppp.MSCHAPv2, Call: &ppp.Call{Remote: netip.MustParseAddrPort("198.51.100.7:1")}}
	g, err := p.Authenticate(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if g.Pool != "guests" || len(g.DNS) != 1 || len(g.Prefixes) != 1 || g.SessionTimeout != time.Hour || g.IdleTimeout != 5*time.Minute ||
		g.Interim != 10*time.Minute || g.RateIn.Bits != 1e6 || g.RateOut.Bits != 2e6 || g.MaxSessions != 2 || !g.Replace || g.Message != "welcome" {
		t.Errorf("granted %+v", g)
	}
	if a, ok := g.Value.(*Applied); !ok || a.Policy != "guests" || a.Value != "account" || len(a.Filters) != 2 {
		t.Errorf("value %+v", g.Value)
	}
	// TCP from 10.8.0.2 to port 443, and an echo request to it.
	web := append([]byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 8, 0, 2, 192, 0, 2, 1, 4, 0, 1, 187}, make([]byte, 16)...)
	ping := append([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 10, 8, 0, 2, 8, 0}, make([]byte, 6)...)
	if !g.In(web) || !g.Out(web) || g.In(ping) || g.Out(ping) {
		t.Error("the filters pass what they must not, or not what they must")
	}
	if f, err := p.Filter("quiet.out"); err != nil || f(ping) || !f(web) {
		t.Errorf("a filter by name: %v", err)
	}
	if _, err := p.Filter("none"); err == nil {
		t.Error("a filter that is not there")
	}
	req.Protocol = ppp.CHAP
	if _, err := p.Authenticate(t.Context(), req); !errors.As(err, new(*ppp.AuthError)) {
		t.Errorf("by another method: %v", err)
	}
	groups = nil
	if _, err := p.Authenticate(t.Context(), req); err == nil || !strings.Contains(err.Error(), "rest") {
		t.Errorf("denied: %v", err)
	}

	os.WriteFile(file, []byte("[[policy]]\nname = 1"), 0o600)
	if err := p.Reload(); err == nil {
		t.Error("a wrong file is read")
	}
	if _, err := p.Authenticate(t.Context(), req); err == nil || !strings.Contains(err.Error(), "rest") {
		t.Errorf("what was read before is gone: %v", err)
	}
	os.WriteFile(file, []byte("[[policy]]\nname = \"all\""), 0o600)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Authenticate(t.Context(), req); err != nil {
		t.Error(err)
	}
}

func TestEveryProblemIsTold(t *testing.T) {
	file := write(t, `x = 1
[[policy]]
name = "a"
user = "[a"
hours = "sometimes"
calling = ["10.0.0.1/8"]
auth-is = ["telepathy"]
filters = ["none"]
[[policy]]
name = "a"
colour = "red"
rate-in = 1
[[policy]]
[[filter]]
name = "f"
`)
	_, err := Read(file)
	if !errors.As(err, new(conf.Problems)) {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(err.Error(), file+":", "")
	for _, want := range []string{"1: x:", "4: user:", "5: hours:", "6: calling:", "7: auth-is:", "8: filters:", "10: name: there is", "11: colour:", "12: rate-in:",
		"13: name: a policy needs", "15: name: the filter is empty"} {
		if !strings.Contains("\n"+got, "\n"+want) {
			t.Errorf("not told: %s", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
	if _, err := Read(write(t, "# nothing")); err == nil {
		t.Error("a file without policies")
	}
}
