package access

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/ppp"
)

// Forty cases of what a network policy server does: the first policy whose conditions hold decides; its constraint that
// fails refuses and does not go on; the account's Deny beats a policy that grants, its Allow one that denies.
func TestPolicyOrder(t *testing.T) {
	always := func(time.Time) bool { return true }
	never := func(time.Time) bool { return false }
	staff := Policy{Name: "staff", Groups: []string{"Staff"}, Apply: func(g *ppp.Grant) { g.Pool = "staff" }}
	all := Policy{Name: "all", Apply: func(g *ppp.Grant) { g.Pool = "all" }}
	deny := Policy{Name: "deny", Deny: true}
	with := func(p Policy, f func(*Policy)) Policy { f(&p); return p }
	in := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }

	for _, c := range []struct {
		name   string
		list   []Policy
		groups []string
		dialin Permission
		want   string // the pool that the policy sets; a number: refused with it
	}{
		{"no policy", nil, nil, ByPolicy, "649"},
		{"no policy, allowed account", nil, nil, Allow, "649"},
		{"one that matches all", []Policy{all}, nil, ByPolicy, "all"},
		{"one that denies all", []Policy{deny}, nil, ByPolicy, "649"},
		{"one that denies, allowed account", []Policy{deny}, nil, Allow, ""},
		{"denied account beats a grant", []Policy{all}, nil, Deny, "649"},
		{"group", []Policy{staff}, []string{"staff"}, ByPolicy, "staff"},
		{"group, other case", []Policy{staff}, []string{"STAFF"}, ByPolicy, "staff"},
		{"not in the group", []Policy{staff}, []string{"guests"}, ByPolicy, "649"},
		{"in no group", []Policy{staff}, nil, ByPolicy, "649"},
		{"second group of the policy", []Policy{{Groups: []string{"x", "y"}, Apply: all.Apply}}, []string{"y"}, ByPolicy, "all"},
		{"first of two", []Policy{staff, all}, []string{"staff"}, ByPolicy, "staff"},
		{"second of two", []Policy{staff, all}, []string{"guests"}, ByPolicy, "all"},
		{"first decides, though the second would too", []Policy{all, staff}, []string{"staff"}, ByPolicy, "all"},
		{"deny in front", []Policy{deny, all}, nil, ByPolicy, "649"},
		{"deny behind", []Policy{all, deny}, nil, ByPolicy, "all"},
		{"deny of a group", []Policy{with(deny, func(p *Policy) { p.Groups = []string{"guests"} }), all}, []string{"guests"}, ByPolicy, "649"},
		{"deny of another group", []Policy{with(deny, func(p *Policy) { p.Groups = []string{"guests"} }), all}, []string{"staff"}, ByPolicy, "all"},
		{"user pattern", []Policy{with(all, func(p *Policy) { p.User = "al*" })}, nil, ByPolicy, "all"},
		{"user pattern, other case", []Policy{with(all, func(p *Policy) { p.User = "AL*" })}, nil, ByPolicy, "all"},
		{"user pattern of another", []Policy{with(all, func(p *Policy) { p.User = "bob" })}, nil, ByPolicy, "649"},
		{"malformed pattern", []Policy{with(all, func(p *Policy) { p.User = "[" })}, nil, ByPolicy, "649"},
		{"called station", []Policy{with(all, func(p *Policy) { p.Called = "vpn.*" })}, nil, ByPolicy, "all"},
		{"another called station", []Policy{with(all, func(p *Policy) { p.Called = "other.*" })}, nil, ByPolicy, "649"},
		{"access server", []Policy{with(all, func(p *Policy) { p.NAS = "nas1" })}, nil, ByPolicy, "649"},
		{"tunnel type", []Policy{with(all, func(p *Policy) { p.Tunnel = "sstp" })}, nil, ByPolicy, "all"},
		{"another tunnel type", []Policy{with(all, func(p *Policy) { p.Tunnel = "L2TP" })}, nil, ByPolicy, "649"},
		{"caller", []Policy{with(all, func(p *Policy) { p.Calling = in("192.0.2.0/24") })}, nil, ByPolicy, "all"},
		{"another caller", []Policy{with(all, func(p *Policy) { p.Calling = in("198.51.100.0/24") })}, nil, ByPolicy, "649"},
		{"method as a condition", []Policy{with(all, func(p *Policy) { p.AuthIs = []ppp.AuthProtocol{ppp.PAP} })}, nil, ByPolicy, "all"},
		{"another method as a condition goes on", []Policy{with(deny, func(p *Policy) { p.AuthIs = []ppp.AuthProtocol{ppp.EAP} }), all}, nil, ByPolicy, "all"},
		{"hours as a condition", []Policy{with(all, func(p *Policy) { p.Hours = always })}, nil, ByPolicy, "all"},
		{"outside hours as a condition goes on", []Policy{with(deny, func(p *Policy) { p.Hours = never }), all}, nil, ByPolicy, "all"},
		{"a function", []Policy{with(all, func(p *Policy) { p.When = func(r *ppp.AuthRequest, g *ppp.Grant) bool { return g.User == "alice" } })}, nil, ByPolicy, "all"},
		{"a function that says no goes on", []Policy{with(deny, func(p *Policy) { p.When = func(*ppp.AuthRequest, *ppp.Grant) bool { return false } }), all}, nil, ByPolicy, "all"},
		{"method as a constraint", []Policy{with(all, func(p *Policy) { p.Auth = []ppp.AuthProtocol{ppp.PAP} })}, nil, ByPolicy, "all"},
		{"another method as a constraint refuses and does not go on", []Policy{with(staff, func(p *Policy) { p.Auth = []ppp.AuthProtocol{ppp.EAP} }), all}, []string{"staff"}, ByPolicy, "649"},
		{"constraint counts for an allowed account too", []Policy{with(all, func(p *Policy) { p.Auth = []ppp.AuthProtocol{ppp.EAP} })}, nil, Allow, "649"},
		{"hours as a constraint refuse and do not go on", []Policy{with(staff, func(p *Policy) { p.LogonIn = never }), all}, []string{"staff"}, ByPolicy, "646"},
		{"all conditions together", []Policy{with(staff, func(p *Policy) {
			p.User, p.Called, p.Tunnel, p.Calling, p.Hours = "alice", "vpn.example.com", "SSTP", in("192.0.2.9/32"), always
		})}, []string{"staff"}, ByPolicy, "staff"},
		{"all but one", []Policy{with(staff, func(p *Policy) { p.User, p.Called, p.Tunnel = "alice", "vpn.example.com", "PPTP" }), all}, []string{"staff"}, ByPolicy, "all"},
	} {
		m := new(Memory)
		m.Put(&Account{User: "alice", Secret: ClearSecret("secret"), Groups: c.groups, Dialin: c.dialin})
		p := &Policies{List: c.list, Next: &Accounts{Store: m}}
		req := request(t, ppp.PAP, "alice", "secret")
		g, err := p.Authenticate(t.Context(), req)
		got := map[int]string{649: "649", 646: "646", 691: "691", -1: "error"}[code(err)]
		if err == nil {
			got = g.Pool
		}
		if got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
		// The explanation says the same.
		if c.dialin == Deny {
			continue
		}
		acc, _ := m.Account(t.Context(), "alice")
		explained := "649"
		for i, v := range p.Explain(req, &ppp.Grant{User: "alice", Groups: c.groups, Value: acc}, time.Now()) {
			if v.Decides && v.Granted {
				x := new(ppp.Grant)
				if f := c.list[i].Apply; f != nil {
					f(x)
				}
				explained = x.Pool
			}
			if !v.Granted && v.Why == "" {
				t.Errorf("%s: %+v says no reason", c.name, v)
			}
		}
		if (explained == "649") != (strings.HasPrefix(c.want, "64")) || explained != "649" && explained != c.want {
			t.Errorf("%s is explained as %q", c.name, explained)
		}
	}
}

