package ppp

import (
	"context"
	"slices"
	"time"
)

// An authState is the authentication phase: either direction, both, or none.
type authState struct {
	verifier verifier // of the far side; nil: not asked for
	prover   prover   // to the far side; nil: it does not ask
	granted  bool
	proved   bool
	deciding bool // the Authenticator is at work
	known    bool // the far side was granted a session, under the name in peer

	protocol  AuthProtocol
	strongest AuthProtocol // the first method a client proved itself by: never a weaker one later
	eapType   uint8

	round  int          // LCP's, counted: methods and answers of an earlier one are not heard
	asking int          // for this round the Authenticator is at work
	host   *methodRound // of this round; nil: none yet
	next   *AuthRequest // what to ask when one of an earlier round has ended

	peer    string        // Grant.User, which stays
	user    string        // Grant.User, or Config.User
	claimed string        // AuthRequest.User
	keys    *keys         // of the authentication in which the server is the authenticator; nil: none yet, or the transport's
	book    challengeBook // what this end asked
	asked   []byte        // what the peer asked for and was not given
}

// keys are what an authentication yields for the transport to bind to.
type keys struct{ send, recv []byte }

// takeKeys forgets them: nobody but the transport needs them.
func (s *authState) takeKeys() (send, recv []byte) {
	if k := s.keys; k != nil {
		send, recv = k.send, k.recv
	}
	s.keys = nil
	return send, recv
}

// forget prepares for another authentication on the same link, which a transport that does not bind may have.
func (s *authState) forget() {
	s.verifier, s.prover, s.granted, s.proved = nil, nil, false, false
	s.keys, s.next = nil, nil
	s.round++
	s.stopWork()
}

// stopWork ends what runs beside R for this round.
func (s *authState) stopWork() {
	if s.host != nil {
		s.host.work.End(context.Canceled)
	}
}

// usualDemands is what an end demands whose Config.Auth is nil.
var usualDemands = []AuthProtocol{MSCHAPv2}

// demands is what this end may ask of the far side, best first; not to be modified.
func (c *Conn) demands() []AuthProtocol {
	if c.cfg.Authenticator == nil {
		return nil
	}
	list := c.cfg.Auth
	if list == nil {
		list = usualDemands
	}
	if !slices.Contains(list, NoProtocol) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(p AuthProtocol) bool { return p == NoProtocol })
}

// byCall reports whether the Authenticator decides by the Call alone.
func (c *Conn) byCall() bool {
	return c.cfg.Authenticator != nil && len(c.demands()) == 0
}

// hasCredentials reports whether this end could prove who it is.
func (c *Conn) hasCredentials() bool { return c.cfg.User != "" || c.cfg.EAP != nil }

// able is what this end's credentials serve for, best first.
func (c *Conn) able() []AuthProtocol {
	list := c.cfg.Auth
	if list == nil {
		list = []AuthProtocol{EAP, MSCHAPv2}
	}
	return slices.DeleteFunc(slices.Clone(list), func(p AuthProtocol) bool {
		switch p {
		case NoProtocol:
			return true
		case EAP:
			return c.cfg.EAP == nil
		}
		return c.cfg.User == ""
	})
}

// offers is what this end is willing to answer a demand with, best first.
func (c *Conn) offers() []AuthProtocol {
	return slices.DeleteFunc(c.able(), func(p AuthProtocol) bool {
		return !mayProve(p, c.call.Verified, c.cfg.AllowUnverified) || p < c.auth.strongest
	})
}

// noteAsked remembers a demand that was not met, for the error.
func (c *Conn) noteAsked(v []byte) { c.auth.asked = slices.Clone(v) }

// noCommonAuth says why this end would not authenticate as the far side wished. err is what ended the link, or nil.
func (c *Conn) noCommonAuth(err error) error {
	e := &NegotiationError{Phase: "LCP", Remote: true, Ours: joinAuth(c.lcp.offered), Theirs: authText(c.auth.asked), Err: err}
	p := parseAuth(c.auth.asked)
	switch {
	case !c.hasCredentials():
		e.Hint = "the far side asks for a user name: set Config.User and Password"
	case p != NoProtocol && slices.Contains(c.able(), p) && !slices.Contains(c.lcp.offered, p):
		e.Remote = false
		e.Hint = "this end does not say " + p.String() + " to a server that is not verified: verify its certificate or pin it"
		if p != PAP && p != CHAP {
			e.Hint += ", or set AllowUnverified"
		}
	default:
		e.Hint = "let both ends list a common authentication protocol in Config.Auth"
	}
	return e
}

// authenticate begins the phase in every direction asked for.
func (c *Conn) authenticate(now time.Time) {
	s := &c.auth
	demanded, proving := c.lcp.demanded(), c.lcp.proving
	if proving == NoProtocol && !c.server && !mayGoUnasked(c.hasCredentials(), c.cfg.AllowNoAuth && s.strongest == NoProtocol) {
		c.end(now, &NegotiationError{
			Phase: "LCP", Remote: true, Ours: joinAuth(c.lcp.offered), Theirs: "no demand for authentication",
			Hint: "a server that does not ask proves nothing; set AllowNoAuth to accept it",
		})
		return
	}
	s.host = &methodRound{Conn: c, round: s.round}
	var err error
	if demanded != NoProtocol {
		if s.verifier, err = newVerifier(demanded, s.host); err != nil {
			c.end(now, err)
			return
		}
	}
	if proving != NoProtocol {
		if s.prover, err = newProver(proving, s.host); err != nil {
			c.end(now, err)
			return
		}
	}
	s.granted = s.verifier == nil && !c.byCall()
	s.proved = s.prover == nil
	if c.byCall() {
		s.host.ask(&AuthRequest{Protocol: NoProtocol})
	}
	if s.verifier != nil {
		s.verifier.begin(now)
	}
	if s.prover != nil && c.phase == phaseAuthenticate {
		s.prover.begin(now)
	}
	c.authStep(now)
}

// authStep goes on to the binding when every direction is through.
func (c *Conn) authStep(now time.Time) {
	if c.phase == phaseAuthenticate && c.auth.granted && c.auth.proved {
		c.bind(now)
	}
}
