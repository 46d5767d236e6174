package ppp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// At Debug, control packets are logged; what authenticates is not.
func TestLogShowsPacketsButNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
		a, e := newPipe()
		known := PasswordFunc(func(context.Context, string) (Secret, error) { return "correct horse", nil })
		c := Client(a, Call{Verified: true}, &Config{User: "alice", Password: "correct horse", Auth: []AuthProtocol{PAP}, NoIPv6: true})
		s := Server(e, Call{}, &Config{Auth: []AuthProtocol{PAP}, Authenticator: known, Addr: serverAddr, Pool: &onePool{addr: clientAddr}, Logger: log, NoIPv6: true})
		openBoth(t, c, s)
		_, e1 := serve(c)
		_, e2 := serve(s)
		c.Close()
		<-e1
		<-e2
		text := b.String()
		for _, want := range []string{"PAP code 1", "LCP Configure-Request", "3:c023", "IPCP Configure-Ack", "Terminate-Request", "user=alice"} {
			if !strings.Contains(text, want) {
				t.Errorf("the log lacks %q", want)
			}
		}
		if strings.Contains(text, "horse") || strings.Contains(text, "686f727365") {
			t.Error("the password is in the log")
		}
	})
}

// What comes late for a request that was agreed changes nothing: an open link is not torn down for it.
func TestLateAnswersInOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, packets, ended := ready(t, nil)
		f.answer(protoLCP, codeConfigureAck, c.lcp.id, c.lcp.sent...)
		f.answer(protoLCP, codeConfigureNak, c.lcp.id, 1, 4, 5, 0xdc)
		f.answer(protoIPCP, codeConfigureReject, c.ipcp.id, quad(3, "10.8.0.1")...)
		f.silent(time.Second)
		f.data(64)
		<-packets
		c.Close()
		f.bye()
		<-ended
	})
}

// A Terminate-Ack out of nowhere says that the far side has no link any more (RFC 1661 section 4.1): all begins again,
// and where the transport is bound, it ends.
func TestTerminateAckInOpened(t *testing.T) {
	for _, binds := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f, c, packets, ended := ready(t, nil)
			c.fc.(*pipeEnd).binds = binds
			f.send(protoLCP, codeTerminateAck)
			if binds {
				if p := f.next(); p.code != codeTerminateRequest {
					t.Errorf("%v", p)
				} else {
					f.answer(protoLCP, codeTerminateAck, p.id)
				}
				if err := <-ended; !errors.Is(err, errRenegotiated) {
					t.Errorf("%v", err)
				}
				f2, err := f.end.ReadFrames()
				if err == nil {
					t.Errorf("after the goodbye: %x", f2)
				}
				return
			}
			f.openLCP()
			f.openIPCP(clientAddr.As4(), serverAddr.As4())
			f.data(64)
			<-packets
			c.Close()
			f.bye()
			<-ended
		})
	}
}

// A far side that renegotiates for ever does not for ever.
func TestRenegotiationWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{Authenticator: says(nil, nil), Auth: []AuthProtocol{PAP}})
		done := open(t, c)
		f.openLCP()
		n := 0
		for ; n < 100; n++ {
			f.send(protoLCP, codeConfigureRequest)
			p := f.next()
			if p.code == codeTerminateRequest {
				f.answer(protoLCP, codeTerminateAck, p.id)
				break
			}
			f.answer(protoLCP, codeConfigureAck, p.id, p.data...)
			f.want(protoLCP, codeConfigureAck)
		}
		if err := <-done; !errors.Is(err, errNoAgreement) || n > maxRounds {
			t.Errorf("%d times, then %v", n, err)
		}
	})
}

func TestRejectionOfAuthenticationItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{Authenticator: says(nil, nil), Auth: []AuthProtocol{PAP}})
		done := open(t, c)
		f.openLCP()
		f.send(protoLCP, codeProtocolReject, 0x80, 0x21)
		f.send(protoLCP, codeProtocolReject, 0xc0)
		f.send(protoLCP, codeProtocolReject, 0xc0, 0x23, 1, 1, 0, 4)
		f.bye()
		var n *NegotiationError
		if err := <-done; !errors.As(err, &n) || n.Phase != "PAP" {
			t.Errorf("%v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f, _, _, ended := ready(t, nil)
		f.send(protoLCP, codeProtocolReject, 0xc0, 0x21)
		f.bye()
		var n *NegotiationError
		if err := <-ended; !errors.As(err, &n) {
			t.Errorf("%v", err)
		}
	})
}

// A transport that does not bind: the error is told as it is.
func TestBindFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{NoAuth: true})
		why := errors.New("wrong certificate")
		c.fc = &badBind{c.fc.(*pipeEnd), why}
		done := open(t, c)
		f.openLCP()
		f.bye()
		if err := <-done; !errors.Is(err, why) {
			t.Errorf("%v", err)
		}
	})
}

