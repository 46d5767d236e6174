package demanddial

import (
	"context"
	"net/netip"

	"github.com/dialway/dialway/tunnel"
)

// Match returns the enabled interface that a caller of this name is: NAME, DOMAIN\NAME or NAME@DOMAIN, where DOMAIN is one
// of Set.Domains or Interface.Domains. nil: it is a remote-access client. Letters of ASCII match in either case.
//
// user must be proven, as Info.User of a server's *ppp.Conn is: by the name a caller only claims, anybody is a router.
func (s *Set) Match(user string) *Interface {
	i, _ := s.match(user)
	return i
}

// match returns also what speaks against an interface of the name.
func (s *Set) match(user string) (i *Interface, against string) {
	domain, name := splitDomain(user)
	for _, m := range s.list() {
		switch {
		case !isNamed(name, m.Name):
		case !mayComeFromDomain(domain, s.Domains, m.Domains):
			against = "domain " + domain + " is neither this router's nor in the Domains of interface " + m.Name + ": list it there if its users may be this router"
		case !m.enabled():
			against = "interface " + m.Name + " is disabled: enable it"
		default:
			return m.Interface, ""
		}
	}
	return nil, against
}

// Admit says what a caller is whose name has been proven: the interface it is, or nil for a remote-access client. A caller
// of a kind that is switched off is refused with a *RefusedError.
func (s *Set) Admit(user string) (*Interface, error) {
	i, _, err := s.admit(user)
	return i, err
}

func (s *Set) admit(user string) (i *Interface, against string, err error) {
	i, against = s.match(user)
	switch {
	case i != nil && !mayConnect(s.NoDemandDial):
		err = &RefusedError{User: user, Router: true, Why: "demand-dial is switched off"}
	case i == nil && !mayConnect(s.NoRemoteAccess):
		err = &RefusedError{User: user, Why: "remote access is switched off"}
		if against == "" {
			against = s.likeness(user)
		}
		if against != "" {
			err.(*RefusedError).Why += ", and it is no interface's: " + against
		}
	}
	if err != nil {
		return nil, against, err
	}
	return i, against, nil
}

// likeness says why somebody who is no interface's may still be meant for one.
func (s *Set) likeness(user string) string {
	_, name := splitDomain(user)
	for i := range s.All() {
		if i.User != "" && isNamed(name, foldedUser(i.User)) {
			return "that is the name by which interface " + i.Name + " calls: a far side must call by the name " + i.Name
		}
	}
	return ""
}

// Answer serves a session that a far side dialled, until it ends: as the interface it is, or as a remote-access client of
// the Router. Return it in a Handler:
//
//	func(ctx context.Context, c *ppp.Conn) error { return set.Answer(ctx, c.Info().User, c) }
//
// user must be proven, as for Match. A router that was taken for a client, since its name is no interface's, can send but
// not receive; when that shows, by the name or by where packets come from, it is logged with what to do.
func (s *Set) Answer(ctx context.Context, user string, l tunnel.Link) error {
	i, against, err := s.admit(user)
	switch {
	case err != nil:
		s.logger().Warn("call refused", "user", user, "why", err)
		l.Close()
		return err
	case i != nil:
		return i.Answer(ctx, l)
	}
	if against == "" {
		against = s.likeness(user)
	}
	if against != "" {
		s.logger().Warn("a caller is a remote-access client, though it may be meant for a router", "user", user, "why", against)
	}
	if x, ok := tunnel.As[interface{ OnStray(func(src netip.Addr)) }](l); ok {
		x.OnStray(func(src netip.Addr) { s.strayed(user, src) })
	}
	return s.Router.ServeLink(ctx, l)
}

// strayed has the source of a packet that a remote-access client may not send.
func (s *Set) strayed(user string, src netip.Addr) {
	if i := s.behind(src); i != nil {
		s.logger().Warn("a remote-access client sends from a network that is behind an interface: it is that router, but calls by another name, so that nothing is routed to it",
			"user", user, "source", src, "interface", i.Name, "fix", "let it call as "+i.Name+", or name the interface "+user)
	}
}
