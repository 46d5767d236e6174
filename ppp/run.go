package ppp

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"time"
)

// goodbyeTime bounds a goodbye: two Terminate-Requests' worth would be 6 s, which nobody waits for.
const goodbyeTime = 2 * time.Second

// linkTime bounds the time until LCP is open. Our ten requests take half of it; a far side that answers them but agrees to
// nothing, or asks for nothing itself, would go on for ever.
const linkTime = time.Minute

// networkTime bounds the time from authentication to the first open network protocol.
const networkTime = time.Minute

// unservedTime is how long an open link waits for Serve.
const unservedTime = time.Minute

// Open runs LCP, authentication and the network protocols, and returns when packets may flow: a network protocol is
// open and the transport is Bound. ctx bounds it, not the link. An error is a *NegotiationError, an *AuthError, a
// *TerminatedError or the transport's; the link is then closed.
func (c *Conn) Open(ctx context.Context) error {
	if !c.r.TryLock() {
		if c.asked.Load() == nil {
			return errors.New("ppp: Open of a link that is being opened or served")
		}
		c.over.Wait() // the goodbye is under way
		return c.closedError()
	}
	defer c.leave()
	if c.ended.Load() {
		return c.closedError()
	}
	if c.phase != phaseNew {
		return errors.New("ppp: Open of a link that is open")
	}
	if h, ok := c.fc.(holder); ok {
		h.Hold()
		defer h.Release()
	}
	c.opening = ctx
	stop := context.AfterFunc(ctx, c.poke)
	defer stop()
	now := time.Now()
	if err := c.start(now); err != nil {
		c.end(now, err)
	}
	for c.phase < phaseOpen {
		c.turn()
	}
	c.opening = nil
	if c.phase == phaseOpen {
		c.wakeAt(c.deadline()) // before Release, which arms the transport once for both; one that fails says so to who reads
		c.unused = time.AfterFunc(unservedTime, func() {
			c.terminate(&TerminatedError{Cause: NASError, Reason: "nobody serves the session"})
		})
		return nil
	}
	return c.run()
}

// A holder is a transport that can have control frames wait for the next read, and then send them together: a Stream, and
// what lies over one. Release ends that, and gives back what the last read has lent.
type holder interface {
	Hold()
	Release()
}

// leave ends being R. Who asked for the end while R was on its way out was not heard.
func (c *Conn) leave() {
	c.r.Unlock()
	if t := c.asked.Load(); t != nil && !c.ended.Load() {
		c.terminate(t)
	}
}

// failure says why a link did not open, as far as this phase knows: what the far side did, and the error beneath.
func (c *Conn) failure(theirs string, err error) error {
	if v := c.auth.verifier; v != nil && v.refused() != nil {
		return v.refused() // it could have tried again
	}
	if p, ok := c.auth.prover.(*eapProver); ok && p.no != nil {
		return p.no // finish has it explained
	}
	if c.phase <= phaseEstablish && c.auth.asked != nil {
		return c.noCommonAuth(err)
	}
	return &NegotiationError{Phase: c.phaseName(), Remote: true, Theirs: theirs, Err: err}
}

// phaseName is the protocol that is at work.
func (c *Conn) phaseName() string {
	switch {
	case c.phase == phaseAuthenticate:
		if p := c.lcp.proving; p != NoProtocol {
			return p.String()
		}
		return c.lcp.demanded().String()
	case c.phase == phaseNetwork && !c.fc.Bound():
		return "binding"
	case c.phase == phaseNetwork && c.cfg.NoIPv4:
		return "IPV6CP"
	case c.phase == phaseNetwork:
		return "IPCP"
	}
	return "LCP"
}

