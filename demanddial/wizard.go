package demanddial

import (
	"context"
	"errors"
	"strings"

	"github.com/dialway/dialway/internal/secret"
	"github.com/dialway/dialway/tunnel"
)

// A Wizard is Routing and Remote Access' demand-dial interface wizard: each step is a field, and Finish checks all of them
// at once. Passwords are ppp.Secrets.
type Wizard struct {
	Name       string   // of the interface, and the user name by which the far router calls
	Connection string   // "VPN", or empty for the same: there are no modems
	VPN        string   // "automatic", or empty, or "SSTP": all mean SSTP
	To         []string // host names or addresses of the far router; empty: this router never calls

	RoutePackets bool    // route IP packets on this interface
	AddUser      bool    // add a user account so that the far router can dial in
	Routes       []Route // static routes for the networks behind the far router

	// Dial-in credentials: the account has the interface's name.
	DialInPassword      secret.String
	DialInPasswordAgain secret.String

	// Dial-out credentials. A router that never calls may have any name and no password.
	User          string
	Domain        string
	Password      secret.String
	PasswordAgain secret.String
}

// Credentials are what an interface calls with.
type Credentials struct {
	User     string // DOMAIN\user if there is a domain, as Windows' clients send it
	Password secret.String
}

// An Account is for the far router to dial in.
type Account struct {
	User     string
	Password secret.String
}

// Finish makes the interface and, if one is wanted, the far router's account. dial makes an Interface's Dial of the
// credentials; it is not called for a router that never calls. Everything that is wrong is told at once, as *Problems
// joined; whether the interface fits the others is Set.Add's to say. What is no step of the wizard is for the caller to
// set in the Interface then.
func (w *Wizard) Finish(dial func(c Credentials) func(ctx context.Context, to string) (tunnel.Link, error)) (*Interface, *Account, error) {
	i := &Interface{Name: w.Name, User: w.User, To: w.To, Host: !w.RoutePackets, NoAnswer: !w.AddUser}
	if w.RoutePackets {
		i.Routes = w.Routes
	}
	c := &complaint{of: i}
	calls := len(w.To) > 0
	if calls && dial != nil {
		user := w.User
		if w.Domain != "" {
			user = w.Domain + `\` + w.User
		}
		i.Dial = dial(Credentials{user, w.Password})
	}
	if calls && dial == nil {
		c.add("To", 0, "there is nothing to dial with")
	}
	if !calls && !w.AddUser {
		c.add("To", 0, "it neither calls nor lets the far router call")
	}
	c.values()
	w.check(c, calls)
	if len(c.list) > 0 {
		return nil, nil, errors.Join(c.list...)
	}
	if !w.AddUser {
		return i, nil, nil
	}
	return i, &Account{w.Name, w.DialInPassword}, nil
}

// check checks the steps that Set.Add knows nothing of.
func (w *Wizard) check(c *complaint, calls bool) {
	if w.Connection != "" && !strings.EqualFold(w.Connection, "VPN") {
		c.add("Connection", 0, "%q: only VPN connects here", w.Connection)
	}
	if w.VPN != "" && !strings.EqualFold(w.VPN, "automatic") && !strings.EqualFold(w.VPN, "SSTP") {
		c.add("VPN", 0, "%q is neither automatic nor SSTP", w.VPN)
	}
	if !w.RoutePackets && len(w.Routes) > 0 {
		c.add("Routes", 0, "there are static routes, but no IP packets are routed on this interface")
	}
	switch {
	case !w.AddUser && (w.DialInPassword != "" || w.DialInPasswordAgain != ""):
		c.add("DialInPassword", 0, "there is one, but no user account is to be added")
	case w.AddUser && w.DialInPassword == "":
		c.add("DialInPassword", 0, "an account without a password lets nobody in")
	case w.DialInPassword != w.DialInPasswordAgain:
		c.add("DialInPasswordAgain", 0, "it differs from the first")
	}
	if !calls {
		return // any name, and no password
	}
	switch {
	case w.User == "":
		c.add("User", 0, "this router calls, and must say by which name")
	case strings.ContainsAny(w.User, `\@`) && w.Domain != "":
		c.add("User", 0, "%q has a domain already, and Domain is %q", w.User, w.Domain)
	}
	switch {
	case w.Password == "":
		c.add("Password", 0, "this router calls, and must have one")
	case w.Password != w.PasswordAgain:
		c.add("PasswordAgain", 0, "it differs from the first")
	}
}
