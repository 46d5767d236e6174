package ppp

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A slow Authenticator decides after a while, as RADIUS and telephones do.
type slow struct {
	delay         time.Duration
	calls, ended  atomic.Int32
	cancelled     atomic.Int32
	cancelledLast time.Time
}

func (s *slow) Authenticate(ctx context.Context, req *AuthRequest) (*Grant, error) {
	s.calls.Add(1)
	defer s.ended.Add(1)
	select {
	case <-time.After(s.delay):
		return &Grant{User: req.User, Addr: clientAddr}, nil
	case <-ctx.Done():
		s.cancelledLast = time.Now()
		s.cancelled.Add(1)
		return nil, ctx.Err()
	}
}

func askPAP(t *testing.T, s *slow) (f *far, c *Conn, done chan error, cancel context.CancelFunc) {
	f, c = farOf(t, true, &Config{Authenticator: s, Auth: []AuthProtocol{PAP}, Addr: serverAddr, NoIPv6: true})
	ctx, cancel := context.WithCancel(t.Context())
	done = make(chan error, 1)
	go func() { done <- c.Open(ctx) }()
	f.openLCP()
	f.send(protoPAP, papRequest, appendPAPRequest(nil, "u", "p")...)
	return f, c, done, cancel
}

// While somebody decides, the link lives: echoes are answered, repeats are dropped, and the answer goes to the last one.
func TestOneDecisionForSevenRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{delay: 20 * time.Second}
		f, c, done, cancel := askPAP(t, s)
		defer cancel()
		var last byte
		for range 6 { // pppd repeats each 3 s
			time.Sleep(3 * time.Second)
			last = f.send(protoPAP, papRequest, appendPAPRequest(nil, "u", "p")...)
			f.send(protoLCP, codeEchoRequest, 0, 0, 0, 0)
			f.want(protoLCP, codeEchoReply)
		}
		if p := f.want(protoPAP, papAck); p.id != last {
			t.Errorf("%v answers %d", p, last)
		}
		// One that was on its way gets the same answer (RFC 1334 section 2.2.1), now and later.
		f.want(protoIPCP, codeConfigureRequest)
		id := f.send(protoPAP, papRequest, appendPAPRequest(nil, "u", "p")...)
		if p := f.want(protoPAP, papAck); p.id != id {
			t.Errorf("%v", p)
		}
		p := f.want(protoIPCP, codeConfigureRequest)
		f.answer(protoIPCP, codeConfigureAck, p.id, p.data...)
		f.request(protoIPCP, quad(3, "10.8.0.77")...)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		_, ended := serve(c)
		id = f.send(protoPAP, papRequest, appendPAPRequest(nil, "somebody", "else")...)
		if p := f.want(protoPAP, papAck); p.id != id {
			t.Errorf("%v", p)
		}
		if n := s.calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		c.Close()
		f.bye()
		<-ended
	})
}

// A client that is let in by the call alone is through when its server still asks: what it wants of the network protocols
// is not lost, and its last word counts.
func TestRequestsAheadOfTheDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{delay: 7 * time.Second}
		f, c := farOf(t, true, &Config{Authenticator: s, Auth: []AuthProtocol{}, Addr: serverAddr})
		done := open(t, c)
		f.openLCP()
		f.send(protoIPCP, codeConfigureRequest, quad(3, "10.8.0.77")...)
		f.send(protoIPV6CP, codeConfigureRequest, 1, 10, 0, 0, 0, 0, 0, 0, 0, 7)
		time.Sleep(3 * time.Second)
		four := f.send(protoIPCP, codeConfigureRequest, quad(3, "10.8.0.77")...)
		six := f.send(protoIPV6CP, codeConfigureRequest, 1, 10, 0, 0, 0, 0, 0, 0, 0, 8)
		f.silent(3 * time.Second)
		f.ack(protoIPCP)
		f.ack(protoIPV6CP)
		if p := f.want(protoIPCP, codeConfigureAck); p.id != four {
			t.Errorf("%v answers %d", p, four)
		}
		if p := f.want(protoIPV6CP, codeConfigureAck); p.id != six {
			t.Errorf("%v answers %d", p, six)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if i := c.Info(); i.Peer != clientAddr || !i.Peer6.IsValid() {
			t.Errorf("%+v", i)
		}
		c.Close()
		f.bye()
	})
}

