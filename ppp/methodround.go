package ppp

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/dialway/dialway/internal/latectx"
)

// A methodRound is the link as the methods of one authentication phase see it: their methodHost. LCP may go down and
// come up again, on a transport that does not bind; what a method of an earlier phase still has to say is not heard.
type methodRound struct {
	*Conn
	round int
	work  latectx.Context // ends with the phase's methods, which live as long as LCP is open
}

// live reports whether the methods of this round are the link's.
func (r *methodRound) live() bool { return r.round == r.auth.round }

func (r *methodRound) sendMethod(protocol uint16, pkt []byte) {
	if r.live() {
		r.sendFrame(protocol, pkt)
	}
}

// ask runs the Authenticator beside R; there is one call at a time. One of an earlier round has been told to end.
func (r *methodRound) ask(req *AuthRequest) {
	s := &r.auth
	if !r.live() || r.phase != phaseAuthenticate {
		return
	}
	if s.deciding {
		if s.asking != r.round {
			s.next = req
		}
		return
	}
	s.deciding, s.asking = true, r.round
	req.Call, req.Client = &r.call, r.client
	if !s.granted { // who answers another challenge later is looked at by granted
		s.claimed = req.User
	}
	a := r.cfg.Authenticator
	r.goBeside(func(ctx context.Context) {
		d := &decision{round: r.round}
		d.grant, d.err = a.Authenticate(ctx, req)
		r.answer.Store(d)
	})
}

// retry runs Config.Retry beside R.
func (r *methodRound) retry(e *AuthError) {
	f := r.cfg.Retry
	r.goBeside(func(ctx context.Context) {
		s := &newSecret{round: r.round}
		s.secret, s.err = f(ctx, e)
		r.secret.Store(s)
	})
}

func (r *methodRound) goBeside(f func(ctx context.Context)) { r.Conn.goBeside(&r.work, f) }

// post runs f on R, soon. Of a link that says goodbye, or authenticates again, it is dropped.
func (r *methodRound) post(f func(now time.Time)) {
	r.posted.put(func(now time.Time) {
		if r.live() && r.phase < phaseTerminate {
			f(now)
			r.authStep(now)
		}
	})
	r.poke()
}

func (r *methodRound) over() <-chan struct{} { return r.work.Done() }

func (r *methodRound) granted(p AuthProtocol, g *Grant) {
	s := &r.auth
	if !r.live() || s.granted {
		return // a re-challenge that was answered well changes nothing
	}
	if !mayBeAgain(s.known, s.peer, g.User) {
		r.end(time.Now(), &TerminatedError{Cause: UserError, Remote: true, Reason: "the far side authenticates again under another name"})
		return
	}
	s.granted, s.known, s.peer = true, true, g.User
	if r.server || s.user == "" {
		s.user, s.protocol = g.User, p
	}
	if r.server {
		s.keys = &keys{slices.Clone(g.SendKey), slices.Clone(g.RecvKey)}
		if v, ok := s.verifier.(*eapVerifier); ok {
			s.eapType = v.kind
		}
	}
	g.Proof, g.SendKey, g.RecvKey = [20]byte{}, nil, nil
	r.grant.Store(g)
}

func (r *methodRound) proved(p AuthProtocol, send, recv []byte, eapType uint8) {
	s := &r.auth
	if !r.live() || s.proved {
		return
	}
	s.proved = true
	s.strongest = max(s.strongest, p)
	if !r.server {
		s.user, s.protocol, s.eapType = r.cfg.User, p, eapType
		s.keys = &keys{slices.Clone(send), slices.Clone(recv)}
	}
}

func (r *methodRound) refuse(err error) {
	if r.live() {
		r.end(time.Now(), err)
	}
}

func (r *methodRound) settings() *Config  { return r.cfg }
func (r *methodRound) called() *Call      { return &r.call }
func (r *methodRound) peerClient() string { return r.client }

func (r *methodRound) challenges() *challengeBook { return &r.auth.book }

// nextID is the link's counter of identifiers, which all its protocols share.
func (c *Conn) nextID() byte {
	c.ids++
	return c.ids
}

func (c *Conn) random(b []byte) {
	io.ReadFull(c.rand, b) // crypto/rand does not fail
}

// goBeside runs what may take long on a goroutine that ends with the session, and wakes R after.
func (c *Conn) goBeside(ctx context.Context, f func(ctx context.Context)) {
	c.beside.Add(1)
	run := func() {
		defer c.beside.Done()
		f(ctx)
		c.poke()
	}
	if fc, ok := c.fc.(interface{ Go(f func()) }); ok {
		fc.Go(run)
	} else {
		go run()
	}
}

// stopWork ends what runs beside R.
func (c *Conn) stopWork() {
	if c.stop != nil {
		c.stop()
	}
	c.auth.stopWork()
}

// A decision is an Authenticator's answer.
type decision struct {
	round int
	grant *Grant
	err   error
}

// A newSecret is Config.Retry's answer.
type newSecret struct {
	round  int
	secret Secret
	err    error
}

// decided takes the Authenticator's answer.
func (c *Conn) decided(now time.Time, d *decision) {
	s := &c.auth
	s.deciding = false
	next := s.next
	s.next = nil
	switch {
	case c.phase != phaseAuthenticate:
		return
	case d.round != s.round:
		if next != nil {
			s.host.ask(next)
		}
		return
	case d.grant == nil && d.err == nil:
		d.err = &AuthError{}
	case d.err == nil && !mayStay(d.grant.Callback):
		d.grant, d.err = nil, &AuthError{Code: CodeNoDialin, Err: errCallback}
	}
	if d.err != nil {
		c.log.Info("ppp: refused", "id", c.call.ID, "from", c.call.Remote, "why", d.err)
	}
	switch v := s.verifier; {
	case v != nil:
		v.verdict(now, d.grant, d.err)
	case d.err != nil:
		s.host.refuse(asAuthError(d.err))
	default:
		s.host.granted(NoProtocol, grantTo(d.grant, NoProtocol, ""))
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
