package ppp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// granted is a server's end with a Grant, served, and its far side.
func granted(t *testing.T, g *Grant, config *Config) (f *far, c *Conn, packets chan []byte, ended chan error) {
	t.Helper()
	if config == nil {
		config = &Config{}
	}
	if g.User == "" {
		g.User = "u"
	}
	config.Authenticator, config.Auth, config.NoIPv6, config.Addr = says(g, nil), []AuthProtocol{PAP}, true, serverAddr
	if !g.Addr.IsValid() {
		g.Addr = clientAddr
	}
	f, c = farOf(t, true, config)
	done := open(t, c)
	f.openLCP()
	f.send(protoPAP, papRequest, appendPAPRequest(nil, "u", "p")...)
	f.want(protoPAP, papAck)
	f.openIPCP(clientAddr.As4(), serverAddr.As4())
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	packets, ended = serve(c)
	return f, c, packets, ended
}

// data sends an IPv4 packet to the server's end.
func (f *far) data(size int) {
	f.raw(append([]byte{0xff, 3, 0, 0x21}, ipv4(clientAddr, serverAddr, size)...)...)
}

func endedBy(t *testing.T, ended chan error, cause Cause, remote bool) {
	t.Helper()
	var e *TerminatedError
	if err := <-ended; !errors.As(err, &e) || e.Cause != cause || e.Remote != remote || !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended by %v, want %v", err, cause)
	}
}

func TestSessionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, _, ended := granted(t, &Grant{SessionTimeout: 10 * time.Minute}, &Config{Echo: -1})
		began := time.Now()
		for range 19 {
			f.silent(30 * time.Second)
			f.data(64)
		}
		f.bye()
		if d := time.Since(began); d != 10*time.Minute {
			t.Errorf("after %v", d)
		}
		endedBy(t, ended, SessionTimeout, false)
		if c := context.Cause(c.Context()); c == nil || c.(*TerminatedError).Cause != SessionTimeout {
			t.Errorf("Context: %v", c)
		}
	})
}

func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, _, ended := granted(t, &Grant{IdleTimeout: 10 * time.Minute}, nil)
		began := time.Now()
		pause := func(d time.Duration) { // echoes are no use
			for end := time.Now().Add(d); time.Now().Before(end); {
				if b := f.read(time.Until(end)); b != nil {
					if proto, n := parseFrame(b); proto == protoLCP {
						f.answer(protoLCP, codeEchoReply, b[n+1], 0, 0, 0, 0)
					}
				}
			}
		}
		pause(9 * time.Minute)
		f.data(64) // either direction counts
		pause(9 * time.Minute)
		c.Write([][]byte{ipv4(serverAddr, clientAddr, 64)}, 0)
		pause(9*time.Minute + 59*time.Second)
		if c.Context().Err() != nil {
			t.Error("ended too early")
		}
		f.bye()
		if d := time.Since(began); d != 28*time.Minute {
			t.Errorf("after %v", d)
		}
		endedBy(t, ended, IdleTimeout, false)
	})
}

func TestSetGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, packets, ended := granted(t, &Grant{Value: 7, SendKey: []byte{1}}, &Config{Echo: -1})
		g := *c.Grant()
		if g.SendKey != nil || g.Value != 7 || g.User != "u" {
			t.Errorf("%+v", g)
		}
		f.silent(time.Hour)
		g.User, g.IdleTimeout = "eve", time.Minute
		g.In = func(p []byte) bool { return len(p) < 100 }
		g.Out = func(p []byte) bool { return len(p) < 200 }
		c.SetGrant(&g)
		synctest.Wait()
		if c.Grant().User != "u" {
			t.Error("SetGrant changes the name")
		}
		f.data(99)
		f.data(100)
		if p := <-packets; len(p) != 99 {
			t.Errorf("%d", len(p))
		}
		if n, _ := c.Write([][]byte{ipv4(serverAddr, clientAddr, 200), ipv4(serverAddr, clientAddr, 199), ipv4(serverAddr, clientAddr, 201)}, 0); n != 1 {
			t.Errorf("%d written", n)
		}
		f.read(time.Second)
		g.IdleTimeout, g.SessionTimeout = 0, time.Hour+time.Minute
		c.SetGrant(&g)
		f.silent(30 * time.Second)
		f.bye()
		endedBy(t, ended, SessionTimeout, false)
		if len(packets) != 0 {
			t.Error("Grant.In does not filter")
		}
	})
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// 80 kbit/s: 10,000 bytes a second, bucket 20,000.
		f, c, packets, ended := granted(t, &Grant{RateIn: Rate{80_000, 20_000}, RateOut: Rate{80_000, 20_000}}, nil)
		in, out := 0, 0
		for i := range 101 {
			for range 10 {
				f.data(1000)
				n, _ := c.Write([][]byte{ipv4(serverAddr, clientAddr, 1000), ipv4(serverAddr, clientAddr, 1000)}, 0)
				out += n
			}
			if i < 100 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		synctest.Wait()
		for len(packets) > 0 {
			<-packets
			in++
		}
		// 10 s and the bucket: 120,000 bytes.
		if in != 120 || out != 120 {
			t.Errorf("%d in, %d out", in, out)
		}
		c.Close()
		<-ended
	})
}

