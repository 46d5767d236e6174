package demanddial_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
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

// A knob is what can be set, the fields that are it, and the tests that fail if they do nothing.
type knob struct{ name, fields, tests string }

// knobs are what Routing and Remote Access can set of a demand-dial interface, line by line: [MS-RRASM] sections 2.2.1.1.1,
// 2.2.1.2.82 and 83, 2.2.2.2.26 to 117, 2.2.3, 3.1.4.13, the phonebook of its samples, and Add-VpnS2SInterface. What is not
// among them: multilink and callback, which want telephone lines, and the choice between PPTP, L2TP, IKEv2 and SSTP.
var knobs = []knob{
	{"interface type: one-way or two-way", "Interface.NoAnswer Interface.Dial", "TestACallOfWhatOnlyCallsIsRefused TestConnectOfWhatOnlyAnswers TestAnAnsweredCallIsTheInterface"},
	{"connection type: on demand or persistent", "Interface.Persistent", "TestFirstPacketDialsAndIsDelivered TestPersistentDialsAtOnceAndAgain"},
	{"idle disconnect of the caller: 5 minutes, never, other", "Interface.IdleTimeout", "TestIdleHangsUpAndTheNextPacketDials TestIdleTimeOutNegativeIsNever TestOnlyDemandCountsAsUse"},
	{"idle disconnect of the answerer", "Interface.AnsweredIdle Grant.IdleTimeout", "TestAnsweredIdle TestIdleTimeout"},
	{"redial attempts: a number, or for ever", "Interface.Attempts", "TestAttemptsAreCounted"},
	{"redial interval", "Interface.Backoff", "TestAttemptsAreCounted TestPersistentBackoffHasJitterAndNoLockOut"},
	{"redial on link failure", "Interface.RedialLost", "TestLostLinkIsRedialledIfAsked TestALinkThatBrokeIsLostAndOneThatWasHungUpIsNot"},
	{"network outage time", "Interface.DeadPeer Config.Echo Dialer.Hello", "TestDeadPeerIsTheLinks TestSetSilence TestLostPeer TestHello"},
	{"dial-out hours", "Interface.Hours", "TestOutOfHoursIsUnreachableFromEdgeToEdge TestHoursFollowTheZonesClock TestContains"},
	{"the end of the hours cuts a call, or not", "Interface.HoursCut", "TestHoursCutEndsWhatWasDialledAndNothingElse"},
	{"demand-dial filters, only these or all but these", "Interface.Demand Filter.Rules Filter.Except", "TestOnlyDemandCountsAsUse TestRulesMatchByHeader"},
	{"packet filters in and out", "Interface.In Interface.Out", "TestFiltersTakePacketsOutOfBatches"},
	{"filter records: source, destination, protocol, ports, ICMP type and code", "Rule.Src Rule.Dst Rule.Proto Rule.SrcPort Rule.DstPort", "TestRulesMatchByHeader"},
	{"static routes that dial, with metric", "Interface.Routes Route.Prefix Route.Metric", "TestSetRoutesPacketsOfTheHost TestAlternateByMetricTakesOverWhileUnreachable"},
	{"routes after connecting, which do not dial", "Route.Connected", "TestAnAnsweredCallIsTheInterface"},
	{"alternates: a list of destinations", "Interface.To", "TestDestinationsAreTriedInOrderAndTheOneThatWorkedIsFirst"},
	{"promotion of the alternate that worked", "Interface.KeepOrder", "TestDestinationsAreTriedInOrderAndTheOneThatWorkedIsFirst"},
	{"address: assigned by the far side", "Grant.AskAddr Config.Pool", "TestServerAsksARouterForItsAddress TestTwoOfficesOverSSTP"},
	{"address: specific", "Config.Addr", "TestIPCPFixedAddress"},
	{"name servers: assigned or specific", "Interface.NameServers", "TestNameServersInThePlaceOfTheLinks"},
	{"remote default gateway, while connected", "Route.Connected", "TestDefaultRouteWhileConnected"},
	{"LCP extensions of RFC 1570", "Config.Identification", "TestIdentificationAndTimeRemaining"},
	{"restrictions of authentication", "Config.Auth Config.EAP", "TestAuthenticationThatIsNotSpoken TestClientRefusesWeakAuth"},
	{"encryption: required always, it is TLS", "Dialer.TLSConfig", "TestUnverifiedServerGetsNoPassword"},
	{"VPN type: automatic is SSTP", "Wizard.VPN Wizard.Connection", "TestWizardTellsEverything"},
	{"credentials: user, domain, password", "Wizard.User Wizard.Domain Wizard.Password Config.User Config.Password", "TestWizard TestTwoOfficesOverSSTP"},
	{"authenticate the server", "Config.Authenticator Dialer.Pins", "TestConnBothDirections TestPins"},
	{"protocols: IPv4, IPv6", "Config.NoIPv4 Config.NoIPv6", "TestOneNetworkProtocolIsEnough TestIPV6CP TestFamiliesAreThoseOfTheRoutes"},
	{"registration in DNS, NetBIOS: what Up starts, and a router starts none", "Interface.Up", "TestUpRunsBeforePacketsFlow TestTwoOfficesOverSSTP"},
	{"administrative status", "Interface.Disabled", "TestEnable"},
	{"source address", "Dialer.NetDial", "TestSourceIsDialledFrom"},
	{"rates", "Grant.RateIn Grant.RateOut", "TestRates"},
	{"lock-out while unreachable, least and most", "Interface.LockOut", "TestLockOutGrowsByTenMinutesUpToSixHours TestFailedDialIsTriedAgainAndThenLocksOut"},
	{"packets that wait: bytes and age", "Interface.Hold Interface.HoldFor", "TestHeldPacketsAreBoundedInBytesAndAge"},
	{"time of an attempt", "Interface.Timeout", "TestOneCallOfDialHasATime"},
	{"ports", "Set.Ports", "TestPortsAreShared TestRedialWaitsForThePort"},
	{"remote access and demand-dial, each on or off", "Set.NoRemoteAccess Set.NoDemandDial", "TestAKindThatIsOffIsRefused TestSwitchedOffNothingIsDialled"},
	{"pause of the service", "", "TestPauseLeavesCallsAlone"},
	{"static routes of the account", "Grant.Prefixes", "TestAnAnsweredCallIsTheInterface TestLiveSession"},
	{"domains whose users may be the router", "Set.Domains Interface.Domains", "TestANameOfAnotherDomainIsNoRouter TestOnlyTheNameOfAnInterfaceIsARouter"},
}

