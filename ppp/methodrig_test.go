package ppp

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A rig lets two methods, or one and a script, talk over nothing, in a synctest bubble.
type rig struct {
	t        *testing.T
	verifier *rigHost
	prover   *rigHost
	lose     func(n int) bool // whether the n-th packet of both ends is lost
	sent     int
}

// A rigHost is a link in memory with one method; R is whoever calls.
type rigHost struct {
	rig    *rig
	name   string
	method method
	peer   *rigHost // nil: a script reads out
	out    []rigPacket
	cfg    *Config
	call   Call
	id     byte
	rnd    *rand.Rand
	feed   [][]byte // what random gives first
	book   challengeBook
	auth   Authenticator
	asked  []*AuthRequest
	ctx    context.Context
	stop   context.CancelFunc
	beside sync.WaitGroup
	mu     sync.Mutex
	posts  []func(now time.Time)

	grant      *Grant
	isProved   int
	send, recv []byte
	eapType    uint8
	err        error
}

type rigPacket struct {
	proto uint16
	pkt   []byte
}

func newRigHost(t *testing.T, r *rig, name string, cfg *Config, seed uint64) *rigHost {
	h := &rigHost{rig: r, name: name, cfg: cfg, rnd: rand.New(rand.NewPCG(seed, 1)), id: byte(seed * 50), auth: cfg.Authenticator}
	h.call.Verified = true
	h.ctx, h.stop = context.WithCancel(context.Background())
	t.Cleanup(func() {
		h.stop()
		h.beside.Wait()
	})
	return h
}

// newRig makes both ends of one method. A nil Config leaves that end to a script.
func newRig(t *testing.T, p AuthProtocol, verifier, prover *Config) *rig {
	t.Helper()
	r := &rig{t: t}
	if verifier != nil {
		h := newRigHost(t, r, "verifier", verifier, 1)
		m, err := newVerifier(p, h)
		if err != nil {
			t.Fatal(err)
		}
		h.method, r.verifier = m, h
	}
	if prover != nil {
		h := newRigHost(t, r, "prover", prover, 2)
		m, err := newProver(p, h)
		if err != nil {
			t.Fatal(err)
		}
		h.method, r.prover = m, h
	}
	if r.verifier != nil && r.prover != nil {
		r.verifier.peer, r.prover.peer = r.prover, r.verifier
	}
	return r
}

func (r *rig) hosts() (list []*rigHost) {
	for _, h := range []*rigHost{r.verifier, r.prover} {
		if h != nil {
			list = append(list, h)
		}
	}
	return list
}

// run goes on until nobody has anything to do or to wait for, or an hour has passed.
func (r *rig) run() {
	r.t.Helper()
	for _, h := range r.hosts() {
		h.method.begin(time.Now())
	}
	r.settle(time.Hour)
}

// settle goes on for d at most, over timers; without any time it only lets what has been sent arrive.
func (r *rig) settle(d time.Duration) {
	end := time.Now().Add(d)
	for {
		for r.step() {
		}
		var next time.Time
		for _, h := range r.hosts() {
			if h.err == nil {
				next = earliest(next, h.method.deadline())
			}
		}
		now := time.Now()
		if r.busy() {
			next = earliest(next, now.Add(time.Second)) // somebody beside R takes his time
		}
		if next.IsZero() || next.After(end) {
			return
		}
		time.Sleep(next.Sub(now))
		for _, h := range r.hosts() {
			if h.err == nil && due(h.method.deadline(), time.Now()) {
				h.method.expire(time.Now())
			}
		}
	}
}

func (r *rig) busy() bool {
	for _, h := range r.hosts() {
		done := make(chan struct{})
		go func() { h.beside.Wait(); close(done) }()
		synctest.Wait()
		select {
		case <-done:
		default:
			return true
		}
	}
	return false
}

// step delivers one packet to each end and runs what was posted; it reports whether there was anything.
func (r *rig) step() (did bool) {
	synctest.Wait()
	for _, h := range r.hosts() {
		h.mu.Lock()
		posts := h.posts
		h.posts = nil
		h.mu.Unlock()
		for _, f := range posts {
			did = true
			if h.err == nil {
				f(time.Now())
			}
		}
		if h.peer == nil || len(h.out) == 0 {
			continue
		}
		p := h.out[0]
		h.out = h.out[1:]
		did = true
		n := r.sent
		r.sent++
		if r.lose != nil && r.lose(n) {
			continue
		}
		if toVerifier(p.proto, p.pkt[0]) != (h.peer.name == "verifier") {
			r.t.Errorf("%s: %x of protocol %#x has no reader", h.name, p.pkt, p.proto)
			continue
		}
		if h.peer.err == nil || h.peer.name == "verifier" { // a link that says goodbye still answers, as it likes
			h.peer.give(p.pkt)
		}
	}
	return did
}

// give hands a packet to a method, in a buffer that is worth nothing after.
func (h *rigHost) give(pkt []byte) {
	b := bytes.Clone(pkt)
	h.method.receive(time.Now(), b)
	for i := range b {
		b[i] = 0xdb
	}
}

