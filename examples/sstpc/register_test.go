package main

import (
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	write := func(mode os.FileMode) {
		os.Remove(file)
		if err := os.WriteFile(file, []byte("hmac-sha512:ddns:MTIz"), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(0o640)
	always := "-server vpn.example.com -user alice -password x "
	c, err := parse(strings.Fields(always+"-register -hostname pc1 -tsig-file "+file), io.Discard)
	if err != nil || c.names.key.Name != "ddns" || c.names.host != "pc1" {
		t.Fatalf("%v", err)
	}
	c, err = parse(strings.Fields(always+"-register"), io.Discard)
	if name, _ := os.Hostname(); err != nil || !strings.HasPrefix(name, c.names.host) || c.names.host == "" {
		t.Errorf("%q %v", c.names.host, err)
	}
	write(0o644)
	for _, args := range []string{"-hostname pc1", "-take-name", "-register -tsig-file /no/such", "-register -tsig-file " + file, "-register -hostname a..b"} {
		if _, err := parse(strings.Fields(always+args), io.Discard); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}

func TestRoutesThatAreAccepted(t *testing.T) {
	server := netip.MustParseAddr("192.0.2.7")
	for p, want := range map[string]bool{"10.0.0.0/8": true, "0.0.0.0/0": false, "128.0.0.0/1": false, "192.0.0.0/16": false, "192.0.2.7/32": false, "192.0.2.8/32": true} {
		if acceptable(netip.MustParsePrefix(p), server) != want {
			t.Error(p)
		}
	}
}

func TestHostIDIsAHash(t *testing.T) {
	a, b := hostID("x"), hostID("y")
	if string(a) == string(b) || strings.Contains(string(a), "x") || len(a) != 32 {
		t.Errorf("%x %x", a, b)
	}
}