type badBind struct {
	*pipeEnd
	err error
}

func (b *badBind) Bind(send, recv []byte) error { return b.err }

// A Grant's own name servers, time-outs and classes come before the Config's.
func TestGrantNameServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Grant{User: "u", Addr: clientAddr, DNS: []netip.Addr{other}, NBNS: []netip.Addr{branch}}
		c, s := ends(t, &Config{NoIPv6: true}, &Config{Authenticator: says(g, nil), Auth: []AuthProtocol{}, Addr: serverAddr, DNS: []netip.Addr{serverAddr}, NoIPv6: true})
		if d, n := c.DNS(), c.NBNS(); len(d) != 1 || d[0] != other || len(n) != 1 || n[0] != branch {
			t.Errorf("%v %v", d, n)
		}
		_, e1 := serve(c)
		_, e2 := serve(s)
		s.Close()
		<-e1
		<-e2
	})
}

// A pool that holds nothing but this end's own address is empty.
func TestPoolOfTheOwnAddressAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &onePool{addr: serverAddr}
		f, c := farOf(t, true, &Config{NoAuth: true, Addr: serverAddr, Pool: pool, NoIPv6: true})
		done := open(t, c)
		f.openLCP()
		f.bye()
		if err := <-done; !errors.Is(err, ErrPoolExhausted) {
			t.Errorf("%v", err)
		}
		if pool.gets != 2 || pool.puts != 2 {
			t.Errorf("%d gets, %d puts", pool.gets, pool.puts)
		}
	})
}

// Headers that lie about their lengths are no packets.
func TestCutPacketsAreDropped(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty": {}, "short": make([]byte, 19), "version": bytes.Repeat([]byte{0x65}, 40),
		"longer than the frame": ipv4(clientAddr, serverAddr, 100)[:99],
		"shorter than its head": append([]byte{0x45, 0, 0, 19}, make([]byte, 40)...),
		"head of 16":            append([]byte{0x44, 0, 0, 40}, make([]byte, 40)...),
		"head behind the end":   append([]byte{0x4f, 0, 0, 40}, make([]byte, 40)...),
	} {
		if _, _, n := addresses(protoIPv4, b); n != 0 {
			t.Errorf("%s: %d bytes", name, n)
		}
	}
	for name, b := range map[string][]byte{
		"short": make([]byte, 39), "version": ipv4(clientAddr, serverAddr, 60), "longer than the frame": ipv6(lan6, world6, 100)[:99],
	} {
		if _, _, n := addresses(protoIPv6, b); n != 0 {
			t.Errorf("%s: %d bytes", name, n)
		}
	}
	for _, size := range []int{20, 4087} {
		if _, _, n := addresses(protoIPv4, ipv4(clientAddr, serverAddr, size)); n != size {
			t.Errorf("%d bytes: %d", size, n)
		}
	}
}

// Close from many goroutines, while the link opens, is open, or is over: it ends once, by the first reason.
func TestCloseAtAnyTime(t *testing.T) {
	for _, after := range []time.Duration{0, time.Millisecond, time.Second, 4 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			a, b := newPipe()
			c := Client(a, Call{}, &Config{})
			s := Server(b, Call{}, &Config{Authenticator: &slow{delay: 3 * time.Second}, Auth: []AuthProtocol{}, Addr: serverAddr, NoIPv6: true})
			for _, x := range []*Conn{c, s} {
				go func() {
					if x.Open(t.Context()) == nil {
						x.Serve(t.Context(), nothing)
					}
				}()
			}
			time.Sleep(after)
			for range 10 {
				go s.Close()
				go s.Terminate(AdminReset, "")
			}
			<-s.Context().Done()
			<-c.Context().Done()
			var e *TerminatedError
			if err := context.Cause(s.Context()); !errors.As(err, &e) || e.Remote {
				t.Errorf("after %v: %v", after, err)
			}
		})
	}
}

// A router that acknowledges 0.0.0.0 has no address to give, either.
func TestServerWhoseQuestionIsAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		router := &Grant{User: "u", Addr: clientAddr, AskAddr: true}
		f, c, done := network(t, true, &Config{Authenticator: says(router, nil), Auth: []AuthProtocol{}, Addr: serverAddr, NoIPv6: true})
		if p := f.ack(protoIPCP); !bytes.Equal(p.data, quad(3, "0.0.0.0")) {
			t.Errorf("%v", p)
		}
		f.request(protoIPCP, quad(3, clientAddr.String())...)
		if p := f.ack(protoIPCP); !bytes.Equal(p.data, quad(3, serverAddr.String())) {
			t.Errorf("%v", p)
		}
		f.request(protoIPCP, quad(3, clientAddr.String())...)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if i := c.Info(); i.Local != serverAddr || i.Peer != clientAddr {
			t.Errorf("%+v", i)
		}
		c.Close()
		f.bye()
	})
}
