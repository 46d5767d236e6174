package main

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/dialway/dialway/demanddial"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/access"
)

// accounts are those of remote-access clients and those that interfaces made for their far routers. They are replaced as
// a whole.
type accounts struct {
	domains []string
	current atomic.Pointer[access.Memory]
}

// Account finds an account; names may end in @DOMAIN, where that is this router's, as they may begin with DOMAIN\.
func (a *accounts) Account(ctx context.Context, user string) (*access.Account, error) {
	if n := strings.LastIndexByte(user, '@'); n >= 0 && a.isOwn(user[n+1:]) {
		user = user[:n]
	}
	return a.current.Load().Account(ctx, user)
}

// SetSecret refuses: passwords stand in the configuration.
func (a *accounts) SetSecret(context.Context, string, ppp.Secret) error { return errNoAccount }

// keepDomain makes a caller of a domain that is not this router's have that in its name: it has proven to be the account, but
// it is no router unless an interface lists the domain.
func (a *accounts) keepDomain(next ppp.Authenticator) ppp.Authenticator {
	return ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
		g, err := next.Authenticate(ctx, req)
		domain, _, named := strings.Cut(req.User, `\`)
		if g == nil || err != nil || !named || domain == "" || a.isOwn(domain) {
			return g, err
		}
		kept := *g
		kept.User = domain + `\` + g.User
		return &kept, nil
	})
}

func (a *accounts) isOwn(domain string) bool {
	return slices.ContainsFunc(a.domains, func(d string) bool { return strings.EqualFold(d, domain) })
}

// clientsNotIn returns the clients that another configuration does not have, or has otherwise.
func (c *config) clientsNotIn(other *config) (names []string) {
	if c == nil {
		return nil
	}
	for _, x := range c.clients {
		if !slices.ContainsFunc(other.clients, func(y clientConfig) bool { return reflect.DeepEqual(x, y) }) {
			names = append(names, x.name)
		}
	}
	return names
}

// set takes the accounts of a configuration.
func (a *accounts) set(c *config, routers []*demanddial.Account) {
	m := new(access.Memory)
	for _, x := range c.clients {
		m.Put(&access.Account{
			User: x.name, Secret: access.ClearSecret(x.Password),
			Grant: ppp.Grant{Addr: x.addr, Prefixes: x.routes, AskAddr: x.askAddr},
		})
	}
	for _, r := range routers {
		// Both routers ask each other for an address.
		m.Put(&access.Account{User: r.User, Secret: access.ClearSecret(r.Password), Grant: ppp.Grant{AskAddr: true}})
	}
	a.current.Store(m)
}
