package ppp

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A peer that rejects the demand for authentication gets a goodbye, and no network protocol.
func TestLCPNeedsDemandedAuth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{Authenticator: says(&Grant{User: "u", Addr: clientAddr}, nil), Addr: serverAddr, NoIPv6: true})
		done := open(t, c)
		p := f.want(protoLCP, codeConfigureRequest)
		f.answer(protoLCP, codeConfigureReject, p.id, appendOption(nil, optAuth, authValue(MSCHAPv2))...)
		f.send(protoLCP, codeConfigureRequest)
		for {
			p := f.next()
			if p.proto == protoLCP && p.code == codeConfigureRequest {
				f.answer(protoLCP, codeConfigureAck, p.id, p.data...)
			}
			if p.proto == protoIPCP {
				t.Error("IPCP without authentication")
				c.Close()
			}
			if p.code == codeTerminateRequest {
				f.answer(protoLCP, codeTerminateAck, p.id)
				break
			}
		}
		var n *NegotiationError
		if err := <-done; !errors.As(err, &n) || n.Phase != "LCP" || !n.Remote || n.Ours != "MS-CHAPv2" {
			t.Errorf("%v", err)
		}
	})
}

func TestClientRefusesNoAuth(t *testing.T) {
	for name, tt := range map[string]struct {
		config *Config
		opens  bool
	}{
		"with credentials":              {&Config{User: "u", Password: "p"}, false},
		"with credentials, AllowNoAuth": {&Config{User: "u", Password: "p", AllowNoAuth: true}, true},
		"without":                       {&Config{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := farOf(t, false, tt.config)
				done := open(t, c)
				f.openLCP()
				p := f.next()
				if tt.opens {
					if p.proto != protoIPCP && p.proto != protoIPV6CP {
						t.Errorf("%v", p)
					}
					c.Close()
					f.bye()
					return
				}
				if p.code != codeTerminateRequest {
					t.Fatalf("%v", p)
				}
				f.answer(protoLCP, codeTerminateAck, p.id)
				var n *NegotiationError
				if err := <-done; !errors.As(err, &n) || !n.Remote || n.Hint == "" {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// What a client says to a server that the transport has not verified.
func TestClientRefusesWeakAuth(t *testing.T) {
	all := []AuthProtocol{EAP, MSCHAPv2, CHAP, PAP}
	eap := func(context.Context, []byte, Exchange) ([]byte, error) { return nil, errors.New("not asked yet") }
	for _, tt := range []struct {
		verified, allow bool
		may             []AuthProtocol
	}{
		{true, false, all},
		{false, false, nil},
		{false, true, []AuthProtocol{EAP, MSCHAPv2}},
	} {
		for _, p := range all {
			synctest.Test(t, func(t *testing.T) {
				f, c := farCall(t, false, Call{Verified: tt.verified}, &Config{User: "u", Password: "p", EAP: eap, Auth: all, AllowUnverified: tt.allow})
				done := open(t, c)
				f.ack(protoLCP)
				f.send(protoLCP, codeConfigureRequest, appendOption(nil, optAuth, authValue(p))...)
				want := codeConfigureAck
				if tt.may == nil {
					want = codeConfigureReject
				} else if !slices.Contains(tt.may, p) {
					want = codeConfigureNak
				}
				f.want(protoLCP, want)
				if want == codeConfigureAck {
					c.Close()
					f.bye()
					return
				}
				f.end.Close()
				var n *NegotiationError
				if err := <-done; !errors.As(err, &n) || n.Theirs != p.String() || n.Remote || !errors.Is(err, net.ErrClosed) {
					t.Errorf("%v: %v", p, err)
				}
			})
		}
	}
}

// A transport binds to one authentication. An end that has bound as mallory cannot become alice, whatever it knows.
func TestNoRenegotiationAfterBind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{
			Auth: []AuthProtocol{PAP}, Addr: serverAddr, NoIPv6: true,
			Authenticator: AuthenticatorFunc(func(_ context.Context, req *AuthRequest) (*Grant, error) {
				return &Grant{User: req.User, Addr: clientAddr}, nil
			}),
		})
		c.fc.(*pipeEnd).binds = true
		done := open(t, c)
		f.openLCP()
		f.send(protoPAP, papRequest, appendPAPRequest(nil, "mallory", "x")...)
		f.want(protoPAP, papAck)
		f.openIPCP(clientAddr.As4(), serverAddr.As4())
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		packets, ended := serve(c)
		f.send(protoLCP, codeConfigureRequest)
		for {
			p := f.next()
			if p.code == codeTerminateRequest {
				f.answer(protoLCP, codeTerminateAck, p.id)
				break
			}
			if p.proto == protoLCP && p.code == codeConfigureRequest {
				f.answer(protoLCP, codeConfigureAck, p.id, p.data...)
				f.send(protoPAP, papRequest, appendPAPRequest(nil, "alice", "x")...)
			}
			if p.proto == protoPAP {
				t.Error("authenticates again")
				c.Close()
			}
		}
		f.raw(append([]byte{0xff, 3, 0, 0x21}, ipv4(clientAddr, serverAddr, 64)...)...)
		if err := <-ended; !errors.Is(err, errRenegotiated) {
			t.Errorf("%v", err)
		}
		if len(packets) != 0 {
			t.Error("a packet passed")
		}
		if u := c.Info().User; u != "mallory" {
			t.Errorf("the session is %s's", u)
		}
	})
}

// Before that, and on a transport that does not bind, LCP may go down and come again, and all above it with it.
func TestRenegotiation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := []string{"alice", "ALICE", "bob"}
		f, c := farOf(t, true, &Config{
			Auth: []AuthProtocol{PAP}, Addr: serverAddr, NoIPv6: true,
			Authenticator: AuthenticatorFunc(func(_ context.Context, req *AuthRequest) (*Grant, error) {
				return &Grant{User: req.User, Addr: clientAddr}, nil
			}),
		})
		done := open(t, c)
		p := f.want(protoLCP, codeConfigureRequest)
		f.answer(protoLCP, codeConfigureAck, p.id, p.data...)
		f.request(protoLCP)
		again := func(user string, code byte) {
			f.send(protoPAP, papRequest, appendPAPRequest(nil, user, "x")...)
			f.want(protoPAP, code)
		}
		relink := func() {
			id := f.send(protoLCP, codeConfigureRequest)
			f.ack(protoLCP)
			if p := f.want(protoLCP, codeConfigureAck); p.id != id {
				t.Errorf("%v", p)
			}
		}
		relink() // in the authentication phase
		again(users[0], papAck)
		f.openIPCP(clientAddr.As4(), serverAddr.As4())
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		packets, ended := serve(c)
		info := c.Info()
		relink()
		f.raw(append([]byte{0xff, 3, 0, 0x21}, ipv4(clientAddr, serverAddr, 64)...)...)
		again(users[1], papAck)
		f.openIPCP(clientAddr.As4(), serverAddr.As4())
		synctest.Wait()
		if len(packets) != 0 {
			t.Error("a packet passed while LCP was down")
		}
		f.raw(append([]byte{0xff, 3, 0, 0x21}, ipv4(clientAddr, serverAddr, 65)...)...)
		if b := <-packets; len(b) != 65 {
			t.Errorf("%d bytes", len(b))
		}
		if c.Info() != info {
			t.Error("Info has changed after Open")
		}
		relink()
		f.send(protoPAP, papRequest, appendPAPRequest(nil, users[2], "x")...) // another user
		f.bye()
		var e *TerminatedError
		if err := <-ended; !errors.As(err, &e) || e.Cause != UserError {
			t.Errorf("%v", err)
		}
	})
}

