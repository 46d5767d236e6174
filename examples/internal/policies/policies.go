// Package policies reads the policies of package access from a file: who may connect from where, when and how, and what
// he is given. The first policy whose conditions hold decides; none refuses.
//
//	[[policy]]
//	name = "staff"
//	groups = ["staff"]               # conditions: any of the groups
//	user = "*@example.com"           # pattern of the proven name
//	called = "vpn.example.com"       # pattern: what was dialled
//	nas = "branch-*"                 # pattern: the access server that asks by RADIUS
//	tunnel = "SSTP"
//	calling = ["203.0.113.0/24"]     # where the call comes from
//	auth-is = ["eap"]                # the method that was used
//	hours = "Mon-Fri 06:00-20:00 Europe/Berlin"
//
//	auth = ["eap", "mschapv2"]       # constraints: what does not pass is refused, and no other policy is asked
//	eap = ["tls", "peap"]            # of EAP: also mschapv2
//	logon-in = "Mon-Fri 08:00-18:00"
//	deny = false                     # true refuses, but for accounts whose dialin is "allow"
//
//	pool = "staff"                   # settings, in the place of the account's
//	dns = ["10.0.0.53"]
//	nbns = ["10.0.0.54"]
//	routes = ["10.9.0.0/16"]         # prefixes behind the far side, beside the account's
//	session-timeout = "12h"
//	idle-timeout = "30m"
//	interim = "10m"                  # between accounting updates
//	rate-in = 10000000               # bits per second, from the far side
//	rate-out = 50000000
//	max-sessions = 2
//	replace = true                   # one too many ends the oldest, and is not refused
//	message = "welcome"
//	filters = ["web.in"]             # all must let a packet pass
//
//	[[filter]]
//	name = "web.in"                  # .in is for packets from the far side, .out for those to it, another name for both
//	only = ["tcp any > any:443", "udp any > 10.0.0.53:53"]     # or except = [...]
//
// Where the policies are a RADIUS server's, filters are told by name (Filter-Id), and the access server has them; rates are
// told as WISPr-Bandwidth-Max-Up and -Down.
package policies

import (
	"context"
	"fmt"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/examples/internal/conf"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/access"
	"github.com/dialway/dialway/ppp/eap"
	"github.com/dialway/dialway/tunnel"
)

// A Set is what a file says.
type Set struct {
	List    []access.Policy
	filters map[string]*tunnel.Filter
}

// Read reads a file with policies and nothing else. All that is wrong is in the error.
func Read(file string) (*Set, error) {
	t, err := conf.Read(file)
	if err != nil {
		return nil, err
	}
	s := Parse(t, false)
	t.Rest()
	if len(s.List) == 0 {
		t.Source.Bad("", "there is no [[policy]]: nobody could connect")
	}
	return s, t.Err()
}

// Parse takes the policies and filters of a table, and notes there what is wrong with them. Filters are applied here, or
// told to a remote access server.
func Parse(t *conf.Table, remote bool) *Set {
	s := &Set{filters: make(map[string]*tunnel.Filter)}
	if !remote {
		s.readFilters(t)
	}
	names := make(map[string]bool)
	for _, x := range t.Tables("policy") {
		p := s.policy(x, remote)
		switch {
		case p.Name == "":
			x.Bad("name", "a policy needs a name")
		case names[p.Name]:
			x.Bad("name", "there is a policy %q already", p.Name)
		}
		names[p.Name] = true
		s.List = append(s.List, p)
	}
	return s
}

func (s *Set) readFilters(t *conf.Table) {
	for _, x := range t.Tables("filter") {
		name := x.Str("name", "")
		f := x.Filter(x, "name")
		switch {
		case name == "":
			x.Bad("name", "a filter needs a name")
		case s.filters[name] != nil:
			x.Bad("name", "there is a filter %q already", name)
		case f != nil:
			s.filters[name] = f
		}
		x.Rest()
	}
}

func (s *Set) policy(t *conf.Table, remote bool) access.Policy {
	p := access.Policy{
		Name: t.Str("name", ""), Groups: t.Texts("groups"), User: pattern(t, "user"), Called: pattern(t, "called"),
		NAS: pattern(t, "nas"), Tunnel: t.Str("tunnel", ""), Calling: conf.List(t, "calling", conf.Prefix),
		AuthIs: conf.List(t, "auth-is", conf.Auth), Hours: hours(t, "hours"),
		Auth: conf.List(t, "auth", conf.Auth), EAP: conf.List(t, "eap", eapType), LogonIn: hours(t, "logon-in"), Deny: t.Bool("deny", false),
	}
	p.Apply = s.settings(t, p.Name, remote)
	t.Rest()
	return p
}

// eapType reads the name of an EAP method.
func eapType(s string) (uint8, error) {
	switch s {
	case "tls":
		return uint8(eap.TypeTLS), nil
	case "peap":
		return uint8(eap.TypePEAP), nil
	case "mschapv2":
		return uint8(eap.TypeMSCHAPv2), nil
	}
	return 0, fmt.Errorf("%q is not tls, peap or mschapv2", s)
}

func pattern(t *conf.Table, key string) string {
	s := t.Str(key, "")
	if _, err := path.Match(s, ""); err != nil {
		t.Bad(key, "%q is no pattern", s)
	}
	return s
}

func hours(t *conf.Table, key string) func(time.Time) bool {
	s := t.Str(key, "")
	if s == "" {
		return nil
	}
	f, err := access.ParseHours(s)
	if err != nil {
		t.Bad(key, "%s", strings.TrimPrefix(err.Error(), "access: "))
	}
	return f
}

// Filter returns what a name means. It fits radius.Client.Filter.
func (s *Set) Filter(name string) (func(packet []byte) bool, error) {
	f := s.filters[name]
	if f == nil {
		return nil, fmt.Errorf("there is no filter %q", name)
	}
	return f.Match, nil
}

// Policies is an access.Policies whose list is read from a file, and may be read again while it is used.
type Policies struct {
	Next ppp.Authenticator // required

	file string
	set  atomic.Pointer[Set]
}

// Open reads a file.
func Open(file string, next ppp.Authenticator) (*Policies, error) {
	p := &Policies{Next: next, file: file}
	return p, p.Reload()
}

// Reload reads the file again; an error keeps what was there.
func (p *Policies) Reload() error {
	s, err := Read(p.file)
	if err == nil {
		p.set.Store(s)
	}
	return err
}

// Use takes a Set in the place of the one there was.
func (p *Policies) Use(s *Set) { p.set.Store(s) }

// Filter returns what a name means now. It fits radius.Client.Filter.
func (p *Policies) Filter(name string) (func(packet []byte) bool, error) {
	return p.set.Load().Filter(name)
}

// Authenticate is ppp.Authenticator's.
func (p *Policies) Authenticate(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
	return (&access.Policies{List: p.set.Load().List, Next: p.Next}).Authenticate(ctx, req)
}