func TestEveryKnobIsAFieldAndHasATest(t *testing.T) {
	types := map[string]reflect.Type{
		"Interface": reflect.TypeFor[demanddial.Interface](), "Route": reflect.TypeFor[demanddial.Route](), "Set": reflect.TypeFor[demanddial.Set](), "Wizard": reflect.TypeFor[demanddial.Wizard](),
		"Config": reflect.TypeFor[ppp.Config](), "Dialer": reflect.TypeFor[sstp.Dialer](), "Grant": reflect.TypeFor[ppp.Grant](), "Filter": reflect.TypeFor[tunnel.Filter](), "Rule": reflect.TypeFor[tunnel.Rule](),
	}
	tests := allTests(t)
	used := map[string]bool{}
	for _, k := range knobs {
		for field := range strings.FieldsSeq(k.fields) {
			typ, name, _ := strings.Cut(field, ".")
			if _, ok := types[typ].FieldByName(name); !ok {
				t.Errorf("%s: there is no %s", k.name, field)
			}
			used[field] = true
		}
		if k.tests == "" {
			t.Errorf("%s has no test", k.name)
		}
		for name := range strings.FieldsSeq(k.tests) {
			if !tests[name] {
				t.Errorf("%s: there is no %s", k.name, name)
			}
		}
	}
	// And no field of an Interface is a knob that nobody has tested.
	known := strings.Fields("Name User Table Reject MaxMTU Host Exclude Lookup Logger") // what only a program sets
	for f := range types["Interface"].Fields() {
		if f.IsExported() && !used["Interface."+f.Name] && !slices.Contains(known, f.Name) {
			t.Errorf("Interface.%s is no knob of the table", f.Name)
		}
	}
}

// allTests returns the tests of the repository.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(b, -1) {
			tests[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
