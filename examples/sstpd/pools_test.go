package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
)

// poolsOf makes the pools of a command line.
func poolsOf(t *testing.T, args ...string) (*server, *logBuffer) {
	t.Helper()
	c, err := parse(append([]string{"-tun", "netstack"}, args...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	s := &server{config: c, log: cli.Logger(&log, false)}
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	if err := s.makePools(); err != nil {
		t.Fatal(err)
	}
	return s, &log
}

func given(t *testing.T, s *server, pool, user string) string {
	t.Helper()
	list, err := s.pools.all.Get(context.Background(), pool, user)
	if err != nil {
		t.Fatalf("%q, %q: %v", pool, user, err)
	}
	return strings.Trim(fmt.Sprint(list), "[]")
}

func TestPoolFlags(t *testing.T) {
	users := usersFile(t, "alice:secret\n")
	state := filepath.Join(t.TempDir(), "state")
	args := []string{"-users", users, "-pool", "10.8.0.0/29", "-pool-exclude", "10.8.0.2-10.8.0.3,10.9.0.0/31", "-pool-named", "staff=10.9.0.0/28",
		"-pool-named", "staff=10.9.1.7-10.9.1.8", "-pool-named", "guests=10.10.0.0/24", "-ipv6", "2001:db8::/56", "-delegate", "2001:db8:8::/48", "-pool-state", state, "-pool-rest", "1m"}
	s, _ := poolsOf(t, args...)
	for _, c := range []struct{ pool, user, want string }{
		{"", "alice", "10.8.0.4/32 2001:db8:0:1::/64 2001:db8:8::/56"},
		{"staff", "alice", "10.9.0.2/32 2001:db8:0:2::/64 2001:db8:8:100::/56"},
		{"guests", "bob", "10.10.0.1/32 2001:db8:0:3::/64 2001:db8:8:200::/56"},
	} {
		if got := given(t, s, c.pool, c.user); got != c.want {
			t.Errorf("%q, %q: %s, want %s", c.pool, c.user, got, c.want)
		}
	}
	if _, err := s.pools.all.Get(context.Background(), "bosses", "carol"); !errors.Is(err, ppp.ErrUnknownPool) {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"", ".staff", ".guests", "-ipv6"} {
		if _, err := os.Stat(state + name); err != nil {
			t.Error(err)
		}
	}
	again, _ := poolsOf(t, args...)
	if got := given(t, again, "guests", "carol"); strings.HasPrefix(got, "10.10.0.1/") {
		t.Errorf("carol gets what bob may still have: %s", got)
	}
	if got := given(t, again, "guests", "Bob"); !strings.HasPrefix(got, "10.10.0.1/") {
		t.Errorf("bob: %s", got)
	}
	again.tellPools()

	// What cannot work is told at the start.
	for _, bad := range [][]string{{"-pool-named", "x=10.0.0.0/30", "-pool-exclude", "10.0.0.0/24"}, {"-pool-state", t.TempDir()}} {
		c, err := parse(append([]string{"-users", users, "-tun", "netstack"}, bad...), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := (&server{config: c, log: cli.Logger(io.Discard, false)}).makePools(); err == nil {
			t.Errorf("%q: it works", bad)
		}
	}
	for _, bad := range [][]string{
		{"-pool-named", "10.0.0.0/24"},
		{"-pool-named", "../x=10.0.0.0/24"},
		{"-pool-named", "x=10.0.0.1/24"},
		{"-pool-named", "x=2001:db8::/64"},
		{"-pool-exclude", "10.0.0.9-10.0.0.1"},
		{"-pool-exclude", "::1"},
		{"-pool-rest", "-1s"},
		{"-pool-from-dhcp", "lo"}, // with netstack
		{"-neighbors", "lo"},
		{"-tun", "vpn0", "-pool-from-dhcp", "does-not-exist"},
		{"-tun", "vpn0", "-pool-from-dhcp", "lo", "-pool", "10.8.0.0/24"},
	} {
		if _, err := parse(append([]string{"-users", users, "-tun", "netstack"}, bad...), io.Discard); err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(bad[len(bad)-2], "x")) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// What an account has as its own is nobody else's, also after the accounts have been read again.
func TestAccountsKeepTheirAddresses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "accounts")
	write := func(addr string) {
		line := fmt.Sprintf(`{"user":"alice","secret":"clear:secret","dialin":"allow","addr":%q}`+"\n", addr)
		if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("10.8.0.2")
	s, log := poolsOf(t, "-accounts", file, "-pool", "10.8.0.0/29", "-ipv6", "2001:db8::/56", "-pool-named", "x=10.9.0.0/29")
	if got := given(t, s, "", "bob"); !strings.HasPrefix(got, "10.8.0.3/32 2001:db8:0:1::/64") {
		t.Errorf("bob: %s", got)
	}
	claimer := s.pools.all.(ppp.AddrClaimer)
	if list, err := claimer.Claim(context.Background(), "", "alice", netip.MustParseAddr("10.8.0.2")); err != nil || len(list) != 2 {
		t.Errorf("alice: %v, %v", list, err)
	}
	write("10.8.0.4")
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	if got := given(t, s, "", "carol"); !strings.HasPrefix(got, "10.8.0.5/32") {
		t.Errorf("carol: %s", got)
	}
	if log.String() != "" && strings.Contains(log.String(), "not kept") {
		t.Error(log)
	}
}
