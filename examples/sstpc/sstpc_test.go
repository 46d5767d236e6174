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

func TestAuth(t *testing.T) {
	for flags, want := range map[string]string{
		"-user alice -password x -auth mschapv2":                    "",
		"-user alice -password x -auth eap-mschapv2":                "",
		"-user alice -auth eap-mschapv2":                            "-password-file",
		"-user alice -password x -auth ntlm":                        "ntlm",
		"-auth eap-tls -eap-server radius.example.com":              "-client-cert",
		"-auth eap-tls -client-cert a -client-key b -eap-ca c":      "-eap-server",
		"-user alice -password x -auth peap -eap-server radius.com": "-eap-ca",
		"-user alice -password x -auth pap -peap-no-binding":        "-peap-no-binding",
	} {
		c, err := parse(append(strings.Fields(flags), "-server", "vpn.example.com"), io.Discard)
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", flags, err, want)
		case err == nil && (c.dialer.PPP.EAP != nil) != strings.Contains(flags, "eap"):
			t.Errorf("%s: EAP is not as it should be", flags)
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
