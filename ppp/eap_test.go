package ppp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// An EAP Identity is only claimed: whoever says it is nobody until the Authenticator says who.
func TestEAPIdentityIsNotProven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := configs(EAP)
		server.Authenticator = AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
			if req.User != "alice" || string(req.EAP[5:]) != "alice" || req.EAP[0] != eapResponse {
				t.Errorf("%q, %x", req.User, req.EAP)
			}
			g, err := tokenServer(ctx, req)
			if g != nil {
				g.User = ""
			}
			return g, err
		})
		r := newRig(t, EAP, server, client)
		r.run()
		if err := r.accepted("", true); err != nil {
			t.Error(err)
		}
	})
}

// A method without keys binds nothing: only a server that the transport has verified may have one.
func TestEAPWithoutKeysNeedsVerifiedServer(t *testing.T) {
	short := make([]byte, 63)
	for i := range short {
		short[i] = 1
	}
	for _, c := range []struct {
		msk      []byte
		verified bool
		ok       bool
	}{
		{nil, true, true},
		{nil, false, false},
		{eapMSK(), false, true},
		{short, true, false},
		{make([]byte, 64), true, false},
		{append(make([]byte, 32), eapMSK()...), true, false},
		{append(eapMSK()[:32], make([]byte, 32)...), true, true}, // EAP-MSCHAPv2's
	} {
		bubble(t, fmt.Sprintf("%d bytes, %v", len(c.msk), c.verified), func(t *testing.T) {
			server, client := configs(EAP)
			client.EAP = func(ctx context.Context, request []byte, x Exchange) ([]byte, error) {
				_, err := tokenPeer(ctx, request, x)
				return c.msk, err
			}
			r := newRig(t, EAP, server, client)
			r.prover.call.Verified = c.verified
			r.run()
			p := r.prover
			if c.ok != (p.isProved == 1) || c.ok == (p.err != nil) {
				t.Fatalf("proved %d times, %v", p.isProved, p.err)
			}
			if c.ok && c.msk == nil && (p.send != nil || p.recv != nil) || c.ok && c.msk != nil && !bytes.Equal(append(bytes.Clone(p.send), p.recv...), c.msk) {
				t.Errorf("keys %x %x", p.send, p.recv)
			}
		})
	}
}

