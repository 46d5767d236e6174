package ppp

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/dialway/dialway/internal/secret"
)

// Secret is a string that prints as REDACTED; string(s) is the secret.
type Secret = secret.String

// A Handler has a session once its link is open, on the session's own goroutine. It calls c.Serve, or what does
// (Router.ServeLink), within a Hello interval; when it returns the session ends. ctx is c.Context() or a child of it.
type Handler func(ctx context.Context, c *Conn) error

// A Config configures either end. It is not modified and may be shared. The zero Config is a client that has no
// credentials, asks for an address, and asks nothing of the server.
type Config struct {
	// What this end says of itself.
	User     string
	Password Secret

	// Retry is asked for another password after E=691 with R=1, and for a new one after E=648 (RFC 2759 section 6). It
	// may take long: it has a goroutine of its own. nil gives up.
	Retry func(ctx context.Context, e *AuthError) (Secret, error)

	// EAP answers EAP: request is the first EAP packet of the far side. It returns the MSK, nil for methods without. nil
	// refuses EAP. eap.Peer has one.
	EAP func(ctx context.Context, request []byte, x Exchange) (msk []byte, err error)

	// Who may connect.
	Authenticator Authenticator                     // decides about the far side; nil for a client that does not ask
	NoAuth        bool                              // lets a server run without an Authenticator
	Auth          []AuthProtocol                    // demanded or accepted, best first; nil means MSCHAPv2, and for a client with EAP that first
	AuthRetries   int                               // further tries of a far side on one link; 0 means 2, negative none
	Sessions      *Sessions                         // where open links are listed; nil lists them nowhere
	ForCall       func(call *Call) (*Config, error) // the Config for this call, which needs an Authenticator or NoAuth of its own: tenants, reload; nil, nil means this one; an error refuses

	// What a client accepts of a server, beyond the safe default.
	AllowNoAuth     bool // a server that does not ask for the credentials this end was given
	AllowUnverified bool // MSCHAPv2 and EAP with a server that the transport has not verified; PAP and CHAP are refused there always

	// The network.
	Addr   netip.Addr   // this end's IPv4 address; zero means ask the far side
	Pool   AddrPool     // for a far side whose Grant names no address, or nil refuses it; an AddrClaimer is told of an address that a Grant names
	DNS    []netip.Addr // told to a far side that asks
	NBNS   []netip.Addr
	NoIPv4 bool
	NoIPv6 bool
	MTU    int           // largest packet sent, and announced as MRU; 0 means 1400
	Echo   time.Duration // silence before an LCP echo; 0 means 1 minute (never over SSTP, which asks by itself), negative never

	Identification string // sent when LCP opens (RFC 1570 section 2.1); empty sends none

	Logger *slog.Logger // nil is silent
}

// An Exchange sends one EAP packet and waits for the far side's next, repeating as RFC 3748 says. Both packets are whole,
// from the code on, and the receiver's to keep. One call at a time; ctx ends it.
//
// An Authenticator sends Requests, each under a new identifier, and gets the Response under it; the link itself says
// Success and Failure, by what the Authenticator returns. Config.EAP sends the Response to the last Request and gets the
// next; io.EOF is the far side's Success, an *AuthError its Failure. A Success that comes before the method is through
// counts for nothing: Exchange without a packet then waits on.
type Exchange func(ctx context.Context, packet []byte) (answer []byte, err error)
