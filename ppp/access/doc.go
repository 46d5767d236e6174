// Package access has accounts and policies: a ppp.Authenticator without RADIUS, and what a RADIUS server asks.
//
// [Accounts] checks a user's secret and dial-in properties: enabled, expiry, hours, permission, where the call comes
// from; it locks out who guesses. [Policies] comes behind it and decides by an ordered list, as a network policy server
// does: the first policy whose conditions hold decides, and none refuses. A [Store] keeps the accounts: [Memory], a
// [File], or one's own.
//
//	store, err := access.OpenFile("/etc/vpn/accounts")
//	...
//	srv := &sstp.Server{PPP: &ppp.Config{Authenticator: &access.Policies{
//		List: []access.Policy{{Name: "staff", Groups: []string{"staff"}}},
//		Next: &access.Accounts{Store: store},
//	}}, ...}
package access