// A Policy's settings do not reach the Grant that Next keeps.
func TestSettingsAreTheSessionsOwn(t *testing.T) {
	kept := &ppp.Grant{User: "alice"}
	p := &Policies{
		List: []Policy{{Apply: func(g *ppp.Grant) { g.Pool = "x" }}},
		Next: ppp.AuthenticatorFunc(func(context.Context, *ppp.AuthRequest) (*ppp.Grant, error) { return kept, nil }),
	}
	if g, err := p.Authenticate(t.Context(), request(t, ppp.PAP, "alice", "x")); err != nil || g.Pool != "x" || kept.Pool != "" {
		t.Error(g, kept, err)
	}
}

// Whatever runs inside of EAP is EAP to a policy, and its type can be limited.
func TestPoliciesOfEAP(t *testing.T) {
	next := ppp.AuthenticatorFunc(func(context.Context, *ppp.AuthRequest) (*ppp.Grant, error) { return &ppp.Grant{User: "alice"}, nil })
	for _, c := range []struct {
		policy   Policy
		protocol ppp.AuthProtocol
		eapType  uint8
		granted  bool
	}{
		{Policy{AuthIs: []ppp.AuthProtocol{ppp.EAP}}, ppp.MSCHAPv2, 26, true},
		{Policy{AuthIs: []ppp.AuthProtocol{ppp.EAP}}, ppp.MSCHAPv2, 0, false},
		{Policy{AuthIs: []ppp.AuthProtocol{ppp.MSCHAPv2}}, ppp.MSCHAPv2, 26, false},
		{Policy{AuthIs: []ppp.AuthProtocol{ppp.MSCHAPv2}}, ppp.MSCHAPv2, 0, true},
		{Policy{Auth: []ppp.AuthProtocol{ppp.EAP}}, ppp.EAP, 13, true},
		{Policy{Auth: []ppp.AuthProtocol{ppp.EAP}}, ppp.MSCHAPv2, 25, true},
		{Policy{Auth: []ppp.AuthProtocol{ppp.EAP}}, ppp.MSCHAPv2, 0, false},
		{Policy{Auth: []ppp.AuthProtocol{ppp.MSCHAPv2}}, ppp.MSCHAPv2, 25, false},
		{Policy{EAP: []uint8{13, 25}}, ppp.EAP, 13, true},
		{Policy{EAP: []uint8{13, 25}}, ppp.MSCHAPv2, 25, true},
		{Policy{EAP: []uint8{13, 25}}, ppp.MSCHAPv2, 26, false},
		{Policy{EAP: []uint8{13, 25}}, ppp.EAP, 0, false}, // passed through: nobody knows
		{Policy{EAP: []uint8{13, 25}}, ppp.PAP, 0, true},  // Auth says whether
	} {
		p := &Policies{List: []Policy{c.policy}, Next: next}
		if _, err := p.Authenticate(t.Context(), &ppp.AuthRequest{Protocol: c.protocol, EAPType: c.eapType}); (err == nil) != c.granted {
			t.Errorf("%+v of %v, type %d: %v", c.policy, c.protocol, c.eapType, err)
		}
	}
}