// A client never proves itself by less than before, nor not at all.
func TestRenegotiationToLess(t *testing.T) {
	for _, list := range [][]byte{nil, {3, 4, 0xc0, 0x23}} {
		synctest.Test(t, func(t *testing.T) {
			f, c := farOf(t, false, &Config{User: "User", Password: "clientPass", Auth: []AuthProtocol{CHAP, PAP}, AllowNoAuth: true, NoIPv6: true})
			done := open(t, c)
			f.openLCP(3, 5, 0xc2, 0x23, 5)
			f.send(protoCHAP, chapChallenge, appendCHAPValue(nil, []byte("0123456789abcdef"), "s")...)
			p := f.want(protoCHAP, chapResponse)
			f.answer(protoCHAP, chapSuccess, p.id)
			f.want(protoIPCP, codeConfigureRequest)
			f.send(protoLCP, codeConfigureRequest, list...)
			for {
				p := f.next()
				if p.code == codeTerminateRequest {
					f.answer(protoLCP, codeTerminateAck, p.id)
					break
				}
				if p.proto == protoLCP && p.code == codeConfigureRequest {
					f.answer(protoLCP, codeConfigureAck, p.id, p.data...)
				}
				if p.code == codeConfigureNak {
					if s := optionsOf(p.data)[optAuth]; parseAuth(s) != CHAP {
						t.Errorf("%v", p)
					}
					c.Close()
				}
				if p.proto == protoPAP || p.proto == protoIPCP {
					t.Errorf("%v", p)
					c.Close()
				}
			}
			<-done
		})
	}
}