// The server's side, packet by packet: what is not the answer is discarded, repetition is RFC 3748's.
func TestEAPServerScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type round struct {
			answer []byte
			err    error
		}
		rounds := make(chan round, 1)
		next := make(chan []byte)
		decide := make(chan error)
		msk := eapMSK()
		h := newRig(t, EAP, &Config{Authenticator: AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
			for {
				select {
				case p := <-next:
					a, err := req.Exchange(ctx, p)
					rounds <- round{a, err}
				case err := <-decide:
					return &Grant{RecvKey: msk[:32], SendKey: msk[32:]}, err
				}
			}
		})}, nil).verifier
		h.id = 6
		begun := time.Now()
		h.method.begin(begun)
		isBytes(t, "Identity", h.one(), "01 07 0005 01")
		var waits []time.Duration
		for range 3 {
			time.Sleep(time.Until(h.method.deadline()))
			h.method.expire(time.Now())
			isBytes(t, "Identity again", h.one(), "01 07 0005 01")
			waits = append(waits, time.Since(begun))
		}
		if fmt.Sprint(waits) != "[3s 9s 21s]" {
			t.Errorf("repeated after %v", waits)
		}
		for _, s := range []string{"02 08 0007 01 6162", "01 07 0007 01 6162", "02 07 0004", "02 07 0006 03 04", "02 07 0008 01 6162", "02 07 0003"} {
			h.give(unhexed(t, s))
		}
		h.give(appendPacket(nil, eapResponse, 7, append([]byte{1}, strings.Repeat("n", 257)...)))
		if len(h.asked) > 0 {
			t.Fatalf("asked for %+v", h.asked[0])
		}
		h.give(unhexed(t, "02 07 0007 01 6162 ffff")) // padding
		h.give(unhexed(t, "02 07 0007 01 6162"))
		h.none("while it thinks")
		if q := h.asked[0]; len(h.asked) != 1 || q.User != "ab" || len(q.EAP) != 7 {
			t.Fatalf("asked %d times, %+v", len(h.asked), q)
		}
		for _, c := range []string{"", "01 08 0006 ff", "02 08 0005 ff", "03 08 0004", "01 07 0005 ff", "01 08 0004"} {
			next <- unhexed(t, c)
			h.take()
			if r := <-rounds; r.err == nil {
				t.Errorf("%s may be sent", c)
			}
		}
		next <- make([]byte, 1501)
		h.take()
		if r := <-rounds; r.err == nil {
			t.Error("more than fits may be sent")
		}
		next <- unhexed(t, "01 00 0006 ff 41") // identifiers are the Authenticator's
		isBytes(t, "Request", h.one(), "01 00 0006 ff 41")
		h.give(unhexed(t, "02 07 0006 ff 42"))
		h.give(unhexed(t, "02 00 0006 03 0d")) // a Nak is an answer
		h.give(unhexed(t, "02 00 0006 ff 43"))
		h.take()
		if r := <-rounds; r.err != nil || !bytes.Equal(r.answer, unhexed(t, "02 00 0006 03 0d")) {
			t.Errorf("%x, %v", r.answer, r.err)
		}
		next <- unhexed(t, "01 01 0005 ff")
		h.one()
		h.rig.settle(10 * time.Minute)
		if n := len(h.take()); n != eapTries-1 {
			t.Errorf("repeated %d times", n)
		}
		var silent *NegotiationError
		if r := <-rounds; !errors.As(r.err, &silent) {
			t.Error(r.err)
		}
		decide <- nil
		isBytes(t, "Success", h.one(), "03 01 0004")
		h.give(unhexed(t, "02 01 0005 ff"))
		isBytes(t, "Success again", h.one(), "03 01 0004")
		h.give(unhexed(t, "02 00 0005 ff"))
		h.none("an old Response")
		if h.grant == nil {
			t.Error(h.err)
		}
	})
}

// Busy, cancelled and late exchanges end with an error and hang never.
func TestEAPExchangeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
			two, stop := context.WithTimeout(ctx, 2*time.Second)
			defer stop()
			errs := make(chan error, 2)
			for i := range 2 {
				go func() {
					_, err := req.Exchange(two, unhexed(t, fmt.Sprintf("01 %02x 0005 ff", 0x80+i)))
					errs <- err
				}()
				time.Sleep(time.Second)
			}
			if err := errors.Join(<-errs, <-errs); !errors.Is(err, errEAPBusy) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("two at once, and then cancelled: %v", err)
			}
			go func() { // left behind, without a ctx that ends
				_, err := req.Exchange(context.Background(), unhexed(t, "01 90 0005 ff"))
				if !errors.Is(err, errEAPOver) && !errors.Is(err, net.ErrClosed) {
					t.Errorf("left behind: %v", err)
				}
			}()
			time.Sleep(time.Second)
			msk := eapMSK()
			return &Grant{RecvKey: msk[:32], SendKey: msk[32:]}, nil
		})
		h := newRig(t, EAP, &Config{Authenticator: server}, nil).verifier
		h.method.begin(time.Now())
		id := h.one()[1]
		h.give(appendPacket(nil, eapResponse, id, []byte("\x01alice")))
		h.rig.settle(2500 * time.Millisecond)
		h.rig.settle(10 * time.Second)
		if h.grant == nil {
			t.Fatal(h.err)
		}
		late := make(chan error)
		go func() {
			_, err := h.asked[0].Exchange(context.Background(), unhexed(t, "01 91 0005 ff"))
			late <- err
		}()
		h.take()
		if err := <-late; !errors.Is(err, errEAPOver) {
			t.Errorf("late: %v", err)
		}
		h.stop()
		if _, err := h.asked[0].Exchange(context.Background(), unhexed(t, "01 92 0005 ff")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the link: %v", err)
		}
	})
}

