package main

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/dialway/dialway/examples/internal/cli"
)

func TestConfig(t *testing.T) {
	c, err := parse(strings.Fields("-server vpn.example.com:8443 -user alice -password x -tun vpn7 -route 10.0.0.0/8 -route 192.0.2.0/24,2001:db8::/32 -reconnect"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.client.Server != "vpn.example.com:8443" || c.tun != "vpn7" || c.routes.String() != "10.0.0.0/8,192.0.2.0/24,2001:db8::/32" || !c.again || c.defaultRoute {
		t.Errorf("%+v", c)
	}
	_, err = parse(strings.Fields("-tun a-name-that-is-too-long -route 0.0.0.0/0"), io.Discard)
	var usage cli.UsageError
	if !errors.As(err, &usage) {
		t.Fatal(err)
	}
	for _, want := range []string{"-server", "-user", "-password", "-tun", "-default-route"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not tell %s", err, want)
		}
	}
}

func TestTwoHalvesAreEverything(t *testing.T) {
	for _, a := range []string{"10.0.0.1", "2001:db8::1"} {
		h := halves(netip.MustParseAddr(a))
		if len(h) != 2 || h[0].Bits() != 1 || h[1].Bits() != 1 || h[0].Overlaps(h[1]) {
			t.Errorf("%v", h)
		}
	}
}
