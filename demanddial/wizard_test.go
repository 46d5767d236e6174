package demanddial

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dialway/dialway/tunnel"
)

func newYorkWizard() Wizard {
	return Wizard{
		Name: "DD_NewYork", Connection: "VPN", VPN: "automatic", To: []string{"157.60.234.17"},
		RoutePackets: true, AddUser: true, Routes: []Route{{Prefix: newYork, Metric: 1}},
		DialInPassword: "h8#dW@93z~[Fc6$Q", DialInPasswordAgain: "h8#dW@93z~[Fc6$Q",
		User: "DD_Seattle", Domain: "example.com", Password: "7%uQv45l?p!kWy9*", PasswordAgain: "7%uQv45l?p!kWy9*",
	}
}

func TestWizard(t *testing.T) {
	var got Credentials
	dial := func(c Credentials) func(context.Context, string) (tunnel.Link, error) {
		got = c
		return func(context.Context, string) (tunnel.Link, error) { return nil, errBusy }
	}
	w := newYorkWizard()
	i, a, err := w.Finish(dial)
	if err != nil {
		t.Fatal(err)
	}
	if got.User != `example.com\DD_Seattle` || got.Password != "7%uQv45l?p!kWy9*" {
		t.Errorf("dials with %q", got.User)
	}
	if i.Name != "DD_NewYork" || i.User != "DD_Seattle" || i.Dial == nil || i.Host || i.NoAnswer || len(i.Routes) != 1 || i.To[0] != "157.60.234.17" {
		t.Errorf("%+v", i)
	}
	if a.User != "DD_NewYork" || a.Password != "h8#dW@93z~[Fc6$Q" {
		t.Errorf("account %q", a.User)
	}
	if s := fmt.Sprintf("%v %+v", a, w); strings.Contains(s, "h8#") || strings.Contains(s, "7%uQ") {
		t.Errorf("tells secrets: %s", s)
	}
	never := Wizard{Name: "DD_NewYork", RoutePackets: true, AddUser: true, DialInPassword: "x", DialInPasswordAgain: "x", User: "anybody"}
	if i, a, err := never.Finish(nil); err != nil || i.Dial != nil || a == nil {
		t.Errorf("a router that never calls: %v", err)
	}
	only := newYorkWizard()
	only.AddUser, only.DialInPassword, only.DialInPasswordAgain = false, "", ""
	if i, a, err := only.Finish(dial); err != nil || !i.NoAnswer || a != nil {
		t.Errorf("a router that is never called: %v", err)
	}
}

func TestWizardTellsEverything(t *testing.T) {
	dial := func(Credentials) func(context.Context, string) (tunnel.Link, error) {
		return func(context.Context, string) (tunnel.Link, error) { return nil, errBusy }
	}
	for name, c := range map[string]struct {
		change func(w *Wizard)
		want   []string
	}{
		"nothing": {func(w *Wizard) { *w = Wizard{} }, []string{"Name", "To"}},
		"everything": {func(w *Wizard) {
			*w = Wizard{
				Name: `A\B`, Connection: "modem", VPN: "PPTP", To: []string{" "}, Routes: []Route{{}}, DialInPassword: "x", Domain: "d",
				User: `d\u`, PasswordAgain: "y",
			}
		}, []string{"Name", "Connection", "VPN", "To", "Routes", "DialInPassword", "User", "Password"}},
		"passwords": {func(w *Wizard) { w.PasswordAgain, w.DialInPasswordAgain = "x", "x" }, []string{"DialInPasswordAgain", "PasswordAgain"}},
		"no passwords": {func(w *Wizard) {
			w.Password, w.PasswordAgain, w.DialInPassword, w.DialInPasswordAgain, w.User = "", "", "", "", ""
		}, []string{"DialInPassword", "User", "Password"}},
		"routes": {func(w *Wizard) { w.Routes = append(w.Routes, w.Routes[0]) }, []string{"Routes"}},
	} {
		w := newYorkWizard()
		c.change(&w)
		i, a, err := w.Finish(dial)
		var got []string
		for _, p := range Problems(err) {
			if !slices.Contains(got, p.Field) {
				got = append(got, p.Field)
			}
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if i != nil || a != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v: %v", name, got, c.want, err)
		}
	}
	w := newYorkWizard()
	if _, _, err := w.Finish(nil); err == nil {
		t.Error("calls with nothing to dial with")
	}
}