// The client's side: stored responses, lock-step, Success under the identifier or the next, Failure.
func TestEAPClientScript(t *testing.T) {
	for _, c := range []struct {
		end string
		ok  bool
	}{
		{"03 02 0004", true},
		{"03 03 0004", true}, // counts on
		{"03 02 0008 00000000", true},
		{"04 02 0004", false},
		{"04 03 0004", false},
	} {
		bubble(t, c.end, func(t *testing.T) {
			h := newRig(t, EAP, nil, &Config{EAP: tokenPeer}).prover
			h.method.begin(time.Now())
			h.give(unhexed(t, "01 01 0004"))
			h.give(unhexed(t, "01 01 0005 01"))
			h.give(unhexed(t, "01 01 0005 01")) // while it thinks
			isBytes(t, "Identity", h.one(), "02 01 000a 01 616c696365")
			h.give(unhexed(t, "01 01 0005 01"))
			isBytes(t, "Identity again", h.one(), "02 01 000a 01 616c696365")
			h.give(unhexed(t, "01 02 0007 ff 7778"))
			h.give(unhexed(t, "01 09 0007 ff 7778")) // it still thinks of the last one
			isBytes(t, "Response", h.one(), "02 02 000a ff 6d79207778")
			for _, s := range []string{"03 01 0004", "03 04 0004", "04 01 0004", "03 02 0003"} {
				h.give(unhexed(t, s))
				h.none(s)
			}
			if h.isProved > 0 || h.err != nil {
				t.Fatalf("proved %d times, %v", h.isProved, h.err)
			}
			h.give(unhexed(t, c.end))
			h.none(c.end)
			var e *AuthError
			if c.ok != (h.isProved == 1) || !c.ok && (!errors.As(h.err, &e) || !e.Remote) {
				t.Errorf("proved %d times, %v", h.isProved, h.err)
			}
			if c.ok {
				h.give(unhexed(t, "01 02 0007 ff 7778"))
				isBytes(t, "Response again", h.one(), "02 02 000a ff 6d79207778")
				h.give(unhexed(t, "01 07 0005 01")) // the server begins again
				h.one()
				h.give(unhexed(t, "03 07 0004"))
				h.take()
				if h.isProved != 1 || h.err != nil {
					t.Errorf("after another round: proved %d times, %v", h.isProved, h.err)
				}
				h.give(unhexed(t, "01 09 0005 01"))
				h.one()
				h.give(unhexed(t, "04 09 0004"))
				if h.take(); h.err == nil {
					t.Error("another round's Failure does not end the link")
				}
			}
		})
	}
}

