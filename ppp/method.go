package ppp

import (
	"context"
	"crypto/fips140"
	"time"

	"github.com/dialway/dialway/internal/mschap"
)

// A method is one authentication protocol in one direction of one link. Every call comes from R; none waits.
//
// Packets are code, identifier, length, data, as received and untrusted. A method keeps nothing of them.
type method interface {
	begin(now time.Time)               // the phase starts: a challenge or a PAP request is sent
	receive(now time.Time, pkt []byte) // a packet of its protocol, in the phase or later (repeated requests, re-challenges)
	deadline() time.Time               // when expire is wanted; zero: never
	expire(now time.Time)              // deadline has passed: repeat, or give up
}

// A verifier demands authentication of the far side.
type verifier interface {
	method
	verdict(now time.Time, g *Grant, err error) // the answer to methodHost.ask
	refused() *AuthError                        // why the last attempt failed, while another may follow; or nil
}

// A prover answers the far side's demand.
type prover interface {
	method
	secret(now time.Time, s Secret, err error) // the answer to methodHost.retry
}

// A methodHost is what a method may do to its link; *Conn is one.
type methodHost interface {
	sendMethod(protocol uint16, pkt []byte)                  // copies pkt
	nextID() byte                                            // the link's counter of identifiers
	random(b []byte)                                         // fills b
	ask(req *AuthRequest)                                    // asks the Authenticator beside R; one at a time; the answer comes by verdict
	retry(e *AuthError)                                      // asks Config.Retry beside R; the answer comes by secret
	goBeside(f func(ctx context.Context))                    // runs f beside R; ctx ends as over does; the link waits for f
	post(f func(now time.Time))                              // from any goroutine: runs f on R, unless the link is over
	over() <-chan struct{}                                   // closed when the link says goodbye, or authenticates anew
	maxControl() int                                         // the largest packet to send
	challenges() *challengeBook                              // what this end asked, in either direction's methods
	granted(p AuthProtocol, g *Grant)                        // verifier: the far side is who it says; g is the link's own, g.User set where it is proven
	proved(p AuthProtocol, send, recv []byte, eapType uint8) // prover: the far side accepted this end
	refuse(err error)                                        // over: the link says goodbye; err is an *AuthError or a *NegotiationError
	peerClient() string                                      // texts of the far side's Identification, for AuthRequest.Client
	settings() *Config                                       // never nil
	called() *Call                                           // never nil
}

// newVerifier makes the method that demands authentication by p. An error is a *NegotiationError: it is not spoken here.
func newVerifier(p AuthProtocol, h methodHost) (verifier, error) {
	switch p {
	case PAP:
		return &papVerifier{host: h}, nil
	case CHAP, MSCHAPv2:
		return &chapVerifier{host: h, protocol: p}, nil
	case EAP:
		return &eapVerifier{host: h}, nil
	}
	return nil, notSpoken(p, nil)
}

// newProver makes the method that answers a demand for p.
func newProver(p AuthProtocol, h methodHost) (prover, error) {
	switch p {
	case PAP:
		return &papProver{host: h}, nil
	case CHAP, MSCHAPv2:
		// A verifier asks its Authenticator, which may be RADIUS; this end has to calculate.
		if fips140.Enforced() {
			return nil, notSpoken(p, mschap.ErrFIPS)
		}
		return &chapProver{host: h, protocol: p}, nil
	case EAP:
		if h.settings().EAP != nil {
			return &eapProver{host: h}, nil
		}
	}
	return nil, notSpoken(p, nil)
}

func notSpoken(p AuthProtocol, err error) error {
	return &NegotiationError{Phase: p.String(), Ours: "nothing", Hint: "take the protocol out of Config.Auth", Err: err}
}
