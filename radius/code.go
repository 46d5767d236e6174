package radius

import "strconv"

// A Code is the kind of a packet, RFC 2865 section 4.
type Code byte

// Codes of RFC 2865, 2866, 5997 and 5176.
const (
	AccessRequest      Code = 1
	AccessAccept       Code = 2
	AccessReject       Code = 3
	AccountingRequest  Code = 4
	AccountingResponse Code = 5
	AccessChallenge    Code = 11
	StatusServer       Code = 12
	DisconnectRequest  Code = 40
	DisconnectACK      Code = 41
	DisconnectNAK      Code = 42
	CoARequest         Code = 43
	CoAACK             Code = 44
	CoANAK             Code = 45
)

// String returns the code's name in its RFC.
func (c Code) String() string {
	switch c {
	case AccessRequest:
		return "Access-Request"
	case AccessAccept:
		return "Access-Accept"
	case AccessReject:
		return "Access-Reject"
	case AccountingRequest:
		return "Accounting-Request"
	case AccountingResponse:
		return "Accounting-Response"
	case AccessChallenge:
		return "Access-Challenge"
	case StatusServer:
		return "Status-Server"
	case DisconnectRequest:
		return "Disconnect-Request"
	case DisconnectACK:
		return "Disconnect-ACK"
	case DisconnectNAK:
		return "Disconnect-NAK"
	case CoARequest:
		return "CoA-Request"
	case CoAACK:
		return "CoA-ACK"
	case CoANAK:
		return "CoA-NAK"
	}
	return "code " + strconv.Itoa(int(c))
}

// isAccess reports whether a request's Authenticator is random, and its reply is what CVE-2024-3596 forges.
func (c Code) isAccess() bool { return c == AccessRequest || c == StatusServer }

// isSigned reports whether a request gets a Message-Authenticator. Accounting's Authenticator is a signature already, and old
// servers expect none there.
func (c Code) isSigned() bool { return c.isAccess() || c.isDynamic() }

// isDynamic reports whether a request goes to an access server, RFC 5176.
func (c Code) isDynamic() bool { return c == DisconnectRequest || c == CoARequest }

// answers reports whether c may answer a request.
func (c Code) answers(request Code) bool {
	switch request {
	case AccessRequest:
		return c == AccessAccept || c == AccessReject || c == AccessChallenge
	case AccountingRequest:
		return c == AccountingResponse
	case StatusServer:
		// RFC 5997 section 3.2: an authentication port accepts, an accounting port responds.
		return c == AccessAccept || c == AccountingResponse
	case DisconnectRequest:
		return c == DisconnectACK || c == DisconnectNAK
	case CoARequest:
		return c == CoAACK || c == CoANAK
	}
	return false
}

// An Attr is an attribute's type.
type Attr byte

// Attributes of RFC 2865, 2866, 2868, 2869, 3162, 3576, 4818, 5580 and 6911 that an access server for PPP sends or obeys.
const (
	UserName             Attr = 1
	UserPassword         Attr = 2
	CHAPPassword         Attr = 3
	NASIPAddress         Attr = 4
	NASPort              Attr = 5
	ServiceType          Attr = 6
	FramedProtocol       Attr = 7
	FramedIPAddress      Attr = 8
	FramedIPNetmask      Attr = 9
	FilterID             Attr = 11
	FramedMTU            Attr = 12
	ReplyMessage         Attr = 18
	CallbackNumber       Attr = 19
	FramedRoute          Attr = 22
	State                Attr = 24
	Class                Attr = 25
	VendorSpecific       Attr = 26
	SessionTimeout       Attr = 27
	IdleTimeout          Attr = 28
	CalledStationID      Attr = 30
	CallingStationID     Attr = 31
	NASIdentifier        Attr = 32
	ProxyState           Attr = 33
	AcctStatusType       Attr = 40
	AcctDelayTime        Attr = 41
	AcctInputOctets      Attr = 42
	AcctOutputOctets     Attr = 43
	AcctSessionID        Attr = 44
	AcctAuthentic        Attr = 45
	AcctSessionTime      Attr = 46
	AcctInputPackets     Attr = 47
	AcctOutputPackets    Attr = 48
	AcctTerminateCause   Attr = 49
	AcctInputGigawords   Attr = 52
	AcctOutputGigawords  Attr = 53
	EventTimestamp       Attr = 55
	CHAPChallenge        Attr = 60
	NASPortType          Attr = 61
	PortLimit            Attr = 62
	TunnelType           Attr = 64
	TunnelMediumType     Attr = 65
	TunnelClientEndpoint Attr = 66
	TunnelServerEndpoint Attr = 67
	TunnelPassword       Attr = 69
	ConnectInfo          Attr = 77
	EAPMessage           Attr = 79
	MessageAuthenticator Attr = 80
	AcctInterimInterval  Attr = 85
	NASPortID            Attr = 87
	FramedPool           Attr = 88
	NASIPv6Address       Attr = 95
	FramedInterfaceID    Attr = 96
	FramedIPv6Prefix     Attr = 97
	FramedIPv6Route      Attr = 99
	FramedIPv6Pool       Attr = 100
	ErrorCause           Attr = 101
	DelegatedIPv6Prefix  Attr = 123
	OperatorName         Attr = 126
	FramedIPv6Address    Attr = 168
	DNSServerIPv6        Attr = 169
	DelegatedIPv6Pool    Attr = 171 // Delegated-IPv6-Prefix-Pool
	StatefulIPv6Pool     Attr = 172 // Stateful-IPv6-Address-Pool
)

// Microsoft is the vendor of RFC 2548's attributes and of [MS-RNAS]'s.
const Microsoft = 311

// Types of Microsoft's attributes.
const (
	msCHAPError        = 2
	msCHAPNTEncPW      = 6
	msRASVendor        = 9
	msCHAPChallenge    = 11
	msCHAPMPPEKeys     = 12
	msMPPESendKey      = 16
	msMPPERecvKey      = 17
	msRASVersion       = 18
	msFilter           = 22
	msAcctAuthType     = 23
	msAcctEAPType      = 24
	msCHAP2Response    = 25
	msCHAP2Success     = 26
	msCHAP2CPW         = 27
	msPrimaryDNS       = 28
	msSecondaryDNS     = 29
	msPrimaryNBNS      = 30
	msSecondaryNBNS    = 31
	msRASClientName    = 34
	msRASClientVersion = 35
	msNASType          = 47
	msIPv6Filter       = 51
	msRASCorrelationID = 56
)
