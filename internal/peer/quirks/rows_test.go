package quirks

import (
	"slices"
	"testing"
	"testing/synctest"
)

// A row is one quirk of one peer.
type row struct {
	peer, quirk string
	source      string
	script      func(t *testing.T)
	not         string // why there is no script
}

// windowsRows and the others are one table in pieces.
var windowsRows = []row{
	{"Windows client", "takes HTTP/1.1 200 only, offers ALPN", "RasSstp events 3 and 4", windowsHTTP, ""},
	{"Windows client", "opening of Windows 10", "VyOS documentation, trace of 2024", windowsSession, ""},
	{"Windows client", "Identification three times", "VyOS trace; [MS-RNAS]", windowsIdentifies, ""},
	{"Windows client", "callback, MRRU, endpoint discriminator", "sorz/sstp-server issue 5", windowsMultilink, ""},
	{"Windows client", "sends CCP", "SoftEtherVPN issue 1169", windowsCCP, ""},
	{"Windows client", "PAP with a HLAK of zeros", "[MS-SSTP] section 3.2.5.2.2", windowsPAP, ""},
	{"Windows client", "may bind EAP with zeros", "sorz/sstp-server pull request 43", windowsZeroKeys, ""},
	{"Windows client", "DOMAIN\\user", "RFC 2759 section 4", windowsDomain, ""},
	{"Windows client", "may compress the frame's header", "sorz/sstp-server issue 5", windowsCompressed, ""},
	{"Windows client", "TLS 1.2 with RSA up to Windows 10 1909", "SoftEtherVPN issues 1496, 1926", windowsTLS12, ""},
	{"Windows client", "empty Configure-Request", "SoftEtherVPN issue 1102", windowsEmpty, ""},
	{"Windows 7 and 8 client", "TLS 1.0 only", "SoftEtherVPN issue 1423", windows7, ""},
	{"Windows 10 and later client", "new profiles know EAP only", "SoftEtherVPN issue 1253", windowsEAP, ""},
	{"Windows client", "checks revocation and validity of the certificate", "KB 947031", nil, "the client's side of TLS: an operator publishes a CRL and renews"},
	{"Windows client", "no authenticated proxies", "RasSstp event 23", nil, "between the client and its proxy"},
	{"Windows 11 client", "EAP-TLS over TLS 1.3 inside", "ppp-project/ppp issue 625", nil, "EAP-TLS with TLS 1.3: TestFreeRADIUS and TestRADIUSServerEAP of internal/interop"},

	{"Windows RRAS server", "200 with an empty reason", "nmap's sstp-discover", rrasReason, ""},
	{"Windows RRAS server", "EAP first, callback, MRRU", "axot/isstp issue 5", rrasLCP, ""},
	{"Windows RRAS server", "Call Connected at once", "sstp-client, sstp-plugin.c", rrasBinds, ""},
	{"Windows RRAS server", "needs the hash of its own certificate", "KB 947031", rrasHash, ""},
	{"Windows RRAS server", "drops data until PPP is through", "[MS-SSTP] note 17", rrasEarly, ""},
}

var softEtherRows = []row{
	{"SoftEther server", "does not answer Echo Request", "Proto_SSTP.c", softEtherEcho, ""},
	{"SoftEther server", "waits for the client's first PPP frame", "Proto_SSTP.c", softEtherSilent, ""},
	{"SoftEther server", "cuts after 20 s", "Proto_SSTP.c", softEtherIdle, ""},
	{"SoftEther server", "offers SHA-256 only", "Proto_SSTP.c", softEtherSHA256, ""},
	{"SoftEther server", "Disconnect without attributes", "Proto_SSTP.c", softEtherBare, ""},
	{"SoftEther server", "Abort without attributes", "Proto_SSTP.c", softEtherAbort, ""},
	{"SoftEther server", "rejects all LCP options but two", "Proto_PPP.c", softEtherLCP, ""},
	{"SoftEther server", "knows no CCP", "Proto_PPP.c", softEtherCCP, ""},
	{"SoftEther server", "ends LCP at random", "SoftEtherVPN issue 1144", softEtherTerminates, ""},
	{"SoftEther server", "MS-CHAPv2 over RADIUS fails", "SoftEtherVPN issue 2073", softEtherPAP, ""},
	{"SoftEther server", "may ask for nothing", "SoftEtherVPN issue 1102", softEtherEmpty, ""},
	{"VPN Azure", "needs SNI", "Open-SSTP-Client issue 33", azureSNI, ""},
}

var routerOSRows = []row{
	{"MikroTik server", "PAP Ack with trailing text", "Open-SSTP-Client issue 134", routerOSAck, ""},
	{"MikroTik server", "old TLS", "Open-SSTP-Client issue 124", routerOSOldTLS, ""},
	{"MikroTik server", "lost after 60 to 90 s without answers", "reliablehosting/sstp-client issue 9", routerOSEcho, ""},
	{"MikroTik server", "closes without TLS's goodbye", "reliablehosting/sstp-client issue 9", routerOSCut, ""},
	{"MikroTik server", "asks for IPV6CP unasked", "reliablehosting/sstp-client issue 9", routerOSIPv6, ""},
	{"MikroTik server", "HTTP of its own", "nmap's sstp-discover", routerOSServerHTTP, ""},
	{"MikroTik server", "TLS without any certificate", "RouterOS documentation, SSTP", nil, "anonymous suites are not in crypto/tls, and there would be nothing to bind to"},
	{"MikroTik client", "CBC suites, no SNI, SHA-1", "ogital-net/sstp-server", routerOSClient, ""},
	{"MikroTik client", "invents the server's address", "ogital-net/sstp-server", routerOSAddress, ""},
	{"MikroTik client", "VJ compression", "reliablehosting/sstp-client issue 9", routerOSRejectsVJ, ""},
	{"MikroTik client", "needs MPPE keys from RADIUS", "Flexinets.Radius.Core issue 21", nil, "the keys that come by RADIUS: TestFreeRADIUS of internal/interop"},
}

