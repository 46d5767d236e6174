package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/internal/mschap"
	"github.com/dialway/dialway/ppp"
)

// Accounts is a ppp.Authenticator over a Store. A Grant's Value is the *Account.
//
// Who does not know the secret learns nothing: an unknown user, a wrong password and a locked-out caller are refused
// alike, with E=691, the first two after the same work. What else is the matter (disabled, expired, outside the hours, no permission)
// is told only behind the right password, by RFC 2759's codes. Names may come as DOMAIN\user; the domain is cut.
type Accounts struct {
	Store   Store // required
	Lockout Lockout

	slow   atomic.Pointer[ppp.Secret] // a slow secret seen: who does not exist is as slow
	once   sync.Once
	places chan struct{} // slow checks at once: argon2id takes 64 MiB each
	locks  lockout
}

// Authenticate checks secret, dial-in permission, hours, caller and lockout, and changes a password where that is asked.
func (a *Accounts) Authenticate(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
	if req.Protocol == ppp.NoProtocol || req.Protocol == ppp.EAP && !req.Proved {
		return nil, fmt.Errorf("access: Accounts cannot check %v", req.Protocol)
	}
	now := time.Now()
	user := mschap.UserPart(req.User)
	source := sourceOf(req.Call)
	if why := a.locks.locked(a.Lockout, user, source, now); why != nil && !req.Proved {
		return nil, a.refuse(req, &ppp.AuthError{Code: ppp.CodeFailed, Err: why})
	}
	acc, err := a.Store.Account(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("access: look %q up: %w", user, err)
	}
	if acc == nil {
		err := a.checkNobody(ctx, req)
		a.locks.failed(a.Lockout, user, source, now)
		return nil, a.refuse(req, err)
	}
	g, err := a.check(ctx, req, acc)
	if err != nil {
		var wrong *ppp.AuthError
		if errors.As(err, &wrong) && !req.Proved {
			a.locks.failed(a.Lockout, user, source, now)
			return nil, a.refuse(req, wrong)
		}
		return nil, err
	}
	a.locks.passed(user, source)
	return a.admit(ctx, req, acc, g, now)
}

// refuse lets MS-CHAPv2 try again, for everybody alike.
func (a *Accounts) refuse(req *ppp.AuthRequest, e *ppp.AuthError) error {
	r := *e
	r.Retry = req.Protocol == ppp.MSCHAPv2 && len(req.Change) == 0
	return &r
}

// check checks the secret; of slow ones only so many at once.
func (a *Accounts) check(ctx context.Context, req *ppp.AuthRequest, acc *Account) (*ppp.Grant, error) {
	if req.Proved {
		return new(ppp.Grant), nil
	}
	if !slow(acc.Secret) {
		return checkSecret(req, acc.Secret)
	}
	s := dummy(acc.Secret)
	a.slow.Store(&s)
	a.once.Do(a.start)
	select {
	case a.places <- struct{}{}:
		defer func() { <-a.places }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return checkSecret(req, acc.Secret)
}

func (a *Accounts) start() { a.places = make(chan struct{}, runtime.GOMAXPROCS(0)) }

// checkNobody does the work of a check for a user who does not exist.
func (a *Accounts) checkNobody(ctx context.Context, req *ppp.AuthRequest) *ppp.AuthError {
	secret := ClearSecret("no such user has this password")
	if s := a.slow.Load(); s != nil && req.Protocol == ppp.PAP {
		secret = *s
	}
	a.check(ctx, req, &Account{Secret: secret})
	return &ppp.AuthError{Code: ppp.CodeFailed, Err: ppp.ErrNoUser}
}

// admit decides about a user whose secret was right.
func (a *Accounts) admit(ctx context.Context, req *ppp.AuthRequest, acc *Account, g *ppp.Grant, now time.Time) (*ppp.Grant, error) {
	no := func(code int, why string) (*ppp.Grant, error) {
		return nil, &ppp.AuthError{Code: code, Err: errors.New("access: " + acc.User + ": " + why)}
	}
	switch {
	case acc.Disabled:
		return no(ppp.CodeDisabled, "the account is disabled")
	case !acc.Expires.IsZero() && !now.Before(acc.Expires):
		return no(ppp.CodeDisabled, "the account has expired")
	case acc.Hours != nil && !acc.Hours(now):
		return no(ppp.CodeRestrictedHours, "outside the account's hours")
	case acc.Dialin == Deny:
		return no(ppp.CodeNoDialin, "the account may not dial in")
	case len(acc.CallerID) > 0 && !contains(acc.CallerID, callerOf(req.Call)):
		return no(ppp.CodeNoDialin, fmt.Sprintf("may not call from %v", callerOf(req.Call)))
	}
	if len(req.Change) > 0 {
		if err := a.change(ctx, req, acc); err != nil {
			return nil, err
		}
	} else if !req.Proved && (acc.MustChange || !acc.PasswordExpires.IsZero() && !now.Before(acc.PasswordExpires)) {
		return no(ppp.CodeExpired, "the password has expired")
	}
	granted := acc.Grant
	granted.User, granted.Groups, granted.Value, granted.Callback = acc.User, acc.Groups, acc, acc.Callback
	granted.Proof, granted.SendKey, granted.RecvKey = g.Proof, g.SendKey, g.RecvKey
	return &granted, nil
}

// change stores a new password.
func (a *Accounts) change(ctx context.Context, req *ppp.AuthRequest, acc *Account) error {
	hash, err := oldHash(acc.Secret)
	if err != nil {
		return &ppp.AuthError{Code: ppp.CodeChanging, Err: err}
	}
	password, err := req.NewPassword(hash)
	if err != nil {
		return err
	}
	s, err := changed(acc.Secret, password)
	if err == nil {
		err = a.Store.SetSecret(ctx, acc.User, s)
	}
	if err != nil {
		return &ppp.AuthError{Code: ppp.CodeChanging, Err: fmt.Errorf("access: store the new password of %s: %w", acc.User, err)}
	}
	return nil
}

// callerOf is the outer address of a call.
func callerOf(c *ppp.Call) netip.Addr {
	if c == nil {
		return netip.Addr{}
	}
	return c.Remote.Addr().Unmap().WithZone("")
}

// sourceOf is who guesses: an IPv4 address, or an IPv6 /64, since a host has all of one.
func sourceOf(c *ppp.Call) netip.Prefix {
	a := callerOf(c)
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p
	}
	return netip.PrefixFrom(a, a.BitLen())
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
