package demanddial_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/dialway/dialway/demanddial"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel"
)

var (
	_ tunnel.Link     = (*demanddial.Interface)(nil)
	_ tunnel.Receiver = (*demanddial.Interface)(nil)
)

// TestEveryKnobIsAField walks what Routing and Remote Access can set of an interface ([MS-RRASM] sections 2.2.1.2.81 to 83,
// 2.2.3, the phonebook of its samples, and Add-VpnS2SInterface) and names the field that is it.
func TestEveryKnobIsAField(t *testing.T) {
	types := map[string]reflect.Type{
		"Interface": reflect.TypeFor[demanddial.Interface](), "Route": reflect.TypeFor[demanddial.Route](), "Set": reflect.TypeFor[demanddial.Set](),
		"Config": reflect.TypeFor[ppp.Config](), "Dialer": reflect.TypeFor[sstp.Dialer](), "Grant": reflect.TypeFor[ppp.Grant](), "Filter": reflect.TypeFor[tunnel.Filter](),
	}
	for knob, fields := range map[string]string{
		"interface type: one-way or two-way":         "Interface.NoAnswer Interface.Dial",
		"connection type: demand-dial or persistent": "Interface.Persistent",
		"idle disconnect of the caller":              "Interface.IdleTimeout",
		"idle disconnect of the answerer":            "Interface.AnsweredIdle Grant.IdleTimeout",
		"redial attempts":                            "Interface.Attempts",
		"redial interval":                            "Interface.Backoff",
		"redial on link failure":                     "Interface.RedialLost",
		"network outage time":                        "Config.Echo Dialer.Hello",
		"dial-out hours":                             "Interface.Hours Interface.HoursCut",
		"demand-dial filters":                        "Interface.Demand Filter.Rules Filter.Except",
		"packet filters in and out":                  "Interface.In Interface.Out",
		"static routes that dial, with metric":       "Interface.Routes Route.Prefix Route.Metric",
		"routes after connecting, which do not dial": "Route.Connected",
		"list of destinations":                       "Interface.To",
		"promotion of the destination that worked":   "Interface.KeepOrder",
		"address assigned or specific":               "Config.Addr Config.Pool Grant.AskAddr",
		"name servers assigned or specific":          "Interface.NameServers",
		"remote default gateway":                     "Route.Connected",
		"LCP extensions":                             "Config.Identification",
		"restrictions of authentication":             "Config.Auth Config.EAP",
		"encryption: required always, it is TLS":     "Dialer.TLSConfig",
		"credentials":                                "Config.User Config.Password",
		"authenticate the server":                    "Config.Authenticator Dialer.Pins",
		"IPv4, IPv6":                                 "Config.NoIPv4 Config.NoIPv6",
		"DNS registration, NetBIOS: what Up starts":  "Interface.Up",
		"administrative status":                      "Interface.Disabled",
		"source address":                             "Dialer.NetDial",
		"rates":                                      "Grant.RateIn Grant.RateOut",
		"lock-out while unreachable, least and most": "Interface.LockOut",
		"ports":                        "Set.Ports",
		"remote access, demand-dial":   "Set.NoRemoteAccess Set.NoDemandDial",
		"static routes of the account": "Grant.Prefixes",
	} {
		for field := range strings.FieldsSeq(fields) {
			typ, name, _ := strings.Cut(field, ".")
			if _, ok := types[typ].FieldByName(name); !ok {
				t.Errorf("%s: there is no %s", knob, field)
			}
		}
	}
}