// A method that knows the Success for too early waits on; one that is content before it is said waits for it.
func TestEAPClientOrder(t *testing.T) {
	bubble(t, "too early", func(t *testing.T) {
		h := newRig(t, EAP, nil, &Config{EAP: func(ctx context.Context, request []byte, x Exchange) ([]byte, error) {
			if _, err := x(ctx, nil); err == nil {
				t.Error("waits without having answered")
			}
			if _, err := x(ctx, unhexed(t, "02 01 0005 ff")); err != io.EOF {
				t.Errorf("want the early Success, got %v", err)
			}
			next, err := x(ctx, nil)
			if err != nil {
				return nil, err
			}
			if _, err := x(ctx, appendPacket(nil, eapResponse, next[1]+1, []byte{255})); err == nil {
				t.Error("answers what was not asked")
			}
			_, err = x(ctx, appendPacket(nil, eapResponse, next[1], []byte{255}))
			if err != io.EOF {
				return nil, err
			}
			return eapMSK(), nil
		}}).prover
		h.give(unhexed(t, "01 01 0005 ff"))
		h.one()
		h.give(unhexed(t, "03 01 0004"))
		h.none("Success")
		h.give(unhexed(t, "01 02 0005 ff"))
		h.one()
		h.give(unhexed(t, "03 02 0004"))
		h.take()
		if h.isProved != 1 {
			t.Error(h.err)
		}
	})
	content := func(t *testing.T) *rigHost {
		ctx, stop := context.WithCancel(t.Context())
		h := newRig(t, EAP, nil, &Config{EAP: func(_ context.Context, request []byte, x Exchange) ([]byte, error) {
			go func() {
				time.Sleep(time.Second)
				stop()
			}()
			x(ctx, unhexed(t, "02 01 0005 ff")) // it does not care for what comes
			return eapMSK(), nil
		}}).prover
		h.give(unhexed(t, "01 01 0005 ff"))
		h.one()
		time.Sleep(2 * time.Second)
		h.take()
		if h.isProved > 0 {
			t.Fatal("proved without the server's Success")
		}
		return h
	}
	bubble(t, "content, Success", func(t *testing.T) {
		h := content(t)
		h.give(unhexed(t, "03 01 0004"))
		if h.isProved != 1 {
			t.Error(h.err)
		}
	})
	bubble(t, "content, Failure", func(t *testing.T) {
		h := content(t)
		h.give(unhexed(t, "04 01 0004"))
		var e *AuthError
		if !errors.As(h.err, &e) || !e.Remote {
			t.Error(h.err)
		}
	})
	bubble(t, "content, silence", func(t *testing.T) {
		h := content(t)
		h.rig.settle(time.Hour)
		var e *NegotiationError
		if !errors.As(h.err, &e) {
			t.Error(h.err)
		}
	})
	bubble(t, "gives up", func(t *testing.T) {
		for _, why := range []error{errTest, &AuthError{Err: errTest}, &NegotiationError{Err: errTest}} {
			h := newRig(t, EAP, nil, &Config{EAP: func(context.Context, []byte, Exchange) ([]byte, error) { return eapMSK(), why }}).prover
			h.give(unhexed(t, "01 01 0005 ff"))
			h.none("gives up")
			if !errors.Is(h.err, errTest) || h.isProved > 0 {
				t.Errorf("%v", h.err)
			}
		}
	})
}

// Through two links, the goroutines beside R included.
func TestConnEAP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := configs(EAP)
		server.Auth = []AuthProtocol{EAP}
		server.Addr, server.Pool = serverAddr, &onePool{addr: clientAddr}
		client.User = "outer"
		c, s := ends(t, client, server)
		a, b := c.fc.(*pipeEnd), s.fc.(*pipeEnd)
		msk := eapMSK()
		if !bytes.Equal(a.send, msk[:32]) || !bytes.Equal(a.recv, msk[32:]) || !bytes.Equal(b.recv, a.send) || !bytes.Equal(b.send, a.recv) {
			t.Errorf("keys: client %x %x, server %x %x", a.send, a.recv, b.send, b.recv)
		}
		if i := s.Info(); i.User != "proven alice" || i.Claimed != "alice" || i.Auth != EAP || i.EAPType != 255 {
			t.Errorf("%+v", i)
		}
		if i := c.Info(); i.EAPType != 255 || i.Auth != EAP {
			t.Errorf("%+v", i)
		}
		c.Close()
		s.Close()
	})
}

