package access

import (
	"context"
	"net/netip"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A Store finds accounts. Names are compared without regard to ASCII case.
type Store interface {
	// Account returns a user's account, which is not modified afterwards; nil, nil: there is none.
	Account(ctx context.Context, user string) (*Account, error)

	// SetSecret changes a secret, after a change of password. It also ends MustChange and moves PasswordExpires out of
	// the way.
	SetSecret(ctx context.Context, user string, s ppp.Secret) error
}

// An Account is a user and what a dial-in may do.
type Account struct {
	User            string
	Secret          ppp.Secret // see Secret's makers: NTSecret, ClearSecret, HashSecret
	Groups          []string
	Disabled        bool
	Expires         time.Time // of the account; zero: never
	PasswordExpires time.Time // a change is asked for from then on; zero: never
	MustChange      bool      // a change is asked for now
	Hours           func(time.Time) bool
	HoursText       string // what Hours was read from; a File keeps it
	Dialin          Permission
	CallerID        []netip.Prefix // outer sources allowed; nil means any
	Callback        string         // the number to call back at: not over a VPN, so a server refuses; RADIUS tells the access server
	Grant           ppp.Grant      // address, routes, limits; User, Groups and keys are set by Accounts
}

// A Permission is an account's dial-in setting.
type Permission uint8

const (
	ByPolicy Permission = iota // Policies decide; without them it may
	Allow                      // a Policy that denies does not; its conditions and constraints still count
	Deny                       // never, whatever a Policy says
)

// String returns the name.
func (p Permission) String() string {
	switch p {
	case ByPolicy:
		return "policy"
	case Allow:
		return "allow"
	case Deny:
		return "deny"
	}
	return "unknown"
}

// clone copies what a caller might modify.
func (a *Account) clone() *Account {
	c := *a
	c.Groups = append([]string(nil), a.Groups...)
	c.CallerID = append([]netip.Prefix(nil), a.CallerID...)
	return &c
}