// A FrameConn that can delay is given the rate; one that cannot drops.
func TestRateOfTheTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe()
		r := &ratedPipe{pipeEnd: b}
		s := Server(r, Call{}, &Config{Authenticator: says(&Grant{User: "u", Addr: clientAddr, RateOut: Rate{8000, 0}}, nil), Auth: []AuthProtocol{}, Addr: serverAddr, NoIPv6: true})
		c := Client(a, Call{}, &Config{NoIPv6: true})
		openBoth(t, c, s)
		if r.rate.Bits != 8000 {
			t.Errorf("%+v", r.rate)
		}
		many := make([][]byte, 100)
		for i := range many {
			many[i] = ipv4(serverAddr, clientAddr, 1400)
		}
		if n, _ := s.Write(many, 0); n != 100 {
			t.Errorf("%d written", n)
		}
		_, e1 := serve(c)
		_, e2 := serve(s)
		s.SetGrant(&Grant{})
		synctest.Wait()
		if r.rate.Bits != 0 {
			t.Errorf("%+v", r.rate)
		}
		s.Close()
		<-e1
		<-e2
	})
}

type ratedPipe struct {
	*pipeEnd
	rate Rate
}

func (p *ratedPipe) SetRate(r Rate) { p.rate = r }

func TestLostPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, _, ended := ready(t, &Config{Echo: 30 * time.Second})
		began := time.Now()
		for i := range maxEchoes {
			p := f.want(protoLCP, codeEchoRequest)
			if len(p.data) != 4 {
				t.Errorf("%v", p)
			}
			if d := time.Since(began); d != 30*time.Second+time.Duration(i)*echoRetry {
				t.Errorf("echo %d after %v", i, d)
			}
		}
		f.want(protoLCP, codeTerminateRequest) // it may hear, but nobody waits for its answer
		endedBy(t, ended, LostCarrier, true)
		if d := time.Since(began); d != 30*time.Second+maxEchoes*echoRetry {
			t.Errorf("after %v", d)
		}
	})
}

// TestSetSilence: the time until the link is lost is the whole time, whatever Config.Echo says.
func TestSetSilence(t *testing.T) {
	for _, c := range []struct{ silence, first, pause time.Duration }{
		{15 * time.Second, 3 * time.Second, 3 * time.Second},
		{100 * time.Second, time.Minute, echoRetry},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, conn, _, ended := ready(t, &Config{Echo: -1})
			time.Sleep(time.Hour)
			f.data(64)
			synctest.Wait()
			conn.SetSilence(c.silence)
			began := time.Now()
			for i := range maxEchoes {
				f.want(protoLCP, codeEchoRequest)
				if d := time.Since(began); d != c.first+time.Duration(i)*c.pause {
					t.Errorf("%v: echo %d after %v", c.silence, i, d)
				}
			}
			f.want(protoLCP, codeTerminateRequest)
			endedBy(t, ended, LostCarrier, true)
			if d := time.Since(began); d != c.silence {
				t.Errorf("%v: lost after %v", c.silence, d)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f, c, _, ended := ready(t, &Config{Echo: -1})
		c.SetSilence(time.Minute)
		c.SetSilence(0)
		f.silent(time.Hour)
		c.Close()
		f.bye()
		<-ended
	})
}

// Whatever comes is a sign of life: an answer, or anything else.
func TestEchoKeepsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, _, ended := ready(t, nil)
		for range 10 {
			p := f.want(protoLCP, codeEchoRequest)
			f.answer(protoLCP, codeEchoReply, p.id, 0, 0, 0, 0)
		}
		for range 10 {
			f.want(protoLCP, codeEchoRequest)
			f.data(64)
		}
		for range 100 {
			f.data(64)
			f.silent(defaultEcho - time.Second)
		}
		c.Close()
		f.bye()
		<-ended
	})
}

func TestNoEchoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, _, ended := ready(t, &Config{Echo: -1})
		f.silent(24 * time.Hour)
		c.Close()
		f.bye()
		<-ended
	})
}

func TestNobodyServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := ends(t, &Config{}, &Config{NoAuth: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}})
		_, ended := serve(c)
		<-s.Context().Done()
		var e *TerminatedError
		if err := context.Cause(s.Context()); !errors.As(err, &e) || e.Cause != NASError {
			t.Errorf("%v", err)
		}
		<-ended
	})
}