// Data frames are dropped, and counted, until their network protocol is open and the transport is bound.
func TestNoDataBeforeNCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{NoAuth: true, NoIPv6: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}})
		c.fc.(*pipeEnd).bound = false
		done := open(t, c)
		v4 := append([]byte{0xff, 3, 0, 0x21}, ipv4(clientAddr, serverAddr, 64)...)
		v6 := append([]byte{0xff, 3, 0, 0x57}, ipv6(linkLocal([8]byte{1}), serverAddr, 64)...)
		f.raw(v4...)
		f.openLCP()
		f.raw(v4...)
		f.openIPCP(clientAddr.As4(), serverAddr.As4())
		f.raw(v4...) // not bound
		if n, _ := c.Write([][]byte{ipv4(serverAddr, clientAddr, 64)}, 0); n != 0 {
			t.Error("a packet was sent before the transport was bound")
		}
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("open before the transport is bound: %v", err)
		default:
		}
		c.fc.(*pipeEnd).setBound()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		packets, ended := serve(c)
		f.raw(v6...) // not open at all
		synctest.Wait()
		if len(packets) != 0 || c.Stats().RxDropped != 4 {
			t.Errorf("%d passed, %d dropped", len(packets), c.Stats().RxDropped)
		}
		if n, _ := c.Write([][]byte{ipv6(serverAddr, clientAddr, 64)}, 0); n != 0 {
			t.Error("IPv6 was sent")
		}
		f.raw(v4...)
		<-packets
		c.Close()
		f.bye()
		<-ended
		if n, err := c.Write([][]byte{ipv4(serverAddr, clientAddr, 64)}, 0); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%d %v", n, err)
		}
	})
}

// From authentication to the first open network protocol there is a deadline.
func TestNetworkPhaseHasADeadline(t *testing.T) {
	for _, bound := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f, c := farOf(t, true, &Config{NoAuth: true, NoIPv6: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}})
			c.fc.(*pipeEnd).bound = bound
			done := open(t, c)
			f.openLCP()
			began := time.Now()
			want := "IPCP"
			if bound {
				for { // a peer that always acknowledges, and asks for nothing
					p := f.next()
					if p.code == codeTerminateRequest {
						f.answer(protoLCP, codeTerminateAck, p.id)
						break
					}
					f.answer(p.proto, codeConfigureAck, p.id, p.data...)
				}
			} else {
				want = "binding"
				f.openIPCP(clientAddr.As4(), serverAddr.As4())
				f.bye()
			}
			var n *NegotiationError
			if err := <-done; !errors.As(err, &n) || n.Phase != want {
				t.Errorf("%v", err)
			}
			if d := time.Since(began); d != networkTime {
				t.Errorf("after %v", d)
			}
		})
	}
}