// start takes the Config of this call and sends the first request.
func (c *Conn) start(now time.Time) error {
	if c.cfg.ForCall != nil {
		cfg, err := c.cfg.ForCall(&c.call)
		if err != nil {
			return err
		}
		if cfg != nil {
			c.cfg = cfg
			c.log = cmp.Or(cfg.Logger, silent)
		}
	}
	if c.server && c.cfg.Authenticator == nil && !c.cfg.NoAuth {
		return errors.New("ppp: a server needs an Authenticator, or NoAuth: true")
	}
	if c.cfg.NoIPv4 && c.cfg.NoIPv6 {
		return errors.New("ppp: NoIPv4 and NoIPv6 leave nothing to carry")
	}
	c.scratch = make([]byte, 0, 256)
	c.phase = phaseEstablish
	c.lastRx = now
	c.phaseBy = now.Add(linkTime)
	c.lcp.init(c)
	c.ipcp.init(c)
	c.ipv6cp.init(c)
	c.lcp.open(now)
	c.lcp.automaton.up(now)
	return nil
}

// run turns until the link is over, and returns why.
func (c *Conn) run() error {
	if c.phase == phaseNew {
		c.unborn()
	}
	for c.phase != phaseDead {
		c.turn()
	}
	return c.finish()
}

// unborn ends a link that was not opened.
func (c *Conn) unborn() {
	now := time.Now()
	c.look()
	c.end(now, c.lostError(net.ErrClosed))
}

// turn waits for frames or a timer, once, and acts on it. A timer is a read deadline: R arms the nearest before it
// waits. Who wakes R leaves a mark first and then moves the deadline into the past, so R arms first and looks second.
//
// Links wait in here, many of them, and each frame of the stack is memory: so what arms and what acts are functions of
// their own.
func (c *Conn) turn() {
	if c.arm() {
		frames, err := c.fc.ReadFrames()
		c.took(frames, err)
	}
}

// arm makes ready for a read; false: there is none.
func (c *Conn) arm() bool {
	for again := true; again; again = !c.deadline().Equal(c.armed) { // what it sees may move the timers
		if err := c.wakeAt(c.deadline()); err != nil {
			c.lost(err)
			return false
		}
		if c.look(); c.phase == phaseDead || c.opening != nil && c.phase >= phaseOpen {
			return false
		}
	}
	return true
}

// wakeAt sets the deadline of the next read.
func (c *Conn) wakeAt(d time.Time) error {
	if d.Equal(c.armed) {
		return nil
	}
	c.armed = d
	return c.fc.SetReadDeadline(d)
}

// took acts on what a read has brought.
func (c *Conn) took(frames [][]byte, err error) {
	now := time.Now()
	if len(frames) > 0 {
		c.heard(now)
		c.take(now, frames)
	}
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.armed = time.Time{} // it may have been a poke, which took the place of our deadline
		if c.armed.Equal(c.deadline()) {
			c.fc.SetReadDeadline(time.Time{})
		}
	default:
		c.lost(err)
		return
	}
	c.tick(now)
}

// look acts on what other goroutines left.
func (c *Conn) look() {
	if !c.woken.Load() {
		return
	}
	c.woken.Store(false)
	now := time.Now()
	if d := c.answer.Swap(nil); d != nil {
		c.decided(now, d)
	}
	if s := c.secret.Swap(nil); s != nil && c.auth.prover != nil && s.round == c.auth.round && c.phase < phaseTerminate {
		c.auth.prover.secret(now, s.secret, s.err)
	}
	for _, f := range c.posted.take() {
		f(now)
	}
	if a := c.pooled.Swap(nil); a != nil {
		c.assigned(now, a)
	}
	if c.regran.Swap(false) && c.phase == phaseOpen {
		c.applyGrant(now)
		c.scheduleEcho(now)
	}
	if l := c.lasts.Swap(nil); l != nil && c.lcp.opened() {
		c.lcp.sendTimeRemaining(l.d, l.text)
	}
	if t := c.asked.Load(); t != nil && c.phase < phaseTerminate {
		c.end(now, t)
	}
	if c.opening != nil && c.opening.Err() != nil && c.phase < phaseOpen {
		c.end(now, c.failure("", context.Cause(c.opening)))
	}
}

// deadline is the nearest of R's timers; zero: none. It knows only those that tick serves in this phase: one that is past
// and stays would make R spin.
func (c *Conn) deadline() time.Time {
	d := earliest(c.lcp.expires, c.ipcp.expires, c.ipv6cp.expires)
	switch c.phase {
	case phaseEstablish:
		d = earliest(d, c.phaseBy)
	case phaseNetwork:
		d = earliest(d, c.phaseBy, c.settleBy)
	case phaseOpen:
		d = earliest(d, c.endAt, c.echoAt, c.idleBy)
	case phaseTerminate:
		return earliest(d, c.phaseBy)
	}
	if c.auth.verifier != nil {
		d = earliest(d, c.auth.verifier.deadline())
	}
	if c.auth.prover != nil {
		d = earliest(d, c.auth.prover.deadline())
	}
	return d
}

