package radius

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/dialway/dialway/ppp"
)

// Numbers of RFC 2865, 2868 and [MS-RNAS].
const (
	serviceFramed   = 2
	serviceCallback = 4
	protocolPPP     = 1
	portVirtual     = 5
	tunnelL2TP      = 3
	tunnelSSTP      = 0x013701 // [MS-RNAS] 2.2.2.1
	nasRemoteAccess = 2        // MS-Network-Access-Server-Type: a remote access server
)

// addNAS adds who asks. Call may be nil.
func (c *Client) addNAS(p *Packet, call *ppp.Call) {
	name, addr := c.NAS, c.NASAddr
	if call != nil {
		name = cmp.Or(call.NAS, name)
		if !addr.IsValid() {
			addr = call.Local.Addr()
		}
	}
	if name == "" {
		name, _ = os.Hostname()
	}
	p.addText(NASIdentifier, cmp.Or(name, "dialway"))
	switch addr = addr.Unmap(); {
	case addr.IsUnspecified():
	case addr.Is4():
		p.Add(NASIPAddress, addr.AsSlice())
	case addr.Is6():
		p.Add(NASIPv6Address, addr.AsSlice())
	}
}

// addCall adds how the far side came.
func addCall(p *Packet, call *ppp.Call) {
	p.addUint32(NASPortType, portVirtual)
	p.addText(NASPortID, call.ID)
	p.addUint32(ServiceType, serviceFramed)
	p.addUint32(FramedProtocol, protocolPPP)
	p.addText(CalledStationID, cmp.Or(call.Called, addrText(call.Local)))
	p.addText(CallingStationID, cmp.Or(call.Calling, addrText(call.Remote)))
	p.addText(AcctSessionID, call.ID)
	p.addText(ConnectInfo, call.Tunnel)
	switch call.Tunnel {
	case "SSTP":
		p.addUint32(TunnelType, tunnelSSTP) // untagged: the first byte is zero
	case "L2TP":
		p.addUint32(TunnelType, tunnelL2TP)
	default:
		return
	}
	if a := call.Remote.Addr().Unmap(); a.IsValid() {
		medium := uint32(1)
		if a.Is6() {
			medium = 2
		}
		p.addUint32(TunnelMediumType, medium)
	}
	p.addText(TunnelClientEndpoint, addrText(call.Remote))
	p.addText(TunnelServerEndpoint, addrText(call.Local))
}

func addrText(a netip.AddrPort) string {
	if !a.Addr().IsValid() {
		return ""
	}
	return a.Addr().Unmap().String()
}

// addRAS adds what Microsoft's access server says ([MS-RNAS] 2.2.1, 3.1.5.2). client is LCP's Identification: version and
// name of the far side, which are an attacker's text.
func addRAS(p *Packet, call *ppp.Call, client string, access bool) {
	if access {
		p.addVendorUint32(Microsoft, msNASType, nasRemoteAccess)
		p.addVendorUint32(Microsoft, msRASVendor, Microsoft) // whose dialect this is
	}
	p.AddVendor(Microsoft, msRASVersion, []byte("dialway")) // RFC 2548 section 2.7.3
	for word := range strings.FieldsSeq(client) {
		switch {
		case !printable(word):
		case strings.HasPrefix(word, "MSRASV"):
			p.AddVendor(Microsoft, msRASClientVersion, terminated(word))
		case strings.HasPrefix(word, "MSRAS-"):
			p.AddVendor(Microsoft, msRASClientName, terminated(word))
		}
	}
	if id := call.Tags["correlation"]; isGUID(id) {
		p.AddVendor(Microsoft, msRASCorrelationID, []byte(id))
	}
}

// terminated is how [MS-RNAS] 2.2.1.1 has names: it is a text of at most 33 bytes, with the zero at its end.
func terminated(s string) []byte { return append([]byte(s[:min(len(s), 32)]), 0) }

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isGUID reports whether s is 32 digits in braces.
func isGUID(s string) bool {
	var n [5]uint64
	if len(s) != 38 {
		return false
	}
	_, err := fmt.Sscanf(s, "{%8x-%4x-%4x-%4x-%12x}", &n[0], &n[1], &n[2], &n[3], &n[4])
	return err == nil && printable(s)
}
