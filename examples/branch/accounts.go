package main

import (
	"context"
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
	if n := strings.LastIndexByte(user, '@'); n >= 0 {
		for _, d := range a.domains {
			if strings.EqualFold(d, user[n+1:]) {
				user = user[:n]
				break
			}
		}
	}
	return a.current.Load().Account(ctx, user)
}

// SetSecret refuses: passwords stand in the configuration.
func (a *accounts) SetSecret(context.Context, string, ppp.Secret) error { return errNoAccount }

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
