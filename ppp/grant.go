package ppp

import (
	"net/netip"
	"time"
)

// A Grant is what a far side was given. Once returned it is not modified.
type Grant struct {
	User   string // as the Authenticator knows and has proved it; empty means AuthRequest.User, but for EAP, whose Identity is only claimed, nobody
	Groups []string

	Addr     netip.Addr     // IPv4; zero means from Config.Pool
	AskAddr  bool           // this end asks the far side, which is a router, for its own address first, and has Config.Addr only if that has none to give
	Pool     string         // which pool of Config.Pool
	Pool6    string         // which for IPv6, if that is another; empty means Pool
	Prefixes []netip.Prefix // routed to the far side besides its address; an IPv6 /64 is also advertised
	DNS      []netip.Addr   // instead of Config.DNS
	NBNS     []netip.Addr

	PoolDelegated string // which pool for a delegated prefix; empty means Pool6

	Callback string // the number to call back at: a link refuses such a Grant, since it cannot; RADIUS tells it

	MaxSessions int  // of this user at once, by Config.Sessions; 0 means no limit
	Replace     bool // one session too many ends the oldest instead of being refused

	// What SetGrant may change while the session lives.
	SessionTimeout time.Duration            // 0 means none
	IdleTimeout    time.Duration            // 0 means none
	Interim        time.Duration            // between accounting updates; 0 means as the accountant likes
	RateIn         Rate                     // from the far side
	RateOut        Rate                     // to the far side
	In, Out        func(packet []byte) bool // which packets pass; nil means all

	Class   [][]byte // repeated in accounting
	Message string   // told to the far side
	Value   any      // the Authenticator's own, for the Handler

	// What the protocol needs; cleared from what Conn.Grant returns.
	Proof            [20]byte // MSCHAPv2: the authenticator response
	SendKey, RecvKey []byte   // RFC 3079 and RFC 5216 master keys, this end's view
}

// A Rate limits a direction; the zero Rate does not.
type Rate struct {
	Bits  uint64 // per second
	Burst uint64 // bytes; 0 means a quarter of a second
}