// A link that ends in the middle takes the conversation with it, whatever ctx it uses.
func TestConnEAPEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		server := &Config{Auth: []AuthProtocol{EAP}, Authenticator: AuthenticatorFunc(func(_ context.Context, req *AuthRequest) (*Grant, error) {
			_, err := req.Exchange(context.Background(), unhexed(t, "01 f0 0005 ff"))
			ended <- err
			return nil, err
		})}
		client := &Config{EAP: func(ctx context.Context, request []byte, x Exchange) ([]byte, error) {
			if _, err := x(ctx, appendPacket(nil, eapResponse, request[1], []byte("\x01alice"))); err != nil {
				return nil, err
			}
			<-ctx.Done() // thinks until the link is over
			return nil, ctx.Err()
		}}
		a, b := newPipe()
		c, s := Client(a, Call{Verified: true}, client), Server(b, Call{}, server)
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		done := make(chan error)
		go func() { done <- s.Open(t.Context()) }()
		if err := c.Open(ctx); err == nil {
			t.Error("opened")
		}
		if err := <-done; err == nil {
			t.Error("opened")
		}
		if err := <-ended; err == nil {
			t.Error("the conversation went on")
		}
	})
}

// The server's Configure-Requests come right behind its Success, which the client's method, beside R, may still think
// about: they must not be lost, or each login would take a restart timer longer.
func TestNetworkRequestsBehindEAPSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := configs(EAP)
		server.Auth = []AuthProtocol{EAP}
		server.Addr, server.Pool = serverAddr, &onePool{addr: clientAddr}
		method := client.EAP
		client.EAP = func(ctx context.Context, request []byte, x Exchange) ([]byte, error) {
			msk, err := method(ctx, request, x)
			time.Sleep(100 * time.Millisecond)
			return msk, err
		}
		start := time.Now()
		c, s := ends(t, client, server)
		if d := time.Since(start); d > time.Second {
			t.Errorf("open after %v", d)
		}
		c.Close()
		s.Close()
	})
}

// What is held is bounded, and nothing but the last Configure-Request of a network protocol from a far side that is through.
func TestHeldControlIsBounded(t *testing.T) {
	request := []byte{codeConfigureRequest, 1, 0, 4}
	c := new(Conn)
	if c.holdControl(protoIPCP, request) {
		t.Error("held without EAP")
	}
	p := new(eapProver)
	c.auth.prover = p
	if c.holdControl(protoIPCP, request) {
		t.Error("held before the Success")
	}
	p.success = true
	c.auth.verifier = new(papVerifier)
	if c.holdControl(protoIPCP, request) {
		t.Error("held while the far side has to prove itself")
	}
	c.auth.verifier = nil
	if c.holdControl(0x80fd, request) {
		t.Error("CCP is held")
	}
	if c.holdControl(protoIPCP, []byte{codeTerminateRequest, 1, 0, 4}) || c.holdControl(protoIPCP, request[:3]) {
		t.Error("what is no Configure-Request is held")
	}
	for n := range maxHeld + 2 {
		pkt := make([]byte, 4+n)
		pkt[0] = codeConfigureRequest
		if c.holdControl(protoIPV6CP, pkt) != (len(pkt) <= maxHeld) {
			t.Errorf("a packet of %d bytes", len(pkt))
		}
	}
	if len(c.ipv6cp.held) != maxHeld || c.ipcp.held != nil {
		t.Errorf("%d bytes are held", len(c.ipv6cp.held))
	}
}

// A Success that is lost is told by the network protocols behind it, whether the method waits for it or is content already.
func TestLostEAPSuccess(t *testing.T) {
	for _, content := range []bool{false, true} {
		bubble(t, fmt.Sprint("content ", content), func(t *testing.T) {
			server, client := configs(EAP)
			server.Auth = []AuthProtocol{EAP}
			server.Addr, server.Pool = serverAddr, &onePool{addr: clientAddr}
			if content {
				method := client.EAP
				client.EAP = func(ctx context.Context, request []byte, x Exchange) ([]byte, error) {
					// It answers the last Request, and does not wait for what is said of it.
					return method(ctx, request, func(ctx context.Context, packet []byte) ([]byte, error) {
						if packet != nil && packet[4] != eapIdentity {
							ctx, cancel := context.WithCancel(ctx)
							time.AfterFunc(time.Millisecond, cancel)
							answer, err := x(ctx, packet)
							if ctx.Err() != nil {
								err = io.EOF
							}
							return answer, err
						}
						return x(ctx, packet)
					})
				}
			}
			a, b := newPipe()
			lost := 0
			b.drop = func(f []byte) bool {
				if bytes.HasPrefix(f, []byte{0xff, 3, 0xc2, 0x27, eapSuccess}) && lost == 0 {
					lost++
					return true
				}
				return false
			}
			c, s := Client(a, Call{Tunnel: "test", Verified: true}, client), Server(b, Call{Tunnel: "test"}, server)
			start := time.Now()
			openBoth(t, c, s)
			if d := time.Since(start); lost != 1 || d > 5*time.Second {
				t.Errorf("%d lost, open after %v", lost, d)
			}
			c.Close()
			s.Close()
		})
	}
}

