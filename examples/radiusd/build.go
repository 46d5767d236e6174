package main

import (
	"context"
	"crypto/tls"
	"strings"

	"github.com/dialway/dialway/examples/internal/policies"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/access"
	"github.com/dialway/dialway/ppp/eap"
	"github.com/dialway/dialway/radius"
)

// here are the accounts of a file; a name may end in @REALM, where that realm's users are known here.
type here struct {
	*access.File
	service *service
}

// Account is access.Store's.
func (h *here) Account(ctx context.Context, user string) (*access.Account, error) {
	return h.File.Account(ctx, h.cut(user))
}

// SetSecret is access.Store's.
func (h *here) SetSecret(ctx context.Context, user string, s ppp.Secret) error {
	return h.File.SetSecret(ctx, h.cut(user), s)
}

func (h *here) cut(user string) string {
	i := strings.LastIndexByte(user, '@')
	if i < 0 {
		return user
	}
	for _, r := range h.service.now.Load().realms {
		if len(r.homes) == 0 && r.name != "" && strings.EqualFold(r.name, user[i+1:]) {
			return user[:i]
		}
	}
	return user
}

// authenticator puts EAP and policies in front of accounts.
func (c *config) authenticator(accounts ppp.Authenticator) ppp.Authenticator {
	auth := accounts
	if len(c.eap.methods) > 0 {
		e := &eap.Authenticator{Next: accounts}
		for _, m := range c.eap.methods {
			switch m {
			case "mschapv2":
				e.Methods = append(e.Methods, &eap.MSCHAPv2{})
			case "peap":
				e.Methods = append(e.Methods, &eap.PEAP{Config: &tls.Config{Certificates: []tls.Certificate{*c.eap.cert}}, Inner: &eap.MSCHAPv2{}})
			case "tls":
				e.Methods = append(e.Methods, &eap.TLS{Config: &tls.Config{Certificates: []tls.Certificate{*c.eap.cert}, ClientCAs: c.eap.ca}})
			}
		}
		auth = e
	}
	if c.policies != nil {
		p := &policies.Policies{Next: auth}
		p.Use(c.policies)
		auth = p
	}
	return auth
}

// edit is the attribute filter of a realm.
func (c *config) edit(p *radius.Packet, name string) {
	for _, r := range c.realms {
		if r.name != name {
			continue
		}
		list := r.reply
		if p.Code == radius.AccessRequest || p.Code == radius.AccountingRequest {
			list = r.requests
		}
		for _, a := range list {
			if a.vendor == 0 {
				p.Remove(radius.Attr(a.typ))
			} else {
				p.RemoveVendor(a.vendor, a.typ)
			}
		}
	}
}
