package ppp

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
)

// An authState is the authentication phase: either direction, both, or none.
type authState struct {
	verifier verifier // of the far side; nil: not asked for
	prover   prover   // to the far side; nil: it does not ask
	granted  bool
	proved   bool
	deciding bool // the Authenticator is at work

	user       string // Grant.User, or Config.User
	protocol   AuthProtocol
	eapType    uint8
	sendKey    []byte // of the authentication in which the server is the authenticator
	recvKey    []byte
	strongest  AuthProtocol // the first method a client proved itself by: never a weaker one later
	book       challengeBook
	asked      []byte // what the peer asked for and was not given
	networkErr error  // why a network protocol did not open
}

// forget prepares for another authentication on the same link, which a transport that does not bind may have.
func (s *authState) forget() {
	s.verifier, s.prover, s.granted, s.proved = nil, nil, false, false
	s.sendKey, s.recvKey = nil, nil
}

// A decision is an Authenticator's answer.
type decision struct {
	grant *Grant
	err   error
}

// A newSecret is Config.Retry's answer.
type newSecret struct {
	secret Secret
	err    error
}

// demands is what this end may ask of the far side, best first.
func (c *Conn) demands() []AuthProtocol {
	if c.cfg.Authenticator == nil {
		return nil
	}
	list := c.cfg.Auth
	if list == nil {
		list = []AuthProtocol{MSCHAPv2}
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

// noCommonAuth says why this end would not authenticate as the far side wished.
func (c *Conn) noCommonAuth() error {
	e := &NegotiationError{Phase: "LCP", Remote: true, Ours: joinAuth(c.lcp.offered), Theirs: authText(c.auth.asked)}
	p := parseAuth(c.auth.asked)
	switch {
	case !c.hasCredentials():
		e.Hint = "the far side asks for a user name: set Config.User and Password"
	case p != NoProtocol && slices.Contains(c.able(), p) && !slices.Contains(c.lcp.offered, p):
		e.Remote = false
		e.Hint = "this end does not say " + p.String() + " to a server that is not verified: verify its certificate or pin it"
		if p == MSCHAPv2 {
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
	if proving == NoProtocol && !c.server && !mayGoUnasked(c.hasCredentials(), c.cfg.AllowNoAuth) {
		c.end(now, &NegotiationError{
			Phase: "LCP", Remote: true, Ours: joinAuth(c.lcp.offered), Theirs: "no demand for authentication",
			Hint: "a server that does not ask proves nothing; set AllowNoAuth to accept it",
		})
		return
	}
	var err error
	if demanded != NoProtocol {
		if s.verifier, err = newVerifier(demanded, c); err != nil {
			c.end(now, err)
			return
		}
	}
	if proving != NoProtocol {
		if s.prover, err = newProver(proving, c); err != nil {
			c.end(now, err)
			return
		}
	}
	s.granted = s.verifier == nil && !c.byCall()
	s.proved = s.prover == nil
	if c.byCall() {
		c.ask(&AuthRequest{Protocol: NoProtocol})
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

// decided takes the Authenticator's answer.
func (c *Conn) decided(now time.Time, d *decision) {
	c.auth.deciding = false
	if c.phase != phaseAuthenticate {
		return
	}
	if d.grant == nil && d.err == nil {
		d.err = &AuthError{}
	}
	if d.err != nil {
		c.log.Info("ppp: refused", "id", c.call.ID, "from", c.call.Remote, "why", d.err)
	}
	if v := c.auth.verifier; v != nil {
		v.verdict(now, d.grant, d.err)
	} else if d.err != nil {
		c.refuse(asAuthError(d.err))
	} else {
		c.granted(NoProtocol, d.grant)
	}
	c.authStep(now)
}

// asAuthError makes an AuthError of any refusal.
func asAuthError(err error) *AuthError {
	var a *AuthError
	if errors.As(err, &a) {
		return a
	}
	return &AuthError{Code: CodeFailed, Err: err}
}

// What follows is methodHost.

func (c *Conn) sendMethod(protocol uint16, pkt []byte) { c.sendFrame(protocol, pkt) }

func (c *Conn) nextID() byte {
	c.ids++
	return c.ids
}

func (c *Conn) random(b []byte) {
	io.ReadFull(c.rand, b) // crypto/rand does not fail
}

func (c *Conn) settings() *Config  { return c.cfg }
func (c *Conn) called() *Call      { return &c.call }
func (c *Conn) peerClient() string { return c.client }

// ask runs the Authenticator beside R; there is one call at a time.
func (c *Conn) ask(req *AuthRequest) {
	if c.auth.deciding || c.phase != phaseAuthenticate {
		return
	}
	c.auth.deciding = true
	req.Call, req.Client = &c.call, c.client
	a := c.cfg.Authenticator
	c.goBeside(func(ctx context.Context) {
		d := new(decision)
		d.grant, d.err = a.Authenticate(ctx, req)
		c.answer.Store(d)
	})
}

// retry runs Config.Retry beside R.
func (c *Conn) retry(e *AuthError) {
	f := c.cfg.Retry
	c.goBeside(func(ctx context.Context) {
		s := new(newSecret)
		s.secret, s.err = f(ctx, e)
		c.secret.Store(s)
	})
}

// goBeside runs what may take long on a goroutine that ends with the session, and wakes R after.
func (c *Conn) goBeside(f func(ctx context.Context)) {
	c.beside.Add(1)
	go func() {
		defer c.beside.Done()
		f(c.work)
		c.poke()
	}()
}

// post runs f on R, soon. Of a link that says goodbye it is dropped.
func (c *Conn) post(f func(now time.Time)) {
	c.posted.put(f)
	c.poke()
}

func (c *Conn) challenges() *challengeBook { return &c.auth.book }

func (c *Conn) granted(p AuthProtocol, g *Grant) {
	s := &c.auth
	n := *g
	if s.user != "" && c.isOpen() && !strings.EqualFold(s.user, n.User) {
		c.end(time.Now(), &TerminatedError{Cause: UserError, Remote: true, Reason: "the far side authenticates again under another name"})
		return
	}
	s.granted = true
	if c.server || s.user == "" {
		s.user, s.protocol = n.User, p
	}
	if c.server {
		s.sendKey, s.recvKey = slices.Clone(n.SendKey), slices.Clone(n.RecvKey)
	}
	n.Proof, n.SendKey, n.RecvKey = [20]byte{}, nil, nil
	c.grant.Store(&n)
}

func (c *Conn) proved(p AuthProtocol, send, recv []byte, eapType uint8) {
	s := &c.auth
	s.proved = true
	s.strongest = max(s.strongest, p)
	if !c.server {
		s.user, s.protocol, s.eapType = c.cfg.User, p, eapType
		s.sendKey, s.recvKey = slices.Clone(send), slices.Clone(recv)
	}
}

func (c *Conn) refuse(err error) { c.end(time.Now(), err) }
