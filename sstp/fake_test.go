package sstp

import (
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A fakeStream is a frameStream whose far side is the test. It waits as a connection does: a deadline in the past
// fails a read also when there is something to read.
type fakeStream struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and renewed at each change
	in       [][]byte
	readErr  error
	writeErr error
	deadline time.Time
	closed   bool
	sent     [][]byte // control packets
	frames   [][]byte // PPP frames, without header
	armings  int
	onArm    func() // runs in the middle of SetReadDeadline
}

func (f *fakeStream) change(g func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g()
	if f.changed != nil {
		close(f.changed)
	}
	f.changed = make(chan struct{})
}

// push makes packets arrive, all in one read.
func (f *fakeStream) push(packets ...[]byte) {
	f.change(func() {
		for _, p := range packets {
			f.in = append(f.in, append([]byte(nil), p...))
		}
	})
}

func (f *fakeStream) fail(err error) { f.change(func() { f.readErr = err }) }

func (f *fakeStream) ReadFrames() ([][]byte, error) {
	for {
		f.mu.Lock()
		if f.changed == nil {
			f.changed = make(chan struct{})
		}
		in, err, changed, deadline, closed := f.in, f.readErr, f.changed, f.deadline, f.closed
		past := !deadline.IsZero() && !deadline.After(time.Now())
		if !past && !closed && len(in) > 0 {
			f.in = nil
		}
		f.mu.Unlock()
		switch {
		case closed:
			return nil, net.ErrClosed
		case past:
			return nil, os.ErrDeadlineExceeded
		case len(in) > 0:
			return in, nil
		case err != nil:
			return nil, err
		}
		var timeout <-chan time.Time
		if !deadline.IsZero() {
			timeout = time.After(time.Until(deadline))
		}
		select {
		case <-changed:
		case <-timeout:
		}
	}
}

func (f *fakeStream) WriteFrames(header []byte, bufs [][]byte, offset int) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range bufs {
		f.frames = append(f.frames, append([]byte(nil), b[offset:]...))
	}
	return len(bufs), f.writeErr
}

func (f *fakeStream) WriteControl(frame []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frames = append(f.frames, append([]byte(nil), frame...))
	return f.writeErr
}

func (f *fakeStream) WriteRaw(packet []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.writeErr == nil {
		f.sent = append(f.sent, append([]byte(nil), packet...))
	}
	return f.writeErr
}

func (f *fakeStream) SetReadDeadline(t time.Time) error {
	f.change(func() { f.deadline = t; f.armings++ })
	if g := f.onArm; g != nil {
		f.onArm = nil
		g()
	}
	return nil
}

func (f *fakeStream) SetRate(ppp.Rate) {}

func (f *fakeStream) Dropped() (packets, bytes uint64) { return 0, 0 }
func (f *fakeStream) Trust()                           {}
func (f *fakeStream) Hold()                            {}
func (f *fakeStream) Release()                         {}

func (f *fakeStream) Close() error {
	f.change(func() { f.closed = true })
	return nil
}

// take returns the control packets that were sent since the last call.
func (f *fakeStream) take() [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	sent := f.sent
	f.sent = nil
	return sent
}

// types returns their types.
func (f *fakeStream) types() (ms []message) {
	for _, p := range f.take() {
		ms = append(ms, parseControl(p).typ)
	}
	return ms
}

var testNonce = [nonceLen]byte{1, 2, 3}

const testLeaf = "a certificate"

// testConn returns a conn in a state.
func testConn(server bool, s state) (*conn, *fakeStream) {
	f := new(fakeStream)
	c := &conn{
		stream: f, server: server, hello: time.Minute, negotiation: time.Minute, log: slog.New(slog.DiscardHandler),
	}
	c.offer.nonce = testNonce
	if server {
		c.offer.hashes = [][]byte{certHash(hashSHA1, []byte(testLeaf)), certHash(hashSHA256, []byte(testLeaf))}
	}
	c.leaf, c.hash = []byte(testLeaf), hashSHA256
	now := time.Now()
	c.timer, c.heard = now.Add(time.Minute), now
	switch s {
	case abortSent:
		c.timer, c.err = now.Add(abortT1), net.ErrClosed
	case abortDone:
		c.timer, c.err = now.Add(abortT2), net.ErrClosed
	case disconnectSent:
		c.timer, c.err = now.Add(disconnectT1), net.ErrClosed
	case disconnectDone:
		c.timer, c.err = now.Add(disconnectT2), net.ErrClosed
	}
	c.setState(s)
	return c, f
}

// A reader is R: it reads until an error that lasts.
type reader struct {
	mu   sync.Mutex
	got  [][]byte
	n    int // time-outs and empty returns
	last error
	at   time.Time
	done chan struct{}
}

func (r *reader) frames() [][]byte { r.mu.Lock(); defer r.mu.Unlock(); return r.got }
func (r *reader) wakes() int       { r.mu.Lock(); defer r.mu.Unlock(); return r.n }
func (r *reader) err() error       { r.mu.Lock(); defer r.mu.Unlock(); return r.last }

func startReader(c *conn) *reader {
	r := &reader{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for {
			frames, err := c.ReadFrames()
			r.mu.Lock()
			for _, f := range frames {
				r.got = append(r.got, append([]byte(nil), f...))
			}
			switch {
			case err == nil && len(frames) == 0:
				r.n++
			case err == os.ErrDeadlineExceeded:
				r.n++
				c.SetReadDeadline(time.Time{})
			case err != nil:
				r.last, r.at = err, time.Now()
			}
			r.mu.Unlock()
			if r.err() != nil {
				return
			}
		}
	}()
	return r
}

// bubble runs f under synctest.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// dataPacket makes a data packet of a frame.
func dataPacket(frame ...byte) []byte { return framing{}.AppendFrame(nil, nil, frame) }

// goodConnected returns the Call Connected that binds with keys, as the client sees them.
func goodConnected(send, recv []byte) []byte {
	hlak := makeHLAK(send, recv)
	m := makeConnected(hashSHA256, &testNonce, certHash(hashSHA256, []byte(testLeaf)))
	m.sign(&hlak)
	return m[:]
}
