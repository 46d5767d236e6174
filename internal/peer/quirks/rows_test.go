package quirks

import (
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
	{"Windows client", "DOMAIN\\user", "RFC 2759 section 4", windowsDomain, ""},
	{"Windows client", "may compress the frame's header", "sorz/sstp-server issue 5", windowsCompressed, ""},
	{"Windows client", "TLS 1.2 with RSA up to Windows 10 1909", "SoftEtherVPN issues 1496, 1926", windowsTLS12, ""},
	{"Windows client", "empty Configure-Request", "SoftEtherVPN issue 1102", windowsEmpty, ""},
	{"Windows 7 and 8 client", "TLS 1.0 only", "SoftEtherVPN issue 1423", windows7, ""},
	{"Windows 10 and later client", "new profiles know EAP only", "SoftEtherVPN issue 1253", windowsEAP, ""},
	{"Windows client", "checks revocation and validity of the certificate", "KB 947031", nil, "the client's side of TLS: an operator publishes a CRL and renews"},
	{"Windows client", "no authenticated proxies", "RasSstp event 23", nil, "between the client and its proxy"},
	{"Windows 11 client", "EAP-TLS over TLS 1.3 inside", "ppp-project/ppp issue 625", nil, "EAP methods come later"},

	{"Windows RRAS server", "200 with an empty reason", "nmap's sstp-discover", rrasReason, ""},
	{"Windows RRAS server", "EAP first, callback, MRRU", "axot/isstp issue 5", rrasLCP, ""},
	{"Windows RRAS server", "Call Connected at once", "sstp-client, sstp-plugin.c", rrasBinds, ""},
	{"Windows RRAS server", "needs the hash of its own certificate", "KB 947031", rrasHash, ""},
	{"Windows RRAS server", "drops data until PPP is through", "[MS-SSTP] note 17", rrasEarly, ""},
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

func all() []row { return windowsRows }
