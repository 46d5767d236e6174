package sstp

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/ppp"
)

// Retries and timers of [MS-SSTP] sections 3.1.2, 3.2.2 and 3.3.2. Hello and negotiation have fields.
const (
	retryLimit   = 3               // Naks that either end takes, notes <10> and <16>
	abortT1      = 3 * time.Second // for the far side's Abort
	abortT2      = time.Second     // for our answer to get there
	disconnectT1 = 5 * time.Second // for the far side's Disconnect Ack
	disconnectT2 = time.Second     // for our Ack to get there
)

// errSilent ends a call whose far side has not been heard for two Hello intervals, section 3.1.6.3.
var errSilent = errors.New("sstp: nothing heard from the far side, not even an Echo Response")

// A frameStream is the part of a ppp.Stream that a conn needs.
type frameStream interface {
	ReadFrames() ([][]byte, error)
	WriteFrames(header []byte, bufs [][]byte, offset int) (n int, err error)
	WriteControl(frame []byte) error
	WriteRaw(packet []byte) error // a packet that is framed already, in order with WriteControl
	SetReadDeadline(t time.Time) error
	SetRate(r ppp.Rate)
	Dropped() (packets, bytes uint64)
	Trust() // a longer write deadline
	Hold()
	Release()
	Close() error
}

// A conn is one SSTP call from the Call Connect Request on: a ppp.FrameConn. Control packets and SSTP's timers are
// handled inside ReadFrames; what it returns are PPP frames.
//
// Who calls ReadFrames and Bind owns the state: R of package ppp. Close takes it over for the goodbye, which reads the
// far side's answer; so Close makes what the last ReadFrames returned invalid.
type conn struct {
	stream      frameStream
	server      bool
	hello       time.Duration
	negotiation time.Duration
	log         *slog.Logger // never nil

	binding // of the role

	openers *openers // a server's

	reading sync.Mutex // R, or Close's goodbye
	state   state
	err     error     // why the call ended, once it has
	timer   time.Time // of the state: negotiation, T1, T2
	heard   time.Time // when the last packet came
	asked   time.Time // when an Echo Request was sent since then
	first   [][]byte  // what ReadFrames is about to return
	failed  error     // likewise
	echoes  int       // Echo Requests that are to be answered
	naks    uint8
	moved   bool   // a control packet has moved the timers: they are armed anew
	out     []byte // a control packet being made

	stage   atomic.Int32  // what may pass: see the constants
	dropped atomic.Uint64 // data frames that came before they might

	deadlines sync.Mutex
	closed    bool
	wanted    time.Time // the deadline that ppp set, which a goroutine other than R may do at any time
	armed     time.Time // the stream's
}

// Values of conn.stage: what may pass, for those who do not own the state.
const (
	nothingPasses = iota // before the Ack, and after the end has begun
	controlPasses        // PPP's control frames
	dataPasses           // Bound
)

// setState changes the state and what may pass.
func (c *conn) setState(s state) {
	if c.state != s {
		c.log.Debug("sstp: state", "from", c.state, "to", s)
	}
	c.state = s
	switch s {
	case authenticating, held:
		c.stage.Store(controlPasses)
	case open:
		c.stage.Store(dataPasses)
	default:
		c.stage.Store(nothingPasses)
	}
}

// ReadFrames implements ppp.FrameConn. It returns no frames, and no error, when the call has become authenticating or
// open. Sessions wait in it, many of them, and each frame of the stack is memory: so there is no defer.
func (c *conn) ReadFrames() (frames [][]byte, err error) {
	c.reading.Lock()
	for done := c.first != nil; !done; {
		if c.failed = c.ready(); c.failed != nil {
			break
		}
		c.first, c.failed = c.stream.ReadFrames()
		done = c.took()
		c.answer()
	}
	frames, err = c.first, c.failed
	c.first, c.failed = nil, nil
	c.reading.Unlock()
	return frames, err
}

// answer answers the Echo Requests of a batch. That is all that an idle session ever does, and what crypto/tls needs for it
// fits into the smallest stack if take is not beneath it: else the stack would grow for each answer, and shrink again at
// each collection, for a third of what the answer costs.
func (c *conn) answer() {
	for ; c.echoes > 0; c.echoes-- {
		if c.state.live() {
			c.send(appendPlain(c.out[:0], msgEchoResponse))
		}
	}
}

// ready arms the timer for a read, or says why there is none.
func (c *conn) ready() error {
	if c.err != nil {
		return c.err
	}
	if !c.arm(time.Now()) {
		return net.ErrClosed
	}
	return nil
}

// took acts on what a read has brought; done: what is left of it is ReadFrames's to return.
func (c *conn) took() (done bool) {
	now := time.Now()
	switch err := c.failed; {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.expire(now)
		return c.err == nil && c.readExpired(now)
	default:
		c.lost(err)
		return false
	}
	was := c.state
	if c.first = c.take(c.first, now); len(c.first) > 0 {
		return true // an end that came behind them is told by the next call
	}
	return c.err == nil && c.state != was && c.state != held
}