// A network protocol in the middle of EAP is no Success to a method that is not through: no more than a Success is.
func TestNetworkRequestInTheMiddleOfEAP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := configs(EAP)
		server.Auth = []AuthProtocol{EAP}
		server.Addr, server.Pool = serverAddr, &onePool{addr: clientAddr}
		a, b := newPipe()
		var early atomic.Int32
		client.EAP = func(ctx context.Context, request []byte, x Exchange) ([]byte, error) {
			return tokenPeer(ctx, request, func(ctx context.Context, packet []byte) ([]byte, error) {
				answer, err := x(ctx, packet)
				for early.Load() == 0 && err == io.EOF {
					early.Add(1)
					answer, err = x(ctx, nil) // as the methods of package eap do
				}
				return answer, err
			})
		}
		b.drop = func(f []byte) bool {
			if bytes.HasPrefix(f, []byte{0xff, 3, 0xc2, 0x27, eapRequest}) && f[8] != eapIdentity && early.Load() == 0 {
				b.peer.mu.Lock()
				b.peer.queue = append(b.peer.queue, []byte{0xff, 3, 0x80, 0x21, codeConfigureRequest, 1, 0, 10, 3, 6, 10, 8, 0, 9})
				b.peer.mu.Unlock()
			}
			return false
		}
		c, s := Client(a, Call{Tunnel: "test", Verified: true}, client), Server(b, Call{Tunnel: "test"}, server)
		openBoth(t, c, s)
		if i := c.Info(); early.Load() != 1 || i.Peer != serverAddr {
			t.Errorf("%d early ends, %+v", early.Load(), i)
		}
		c.Close()
		s.Close()
	})
}

// A method that has refused the server says so, though the server, which heard of it, refuses and hangs up first.
func TestEAPRefusalOfOursIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := configs(EAP)
		server.Auth = []AuthProtocol{EAP}
		server.Authenticator = AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
			_, err := req.Exchange(ctx, appendPacket(nil, eapRequest, req.EAP[1]+1, []byte{255, 1}))
			return nil, errors.Join(err, &AuthError{})
		})
		client.EAP = func(ctx context.Context, request []byte, x Exchange) ([]byte, error) {
			request, err := x(ctx, appendPacket(nil, eapResponse, request[1], append([]byte{eapIdentity}, "alice"...)))
			if err != nil {
				return nil, err
			}
			x(context.WithoutCancel(ctx), appendPacket(nil, eapResponse, request[1], []byte{255, 0})) // no
			time.Sleep(time.Second)
			return nil, &NegotiationError{Phase: "token", Remote: true, Err: errTest}
		}
		a, b := newPipe()
		c, s := Client(a, Call{Verified: true}, client), Server(b, Call{}, server)
		done := make(chan error)
		go func() { done <- s.Open(t.Context()) }()
		if err := c.Open(t.Context()); !errors.Is(err, errTest) {
			t.Errorf("client: %v", err)
		}
		var e *AuthError
		if err := <-done; !errors.As(err, &e) {
			t.Errorf("server: %v", err)
		}
	})
}