// Serve's ctx, Close before and during Serve, Close inside Serve, the far side's hang-up: all end it, and only once.
func TestWaysToEnd(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, f *far, c *Conn) error{
		"ctx": func(t *testing.T, f *far, c *Conn) error {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Minute/2, func() { cancel(errors.New("over")) })
			err := c.Serve(ctx, nothing)
			if e := err.(*TerminatedError); e.Cause != AdminReboot || e.Err.Error() != "over" {
				t.Error(err)
			}
			return err
		},
		"ctx that is over": func(t *testing.T, f *far, c *Conn) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return c.Serve(ctx, nothing)
		},
		"Close before Serve": func(t *testing.T, f *far, c *Conn) error {
			c.Close()
			return c.Serve(t.Context(), nothing)
		},
		"Close inside": func(t *testing.T, f *far, c *Conn) error {
			f.data(64)
			return c.Serve(t.Context(), func(bufs [][]byte, _ int) (int, error) {
				c.Close()
				return len(bufs), nil
			})
		},
		"to fails": func(t *testing.T, f *far, c *Conn) error {
			f.data(64)
			err := c.Serve(t.Context(), func([][]byte, int) (int, error) { return 0, errors.New("no device") })
			if e := err.(*TerminatedError); e.Cause != NASError || e.Err.Error() != "no device" {
				t.Error(err)
			}
			return err
		},
		"hang-up": func(t *testing.T, f *far, c *Conn) error {
			time.AfterFunc(time.Minute/2, func() { f.end.Close() })
			return c.Serve(t.Context(), nothing)
		},
		"two Serves": func(t *testing.T, f *far, c *Conn) error {
			first := make(chan error)
			go func() { first <- c.Serve(t.Context(), nothing) }()
			synctest.Wait()
			if err := c.Serve(t.Context(), nothing); err != errServed {
				t.Error(err)
			}
			if err := c.Open(t.Context()); err == nil {
				t.Error("opened twice")
			}
			c.Close()
			return <-first
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool := &onePool{addr: clientAddr}
				var list Sessions
				config := &Config{Sessions: &list, NoAuth: true, NoIPv6: true, Addr: serverAddr, Pool: pool}
				f, c := farOf(t, true, config)
				done := open(t, c)
				f.openLCP()
				f.openIPCP(clientAddr.As4(), serverAddr.As4())
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if list.Len() != 1 {
					t.Error("not listed")
				}
				err := end(t, f, c)
				if err == nil || !errors.Is(err, net.ErrClosed) {
					t.Errorf("%v", err)
				}
				if pool.gets != 1 || pool.puts != 1 || list.Len() != 0 {
					t.Errorf("%d gets, %d puts, %d listed", pool.gets, pool.puts, list.Len())
				}
				if c.Context().Err() == nil || context.Cause(c.Context()) != err {
					t.Errorf("Context: %v", context.Cause(c.Context()))
				}
				// It stays over.
				if again := c.Serve(t.Context(), nothing); again != err {
					t.Errorf("Serve after the end: %v", again)
				}
				if again := c.Open(t.Context()); again != err {
					t.Errorf("Open after the end: %v", again)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				c.SetGrant(&Grant{})
				c.Expect(nil)
				if c.Info().Peer != clientAddr || c.Stats().RxDropped > 1 {
					t.Errorf("%+v %+v", c.Info(), c.Stats())
				}
			})
		})
	}
}

func nothing(bufs [][]byte, _ int) (int, error) { return len(bufs), nil }

func TestConnThatWasNeverOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newPipe()
		c := Client(a, Call{ID: "x"}, nil)
		if err := c.Serve(t.Context(), nothing); err == nil {
			t.Error("served")
		}
		if c.Info().Call.ID != "x" || c.MTU() != 0 || c.Addrs() != nil || c.Prefixes() != nil || c.DNS() != nil || c.NBNS() != nil || c.Grant() != nil {
			t.Error("a link that is not open has something")
		}
		if n, err := c.Write([][]byte{make([]byte, 40)}, 0); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		c.Close()
		<-c.Context().Done()
		if err := c.Open(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

func TestConfigsThatCannotWork(t *testing.T) {
	for name, tt := range map[string]struct {
		server bool
		config *Config
	}{
		"server without an Authenticator": {true, &Config{}},
		"nothing to carry":                {false, &Config{NoIPv4: true, NoIPv6: true}},
		"ForCall refuses":                 {true, &Config{NoAuth: true, ForCall: func(*Call) (*Config, error) { return nil, errors.New("no such tenant") }}},
		"ForCall's has no Authenticator":  {true, &Config{NoAuth: true, ForCall: func(*Call) (*Config, error) { return &Config{}, nil }}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := farOf(t, tt.server, tt.config)
				if err := c.Open(t.Context()); err == nil {
					t.Error("opened")
				}
				if _, err := f.end.ReadFrames(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("something was said: %v", err)
				}
			})
		})
	}
}

func TestForCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &onePool{addr: clientAddr}
		var asked *Call
		f, c := farCall(t, true, Call{Called: "b.example", ID: "7"}, &Config{ForCall: func(call *Call) (*Config, error) {
			asked = call
			return &Config{NoAuth: true, Addr: serverAddr, Pool: pool, NoIPv6: true}, nil
		}})
		done := open(t, c)
		f.openLCP()
		f.openIPCP(clientAddr.As4(), serverAddr.As4())
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if asked == nil || asked.Called != "b.example" || asked.ID != "7" || pool.gets != 1 {
			t.Errorf("%+v", asked)
		}
		c.Close()
		f.bye()
	})
}

// Open's ctx bounds every phase, and the error names it.
func TestOpenIsBounded(t *testing.T) {
	for phase, play := range map[string]func(f *far){
		"LCP":       func(f *far) {},
		"MS-CHAPv2": func(f *far) { f.openLCP() },
		"IPCP": func(f *far) {
			f.openLCP()
			p := f.want(protoCHAP, chapChallenge)
			f.answer(protoCHAP, chapResponse, p.id, appendCHAPValue(nil, make([]byte, msResponseLen), "u")...)
			f.want(protoCHAP, chapSuccess)
		},
	} {
		t.Run(phase, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &Grant{User: "u", Addr: clientAddr, Proof: [20]byte{1}, SendKey: bytes.Repeat([]byte{1}, 16), RecvKey: bytes.Repeat([]byte{2}, 16)}
				f, c := farOf(t, true, &Config{Authenticator: says(g, nil), NoIPv6: true, Addr: serverAddr})
				ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
				defer cancel()
				began := time.Now()
				done := make(chan error)
				go func() { done <- c.Open(ctx) }()
				play(f)
				err := <-done
				var n *NegotiationError
				if !errors.As(err, &n) || n.Phase != phase || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v", err)
				}
				if d := time.Since(began); d != 7*time.Second+goodbyeTime {
					t.Errorf("after %v", d)
				}
			})
		})
	}
}

func TestErrorsSayWhatToTry(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want []string
	}{
		{&NegotiationError{Phase: "IPCP", Remote: true, Ours: "a", Theirs: "b", Hint: "c", Err: errors.New("d")}, []string{"ppp: IPCP failed at the far side", "asked a", "got b", "(c)", "d"}},
		{&TerminatedError{Cause: IdleTimeout, Remote: true, Reason: "r", Err: errors.New("d")}, []string{"Idle-Timeout", "by the far side", "r", "d"}},
		{&AuthError{Remote: true, Message: "m\n"}, []string{"691", "far side", `"m\n"`}},
	} {
		for _, s := range tt.want {
			if !strings.Contains(tt.err.Error(), s) {
				t.Errorf("%q lacks %q", tt.err, s)
			}
		}
	}
}

// The address is given back however Open fails: the Nth frame that this end reads is the last one.
func TestPoolIsWholeWhereverOpenFails(t *testing.T) {
	for n := range 12 {
		synctest.Test(t, func(t *testing.T) {
			pool := &onePool{addr: clientAddr, delay: time.Duration(n%3) * time.Second}
			a, b := newPipe()
			sent := 0
			a.drop = func([]byte) bool {
				sent++
				if sent > n {
					go b.Close()
					return true
				}
				return false
			}
			c := Client(a, Call{}, &Config{})
			s := Server(b, Call{}, &Config{NoAuth: true, Addr: serverAddr, Pool: pool})
			d1, d2 := open(t, c), open(t, s)
			<-d1
			if err := <-d2; err == nil {
				_, ended := serve(s)
				s.Close()
				<-ended
			}
			if c.Context().Err() == nil {
				_, ended := serve(c)
				<-ended
			}
			if pool.gets != pool.puts {
				t.Errorf("failing at frame %d: %d gets, %d puts", n, pool.gets, pool.puts)
			}
		})
	}
}

// The server's own address is not for its clients, even where the pool holds it.
func TestOwnAddressIsNotGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/30")}} // .1 and .2
		c, s := ends(t, &Config{NoIPv6: true}, &Config{NoAuth: true, Addr: serverAddr, Pool: pool, NoIPv6: true})
		if a := s.Info().Peer; a != netip.MustParseAddr("10.8.0.2") {
			t.Errorf("%v", a)
		}
		if pool.Free() != 1 {
			t.Errorf("%d free", pool.Free())
		}
		_, e1 := serve(c)
		_, e2 := serve(s)
		c.Close()
		<-e1
		<-e2
		if pool.Free() != 2 {
			t.Errorf("%d free", pool.Free())
		}
	})
}
