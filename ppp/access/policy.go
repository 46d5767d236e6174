package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/dialway/dialway/ppp"
)

// Policies is a ppp.Authenticator that asks Next, then the first Policy whose conditions hold; none refuses.
//
//	Next refuses ─────────────────────────────────────────────▶ refused
//	    │ Grant
//	    ▼
//	policy 1: conditions hold? ── no ──▶ policy 2 ... ── none ─▶ refused (649)
//	    │ yes: it decides, no other is asked
//	    ▼
//	constraints pass? ── no ──────────────────────────────────▶ refused
//	    │ yes
//	    ▼
//	Deny, unless the account says Allow ──────────────────────▶ refused (649)
//	    │
//	    ▼
//	settings ─────────────────────────────────────────────────▶ Grant
type Policies struct {
	List []Policy
	Next ppp.Authenticator // required
}

// A Policy is conditions, constraints and settings. Zero conditions hold, zero constraints pass.
type Policy struct {
	Name string

	// Conditions.
	Groups  []string             // any of them; without regard to ASCII case
	User    string               // pattern, as path.Match, without regard to ASCII case
	Called  string               // pattern: the TLS server name, a number
	NAS     string               // pattern: the access server that asks by RADIUS
	Tunnel  string               // "SSTP"
	Calling []netip.Prefix       // the caller's outer address
	AuthIs  []ppp.AuthProtocol   // the method that was used; whatever runs inside of EAP is EAP
	Hours   func(time.Time) bool // when
	When    func(req *ppp.AuthRequest, g *ppp.Grant) bool

	// Constraints: a policy that matches and whose constraint does not pass refuses; no further policy is tried.
	Auth    []ppp.AuthProtocol   // methods allowed
	EAP     []uint8              // types of EAP allowed: 13 EAP-TLS, 25 PEAP, 26 EAP-MSCHAPv2
	LogonIn func(time.Time) bool // hours allowed

	Deny  bool
	Apply func(g *ppp.Grant) // settings, on a Grant of its own
}

// Authenticate asks Next, then the list.
func (p *Policies) Authenticate(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
	g, err := p.Next.Authenticate(ctx, req)
	if err != nil || g == nil {
		return nil, err
	}
	now := time.Now()
	for i := range p.List {
		pol := &p.List[i]
		if why := pol.mismatch(req, g, now); why != "" {
			continue
		}
		if err := pol.decide(req, g, now); err != nil {
			return nil, err
		}
		granted := *g
		if pol.Apply != nil {
			pol.Apply(&granted)
		}
		return &granted, nil
	}
	return nil, &ppp.AuthError{Code: ppp.CodeNoDialin, Err: fmt.Errorf("access: no policy matches %s", nameOf(req, g))}
}

// A Verdict is one policy's line of an explanation.
type Verdict struct {
	Policy  string
	Matches bool   // its conditions hold; the first such decides
	Decides bool   // it is that one
	Granted bool   // what it decides
	Why     string // why it does not match, or refuses
}

// Explain says which policy a request meets and why the others do not, without deciding. g is what Next would grant.
func (p *Policies) Explain(req *ppp.AuthRequest, g *ppp.Grant, at time.Time) []Verdict {
	var list []Verdict
	decided := false
	for i := range p.List {
		pol := &p.List[i]
		v := Verdict{Policy: pol.Name, Why: pol.mismatch(req, g, at)}
		if v.Why == "" {
			v.Matches, v.Decides = true, !decided
			decided = true
			err := pol.decide(req, g, at)
			v.Granted = err == nil && v.Decides
			if err != nil {
				v.Why = errors.Unwrap(err).Error()
			} else if !v.Decides {
				v.Why = "an earlier policy decides"
			}
		}
		list = append(list, v)
	}
	return list
}

// mismatch says which condition does not hold; "": all do.
func (p *Policy) mismatch(req *ppp.AuthRequest, g *ppp.Grant, at time.Time) string {
	call := req.Call
	if call == nil {
		call = new(ppp.Call)
	}
	switch {
	case len(p.Groups) > 0 && !slices.ContainsFunc(p.Groups, func(want string) bool {
		return slices.ContainsFunc(g.Groups, func(has string) bool { return strings.EqualFold(want, has) })
	}):
		return fmt.Sprintf("in none of the groups %s", strings.Join(p.Groups, ", "))
	case !matches(p.User, nameOf(req, g)):
		return fmt.Sprintf("user %q does not match %q", nameOf(req, g), p.User)
	case !matches(p.Called, call.Called):
		return fmt.Sprintf("called station %q does not match %q", call.Called, p.Called)
	case !matches(p.NAS, call.NAS):
		return fmt.Sprintf("access server %q does not match %q", call.NAS, p.NAS)
	case p.Tunnel != "" && !strings.EqualFold(p.Tunnel, call.Tunnel):
		return fmt.Sprintf("tunnel type %q is not %q", call.Tunnel, p.Tunnel)
	case len(p.Calling) > 0 && !contains(p.Calling, callerOf(call)):
		return fmt.Sprintf("caller %v is in none of the prefixes", callerOf(call))
	case len(p.AuthIs) > 0 && !slices.Contains(p.AuthIs, methodOf(req)):
		return fmt.Sprintf("authenticated by %v", methodOf(req))
	case p.Hours != nil && !p.Hours(at):
		return "outside the policy's hours"
	case p.When != nil && !p.When(req, g):
		return "When does not hold"
	}
	return ""
}

// decide applies constraints and permission.
func (p *Policy) decide(req *ppp.AuthRequest, g *ppp.Grant, at time.Time) error {
	no := func(code int, why string) error {
		return &ppp.AuthError{Code: code, Err: fmt.Errorf("access: policy %q: %s", p.Name, why)}
	}
	switch {
	case len(p.Auth) > 0 && !slices.Contains(p.Auth, methodOf(req)):
		return no(ppp.CodeNoDialin, fmt.Sprintf("%v is not among the methods allowed", methodOf(req)))
	case len(p.EAP) > 0 && methodOf(req) == ppp.EAP && !slices.Contains(p.EAP, req.EAPType):
		return no(ppp.CodeNoDialin, fmt.Sprintf("EAP type %d is not among those allowed", req.EAPType))
	case p.LogonIn != nil && !p.LogonIn(at):
		return no(ppp.CodeRestrictedHours, "outside the hours allowed")
	case p.Deny && permission(g) != Allow:
		return no(ppp.CodeNoDialin, "denies")
	}
	return nil
}

// methodOf is the method as the far side and its access server have it.
func methodOf(req *ppp.AuthRequest) ppp.AuthProtocol {
	if req.EAPType != 0 {
		return ppp.EAP
	}
	return req.Protocol
}

// permission is the account's own, where Accounts granted.
func permission(g *ppp.Grant) Permission {
	if a, ok := g.Value.(*Account); ok {
		return a.Dialin
	}
	return ByPolicy
}

// nameOf is the proven name.
func nameOf(req *ppp.AuthRequest, g *ppp.Grant) string {
	if g.User != "" {
		return g.User
	}
	return req.User
}

// matches compares with a pattern; an empty one matches all, a malformed one nothing.
func matches(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(s))
	return err == nil && ok
}