// take returns the packets sent since, for a script.
func (h *rigHost) take() (pkts [][]byte) {
	for h.rig.step() {
	}
	for _, p := range h.out {
		pkts = append(pkts, p.pkt)
	}
	h.out = nil
	return pkts
}

// one returns the only packet sent since.
func (h *rigHost) one() []byte {
	h.rig.t.Helper()
	pkts := h.take()
	if len(pkts) != 1 {
		h.rig.t.Fatalf("%s sent %d packets: %x", h.name, len(pkts), pkts)
	}
	return pkts[0]
}

// none expects silence.
func (h *rigHost) none(what string) {
	h.rig.t.Helper()
	if pkts := h.take(); len(pkts) > 0 {
		h.rig.t.Errorf("%s: %s answers %x", what, h.name, pkts)
	}
}

// What follows is methodHost.

func (h *rigHost) sendMethod(protocol uint16, pkt []byte) {
	if n := int(pkt[2])<<8 | int(pkt[3]); n != len(pkt) {
		h.rig.t.Errorf("%s sends a packet of %d bytes that says %d", h.name, len(pkt), n)
	}
	h.out = append(h.out, rigPacket{protocol, bytes.Clone(pkt)})
}

func (h *rigHost) nextID() byte {
	h.id++
	return h.id
}

func (h *rigHost) random(b []byte) {
	if len(h.feed) > 0 {
		copy(b, h.feed[0])
		h.feed = h.feed[1:]
		return
	}
	for i := range b {
		b[i] = byte(h.rnd.Uint32())
	}
}

func (h *rigHost) ask(req *AuthRequest) {
	req.Call = &h.call
	h.asked = append(h.asked, req)
	if h.auth == nil {
		return // the script decides
	}
	h.goBeside(func(ctx context.Context) {
		g, err := h.auth.Authenticate(ctx, req)
		h.post(func(now time.Time) { h.method.(verifier).verdict(now, g, err) })
	})
}

func (h *rigHost) retry(e *AuthError) {
	h.goBeside(func(ctx context.Context) {
		s, err := h.cfg.Retry(ctx, e)
		h.post(func(now time.Time) { h.method.(prover).secret(now, s, err) })
	})
}

func (h *rigHost) goBeside(f func(ctx context.Context)) { h.beside.Go(func() { f(h.ctx) }) }

func (h *rigHost) post(f func(now time.Time)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.posts = append(h.posts, f)
}

func (h *rigHost) over() <-chan struct{}      { return h.ctx.Done() }
func (h *rigHost) maxControl() int            { return 1500 }
func (h *rigHost) challenges() *challengeBook { return &h.book }
func (h *rigHost) peerClient() string         { return "" }
func (h *rigHost) settings() *Config          { return h.cfg }
func (h *rigHost) called() *Call              { return &h.call }

func (h *rigHost) granted(p AuthProtocol, g *Grant) {
	if h.grant != nil || h.err != nil {
		h.rig.t.Errorf("%s: granted again, or after %v", h.name, h.err)
	}
	h.grant = g
}

func (h *rigHost) proved(p AuthProtocol, send, recv []byte, eapType uint8) {
	if h.err != nil {
		h.rig.t.Errorf("%s: proved after %v", h.name, h.err)
	}
	h.isProved++
	h.send, h.recv, h.eapType = bytes.Clone(send), bytes.Clone(recv), eapType
}

func (h *rigHost) refuse(err error) {
	if h.err != nil {
		h.rig.t.Errorf("%s: refused again: %v", h.name, err)
	}
	switch err.(type) {
	case *AuthError, *NegotiationError:
	default:
		h.rig.t.Errorf("%s: refused with a %T: %v", h.name, err, err)
	}
	h.err = err
	h.stop()
}

// accepted checks that both ends agree that the far side is user, once, with the same keys.
func (r *rig) accepted(user string, keys bool) error {
	v, p := r.verifier, r.prover
	switch {
	case v.err != nil || p.err != nil:
		return fmt.Errorf("verifier: %v; prover: %v", v.err, p.err)
	case v.grant == nil || p.isProved != 1:
		return fmt.Errorf("granted %v, proved %d times", v.grant, p.isProved)
	case v.grant.User != user:
		return fmt.Errorf("granted to %q", v.grant.User)
	case !bytes.Equal(v.grant.SendKey, p.recv) || !bytes.Equal(v.grant.RecvKey, p.send) || isKey(p.send) != keys:
		return fmt.Errorf("keys: verifier %x %x, prover %x %x", v.grant.SendKey, v.grant.RecvKey, p.send, p.recv)
	}
	return nil
}

// denied checks that both ends say no.
func (r *rig) denied() error {
	v, p := r.verifier, r.prover
	if v.grant != nil || p.isProved > 0 || v.err == nil || p.err == nil {
		return fmt.Errorf("granted %v (%v), proved %d times (%v)", v.grant, v.err, p.isProved, p.err)
	}
	return nil
}

var _ methodHost = (*rigHost)(nil)