// take handles the control packets of a batch, in their order among the data packets, and returns the PPP frames that
// pass, in the same slice.
func (c *conn) take(packets [][]byte, now time.Time) [][]byte {
	frames := packets[:0]
	for _, p := range packets {
		c.heard, c.asked = now, time.Time{} // any packet restarts the Hello timer, section 3.1.2.3
		if isControl(p) {
			c.moved = true
			c.receive(p, now)
			continue
		}
		stage := c.stage.Load()
		if stage == nothingPasses || !passes(stage == dataPasses, p[headerLen:]) {
			c.dropped.Add(1)
			continue
		}
		frames = append(frames, p[headerLen:])
	}
	return frames
}

// WriteFrames implements ppp.FrameConn.
func (c *conn) WriteFrames(header []byte, bufs [][]byte, offset int) (int, error) {
	stage := c.stage.Load()
	if stage == nothingPasses || !passes(stage == dataPasses, header) {
		return 0, nil
	}
	return c.stream.WriteFrames(header, bufs, offset)
}

// WriteControl implements ppp.FrameConn.
func (c *conn) WriteControl(frame []byte) error {
	switch stage := c.stage.Load(); {
	case stage == nothingPasses:
		return net.ErrClosed
	case !passes(stage == dataPasses, frame):
		return nil // dropped silently, sections 3.2.7.2 and 3.3.7.2
	}
	return c.stream.WriteControl(frame)
}

// SetRate delays what is sent to a rate; package ppp looks for this method.
func (c *conn) SetRate(r ppp.Rate) { c.stream.SetRate(r) }

// Dropped counts what was taken and then dropped; package ppp looks for this method.
func (c *conn) Dropped() (packets, bytes uint64) { return c.stream.Dropped() }

// SetReadDeadline implements ppp.FrameConn. What it sets stays set until it is called again: a deadline in the past
// wakes R also when R is about to arm one of SSTP's own.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	if c.closed {
		return net.ErrClosed // the goodbye has deadlines of its own
	}
	c.wanted = t
	if t.IsZero() || !c.armed.IsZero() && c.armed.Before(t) {
		return nil // ReadFrames wakes early, or arms, and looks again
	}
	c.armed = t
	return c.stream.SetReadDeadline(t)
}

// Authenticated is called by package ppp before Bind.
func (c *conn) Authenticated(by ppp.AuthProtocol) {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.by = by
}

// Bind implements ppp.FrameConn.
func (c *conn) Bind(send, recv []byte) error {
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.err != nil {
		return c.err
	}
	if c.state != authenticating && c.state != held {
		return errors.New("sstp: Bind in state " + c.state.String())
	}
	if c.server {
		c.bindServer(send, recv)
	} else {
		c.bindClient(send, recv)
	}
	if c.err == nil {
		c.stream.Trust()
	}
	return c.err
}

// Bound implements ppp.FrameConn.
func (c *conn) Bound() bool { return c.stage.Load() == dataPasses }

// KeepsAlive says that Hello notices a far side that is gone; package ppp looks for this method.
func (c *conn) KeepsAlive() bool { return true }

// Go runs f on a goroutine, at a server on one whose stack is deep enough: what an Authenticator computes takes a stack that each
// new one would grow twice for it. Package ppp looks for this method.
func (c *conn) Go(f func()) {
	if c.openers != nil {
		c.openers.run(f)
	} else {
		go f()
	}
}

// Forsake says that the far side answers nothing, by PPP's echoes: there is no goodbye then, as after SSTP's own (section
// 3.1.6.3). Package ppp looks for this method.
func (c *conn) Forsake() {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.lost(errSilent)
}

// Hold has what is written wait for the next read, so that answers go together; package ppp looks for this method, and for
// Release, which ends that and the frames of the last read.
func (c *conn) Hold() {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.stream.Hold()
}

// Release ends Hold. What there were timers for is through: they are armed anew, since an idle session should not wake for
// nothing, and here, since on its own goroutine it would take a larger stack for that alone.
func (c *conn) Release() {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.stream.Release()
	c.moved, c.out = true, nil
	c.arm(time.Now())
}

// Binds implements ppp.FrameConn: always.
func (c *conn) Binds() bool { return true }

// MaxFrame implements ppp.FrameConn.
func (c *conn) MaxFrame() int { return maxPPPFrame }

// Close implements ppp.FrameConn. It says goodbye first, as far as that has not been done: it sends a Call Disconnect
// and waits for the answer, or gives an Abort or Ack that is on its way the time of T2 to get there. That takes 6
// seconds at most, and none where the far side is alive or the connection is lost.
func (c *conn) Close() error {
	c.deadlines.Lock()
	first := !c.closed
	c.closed = true
	c.armed = time.Now()
	c.stream.SetReadDeadline(c.armed) // wakes R
	c.deadlines.Unlock()
	c.reading.Lock()
	defer c.reading.Unlock()
	if !first {
		return nil
	}
	c.goodbye()
	if c.err == nil {
		c.err = net.ErrClosed
	}
	return c.stream.Close()
}

// goodbye ends the call in good order and reads on until the end is over.
func (c *conn) goodbye() {
	if c.state.live() {
		c.disconnect(time.Now())
	}
	for c.state != down {
		c.stream.SetReadDeadline(c.timer)
		packets, err := c.stream.ReadFrames()
		now := time.Now()
		switch {
		case err == nil:
			c.take(packets, now)
			c.answer()
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.expire(now)
		default:
			c.setState(down)
		}
	}
}

// lost ends the call without a message: the connection is gone or makes no sense, section 3.1.7.
func (c *conn) lost(err error) {
	if c.err == nil {
		c.err = err
	}
	c.setState(down)
}