func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// due reports whether a timer has run out.
func due(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

// tick runs what is due.
func (c *Conn) tick(now time.Time) {
	for _, a := range [...]*automaton{&c.lcp.automaton, &c.ipcp.automaton, &c.ipv6cp.automaton} {
		if due(a.expires, now) {
			a.expire(now)
		}
	}
	if c.phase < phaseTerminate {
		if v := c.auth.verifier; v != nil && due(v.deadline(), now) {
			v.expire(now)
		}
		if p := c.auth.prover; p != nil && due(p.deadline(), now) {
			p.expire(now)
		}
	}
	switch c.phase {
	case phaseEstablish:
		if due(c.phaseBy, now) {
			if c.gaveUp {
				c.end(now, c.refusal())
			} else {
				c.end(now, c.failure("", errNoAgreement))
			}
		}
	case phaseNetwork:
		if due(c.settleBy, now) {
			c.settleBy, c.settled = time.Time{}, true
		}
		if c.checkOpen(now); c.phase == phaseNetwork && due(c.phaseBy, now) {
			c.end(now, c.failure("nothing", errNoAnswer))
		}
	case phaseOpen:
		c.tickOpen(now)
	case phaseTerminate:
		if due(c.phaseBy, now) {
			c.phase = phaseDead
		}
	}
}

// end begins the goodbye; the first reason counts.
func (c *Conn) end(now time.Time, why error) {
	if c.phase >= phaseTerminate {
		return
	}
	c.err = why
	c.out.Store(nil)
	early := c.phase <= phaseEstablish && c.lcp.state <= stateStarting
	c.phase = phaseTerminate
	c.ipcp.reset()
	c.ipv6cp.reset()
	c.stopWork() // nobody decides about this far side any more
	if early {
		c.phase = phaseDead
		return
	}
	c.phaseBy = now.Add(goodbyeTime)
	c.lcp.close(now)
}

// lost ends without a goodbye: the transport is gone.
func (c *Conn) lost(err error) {
	if c.phase < phaseTerminate {
		c.err = c.lostError(err)
	}
	c.out.Store(nil)
	c.phase = phaseDead
}

// lostError says how a link, open or in the making, lost its transport.
func (c *Conn) lostError(err error) error {
	if t := c.asked.Load(); t != nil {
		return t
	}
	if c.phase > phaseNew && c.phase < phaseOpen {
		if c.opening != nil && c.opening.Err() != nil {
			return c.failure("", context.Cause(c.opening)) // who opens may have closed the transport, too
		}
		return c.failure("the end of the connection", err)
	}
	t := &TerminatedError{Cause: LostCarrier, Remote: true, Err: err}
	var known interface{ TerminateCause() Cause }
	if errors.As(err, &known) {
		t.Cause = known.TerminateCause()
	}
	return t
}

// finish closes everything, once.
func (c *Conn) finish() error {
	if c.ended.Swap(true) {
		return c.closedError()
	}
	if c.err == nil {
		c.err = c.lostError(net.ErrClosed)
	}
	if c.unused != nil {
		c.unused.Stop()
	}
	c.out.Store(nil)
	if s := c.cfg.Sessions; s != nil && c.info.Load() != nil {
		s.remove(c)
	}
	c.stopWork()
	c.fc.Close()
	if h, ok := c.fc.(holder); ok {
		h.Release() // nobody reads any more
	}
	if p, ok := c.auth.prover.(*eapProver); ok && p.no != nil && c.err == error(p.no) {
		c.err = p.explain()
	}
	c.ctx.End(c.err)
	c.beside.Wait()
	c.release()
	c.over.Done()
	if c.debugs() {
		c.log.Debug("ppp: link over", "id", c.call.ID, "why", c.err)
	}
	return c.err
}
