package ppp_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/dialway/dialway/ppp"
)

// Accounts in a map are an Authenticator.
func ExamplePasswordFunc() {
	accounts := map[string]ppp.Secret{"alice": "correct horse battery staple"}
	var who ppp.PasswordFunc = func(ctx context.Context, user string) (ppp.Secret, error) {
		password, ok := accounts[user]
		if !ok {
			return "", ppp.ErrNoUser
		}
		return password, nil
	}
	for _, password := range []ppp.Secret{"guess", "correct horse battery staple"} {
		_, err := who.Authenticate(context.Background(), &ppp.AuthRequest{Protocol: ppp.PAP, User: "alice", Password: password})
		fmt.Println(err)
	}
	// Output:
	// ppp: authentication refused (691 authentication failure): wrong password
	// <nil>
}

// An Authenticator that finds an NT hash, and says what the session gets.
func ExampleAuthRequest_CheckNTHash() {
	type account struct {
		hash [16]byte
		addr netip.Addr
	}
	var find func(ctx context.Context, name string) (account, error) // a database
	_ = ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
		a, err := find(ctx, req.User)
		if err != nil {
			return nil, err // the far side hears 691, the log what it is
		}
		g, err := req.CheckNTHash(a.hash)
		if err != nil {
			return nil, err
		}
		g.Addr, g.MaxSessions, g.Replace = a.addr, 1, true
		return g, nil
	})
}

// The same user has the same address again.
func ExamplePool() {
	pool := &ppp.Pool{
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/29")},
		Exclude:  []netip.Prefix{netip.MustParsePrefix("10.8.0.1/32")}, // the server's own
	}
	ctx := context.Background()
	alice, _ := pool.Get(ctx, "", "alice")
	bob, _ := pool.Get(ctx, "", "bob")
	fmt.Println(alice, bob, pool.Free())
	pool.Put(bob)
	pool.Put(alice)
	alice, _ = pool.Get(ctx, "", "alice")
	fmt.Println(alice)
	for range 4 {
		pool.Get(ctx, "", "")
	}
	_, err := pool.Get(ctx, "", "carol")
	fmt.Println(errors.Is(err, ppp.ErrPoolExhausted))
	// Output:
	// [10.8.0.2/32] [10.8.0.3/32] 3
	// [10.8.0.2/32]
	// true
}

// An administrator ends every session of a user.
func ExampleSessions() {
	sessions := new(ppp.Sessions) // also Config.Sessions
	for c := range sessions.User("alice") {
		c.Terminate(ppp.AdminReset, "by the administrator")
	}
	fmt.Println(sessions.Len())
	// Output: 0
}