// Everything that ends a session ends the decision, at once.
func TestDecisionEndsWithTheSession(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(f *far, c *Conn, cancel context.CancelFunc)
		bye  bool // this end says goodbye
		want func(err error) bool
	}{
		"hang-up": {
			end: func(f *far, c *Conn, cancel context.CancelFunc) { f.end.Close() },
			want: func(err error) bool {
				var n *NegotiationError
				return errors.As(err, &n) && n.Phase == "PAP"
			},
		},
		"the far side's goodbye": {
			end: func(f *far, c *Conn, cancel context.CancelFunc) { f.send(protoLCP, codeTerminateRequest) },
			want: func(err error) bool {
				var n *NegotiationError
				return errors.As(err, &n) && n.Phase == "PAP" && n.Theirs == "Terminate-Request"
			},
		},
		"Open's ctx": {
			end:  func(f *far, c *Conn, cancel context.CancelFunc) { cancel() },
			bye:  true,
			want: func(err error) bool { return errors.Is(err, context.Canceled) },
		},
		"Terminate": {
			end: func(f *far, c *Conn, cancel context.CancelFunc) { c.Terminate(AdminReset, "") },
			bye: true,
			want: func(err error) bool {
				var e *TerminatedError
				return errors.As(err, &e) && e.Cause == AdminReset
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slow{delay: time.Hour}
				f, c, done, cancel := askPAP(t, s)
				defer cancel()
				time.Sleep(7 * time.Second)
				now := time.Now()
				tt.end(f, c, cancel)
				if tt.bye {
					f.bye()
				}
				if err := <-done; !tt.want(err) {
					t.Errorf("%v", err)
				}
				if s.calls.Load() != 1 || s.cancelled.Load() != 1 || s.ended.Load() != 1 || !s.cancelledLast.Equal(now) {
					t.Errorf("%d calls, %d cancelled %v after", s.calls.Load(), s.cancelled.Load(), s.cancelledLast.Sub(now))
				}
			})
		})
	}
}

// LCP goes down while somebody decides: the decision is not the next authentication's, which waits for its end.
func TestDecisionOfAnEarlierRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		f, c := farOf(t, true, &Config{
			Auth: []AuthProtocol{PAP}, Addr: serverAddr, NoIPv6: true,
			Authenticator: AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
				calls.Add(1)
				if req.User == "alice" {
					<-ctx.Done()
					time.Sleep(5 * time.Second) // and does not hurry
					return &Grant{User: "alice"}, nil
				}
				return nil, &AuthError{}
			}),
		})
		done := open(t, c)
		f.openLCP()
		f.send(protoPAP, papRequest, appendPAPRequest(nil, "alice", "p")...)
		time.Sleep(time.Second)
		f.send(protoLCP, codeConfigureRequest)
		f.ack(protoLCP)
		f.want(protoLCP, codeConfigureAck)
		f.send(protoPAP, papRequest, appendPAPRequest(nil, "mallory", "p")...)
		f.want(protoPAP, papNak)
		f.bye()
		var e *AuthError
		if err := <-done; !errors.As(err, &e) {
			t.Errorf("%v", err)
		}
		if calls.Load() != 2 {
			t.Errorf("%d calls", calls.Load())
		}
	})
}

func TestNilGrantRefuses(t *testing.T) {
	for _, auth := range [][]AuthProtocol{{}, {PAP}} {
		synctest.Test(t, func(t *testing.T) {
			f, c := farOf(t, true, &Config{Authenticator: says(nil, nil), Auth: auth})
			done := open(t, c)
			f.openLCP()
			if len(auth) > 0 {
				f.send(protoPAP, papRequest, appendPAPRequest(nil, "u", "p")...)
				f.want(protoPAP, papNak)
			}
			f.bye()
			var e *AuthError
			if err := <-done; !errors.As(err, &e) || e.Remote {
				t.Errorf("%v", err)
			}
		})
	}
}

// Protocols for which there is no method are refused by name.
func TestAuthenticationThatIsNotSpoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{Authenticator: says(nil, nil), Auth: []AuthProtocol{77}})
		done := open(t, c)
		f.openLCP()
		f.bye()
		var n *NegotiationError
		if err := <-done; !errors.As(err, &n) || n.Hint == "" {
			t.Errorf("%v", err)
		}
	})
}

// Keys: of the authentication in which the server is the authenticator, and only of it.
func TestBindGetsTheKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe()
		known := PasswordFunc(func(_ context.Context, user string) (Secret, error) { return "clientPass", nil })
		c := Client(a, Call{Verified: true}, &Config{User: "User", Password: "clientPass", Authenticator: known, NoIPv6: true})
		s := Server(b, Call{Verified: true}, &Config{User: "Server", Password: "clientPass", Authenticator: known, NoIPv6: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}})
		openBoth(t, c, s)
		if len(a.send) != 16 || len(a.recv) != 16 || string(a.send) != string(b.recv) || string(a.recv) != string(b.send) {
			t.Errorf("client %x %x, server %x %x", a.send, a.recv, b.send, b.recv)
		}
		if c.Info().User != "User" || s.Info().User != "User" || c.Grant().User != "Server" || s.Info().Auth != MSCHAPv2 {
			t.Errorf("%+v, %+v", c.Info(), s.Info())
		}
		if c.auth.keys != nil || s.auth.keys != nil {
			t.Error("keys are kept")
		}
		_, e1 := serve(c)
		_, e2 := serve(s)
		c.Close()
		<-e1
		<-e2
	})
}
