package ppp

import (
	"net/netip"
	"time"
)

// Info is what was agreed.
type Info struct {
	Call        *Call
	User        string // Grant.User, or Config.User of a client; proven, or empty
	Claimed     string // who a server's far side said it is, in the authentication that was granted: with EAP not proven, and nothing to decide by
	Auth        AuthProtocol
	EAPType     uint8
	Client      string     // what the far side says it is (LCP Identification)
	Local, Peer netip.Addr // IPv4; zero without
	Local6      netip.Addr // link-local; zero without
	Peer6       netip.Addr
	MTU         int
	Opened      time.Time
}

// Stats counts what passed, from this end's view.
type Stats struct{ RxPackets, RxBytes, TxPackets, TxBytes, RxDropped, TxDropped uint64 }
