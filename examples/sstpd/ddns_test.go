package main

import (
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDDNSFlags(t *testing.T) {
	dir := t.TempDir()
	users, key := filepath.Join(dir, "users"), filepath.Join(dir, "key")
	for file, text := range map[string]string{users: "alice:secret\n", key: "ddns:MTIz"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	try := func(args string) (*config, error) {
		return parse(strings.Fields("-users "+users+" "+args), io.Discard)
	}
	c, err := try("-ddns vpn.test@192.0.2.53 -tsig-file " + key + " -wins 192.0.2.9")
	if err != nil || c.ddns.registrar.Server != netip.MustParseAddrPort("192.0.2.53:53") || c.ddns.registrar.Domain != "vpn.test" || c.ddns.registrar.Signer == nil {
		t.Errorf("%+v %v", c, err)
	}
	if c, err := try("-ddns vpn.test@[fd00::53]:5353"); err != nil || c.ddns.registrar.Signer != nil || c.ddns.registrar.Server.Port() != 5353 {
		t.Errorf("%+v %v", c, err)
	}
	if c, err := try(""); err != nil || newDDNS(&c.ddns, nil) != nil {
		t.Errorf("%v", err)
	}
	for _, args := range []string{"-ddns vpn.test", "-ddns @192.0.2.53", "-ddns vpn.test@ns", "-tsig-file " + key, "-ddns-users", "-wins ::1", "-wins 1.1.1.1,1.1.1.2,1.1.1.3",
		"-ddns vpn.test@192.0.2.53 -tsig-file /no/such"} {
		if _, err := try(args); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}

func TestHostOfUser(t *testing.T) {
	for user, want := range map[string]string{"alice": "alice", `CORP\Alice.B`: "alice-b", "bob@example.com": "bob", "": ""} {
		if got := hostOf(user); got != want {
			t.Errorf("%s: %s", user, got)
		}
	}
}