var accelRows = []row{
	{"accel-ppp server", "reads reserved bits", "sstp.c", accelReserved, ""},
	{"accel-ppp server", "Nak with two stray bytes", "sstp.c", accelNak, ""},
	{"accel-ppp server", "404, 301 or nothing", "accel-ppp issue 124", accelHTTP, ""},
	{"accel-ppp server", "drops after 60 s of silence", "Open-SSTP-Client issue 9", accelIdle, ""},
	{"accel-ppp server", "Nak of the MRU", "VyOS documentation, trace of 2024", accelMRU, ""},
	{"accel-ppp server", "frames as the kernel likes", "sstp.c, ppp_read", accelCompressed, ""},
	{"accel-ppp server", "needs SNI when it has a name", "sstp.c, ssl_servername", azureSNI, ""},
	{"accel-ppp server", "wrong MAC without keys from RADIUS", "accel-ppp issues 91, 100", nil, "the keys that come by RADIUS: TestFreeRADIUS of internal/interop"},
}

var otherRows = []row{
	{"sstp-client", "HTTP whole at a line feed, seven lines, odd correlation id", "sstp-http.c, sstp-util.c", sstpcHTTP, ""},
	{"sstp-client", "pppd's LCP options", "pppd(8)", sstpcLCP, ""},
	{"sstp-client", "Call Connected before the result", "accel-ppp commit 7dd9766a", sstpcEarly, ""},
	{"sstp-client", "Call Connected after the first IPCP frame", "sstp-client.c", sstpcLate, ""},
	{"sstp-client", "reads the first attribute, from 14 bytes on", "sstp-packet.c", sstpcStatus, ""},
	{"sstp-client", "does not ask again after a Nak", "sstp-state.c", sstpcNak, ""},
	{"sstp-client", "pppd repeats PAP", "RFC 1334 section 2.2.1", sstpcRepeats, ""},

	{"sorz/sstp-server", "throws away what follows the request", "sstp.py, http_data_received", sorzWaits, ""},
	{"sorz/sstp-server", "malformed attributes at the end", "packets.py", sorzEnds, ""},
	{"sorz/sstp-server", "binds nothing without its plugin", "sstp.py, should_verify_crypto_binding", sorzKeyless, ""},
	{"sorz/sstp-server", "broken echo answers in old versions", "commit 0a9d3c2", nil, "as SoftEther's: whatever comes counts as life"},

	{"Open-SSTP-Client", "strict about bytes, lengths and LCP codes; echoes of both kinds", "unit/ppp/Frame.kt, LCPFrame.kt; issues 15, 107", openStrict, ""},
	{"Open-SSTP-Client", "Nak of an MRU below 1500", "LCPClient.kt", openMRU, ""},
	{"Open-SSTP-Client", "several packets a record", "OutgoingManager.kt", openBatches, ""},

	{"edgetunnel", "R bits, all in one write, no Call Connected", "_worker.js", edgeTunnel, ""},
	{"any", "R bits under the MAC", "[MS-SSTP] section 3.2.5.2.3", reservedBits, ""},
	{"any", "Disconnects that cross", "[MS-SSTP] section 3.1.2.2", crossedDisconnects, ""},
	{"any", "Abort that crosses a Disconnect", "[MS-SSTP] section 3.1.2.1", crossedAbort, ""},
	{"any", "firewalls that forget after a minute", "Open-SSTP-Client issue 9", silentNAT, ""},
	{"any TLS front", "refuses a Content-Length of 2^64-1", "sorz/sstp-server issue 14", nil, "a front must pass TLS through, or bytes with a PROXY header"},
}

// TestQuirks runs every script.
func TestQuirks(t *testing.T) {
	for _, r := range all() {
		t.Run(r.peer+"/"+r.quirk, func(t *testing.T) {
			if r.script == nil {
				t.Skip(r.not)
			}
			synctest.Test(t, r.script)
		})
	}
}

func all() []row {
	return slices.Concat(windowsRows, softEtherRows, routerOSRows, accelRows, otherRows)
}

// TestEveryRowHasAScript: a quirk that is known and played by nobody would be forgotten.
func TestEveryRowHasAScript(t *testing.T) {
	seen, scripts := map[string]bool{}, map[string]int{}
	for _, r := range all() {
		name := r.peer + ": " + r.quirk
		switch {
		case seen[name]:
			t.Errorf("%s stands there twice", name)
		case r.source == "":
			t.Errorf("%s has no source", name)
		case r.script == nil && r.not == "":
			t.Errorf("%s has no script, and does not say why", name)
		case r.script != nil && r.not != "":
			t.Errorf("%s has a script, and a reason why not", name)
		}
		seen[name] = true
		if r.script != nil {
			scripts[r.peer]++
		}
	}
	for _, peer := range []string{"Windows client", "Windows RRAS server", "MikroTik client", "MikroTik server", "SoftEther server",
		"accel-ppp server", "sstp-client", "sorz/sstp-server", "Open-SSTP-Client", "edgetunnel"} {
		if scripts[peer] == 0 {
			t.Errorf("nobody plays %s", peer)
		}
	}
}
