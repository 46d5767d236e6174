package ppp

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestRestartTimerAndMaxConfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, false, &Config{})
		began := time.Now()
		done := open(t, c)
		first := f.want(protoLCP, codeConfigureRequest)
		for i := 1; i < maxConfigure; i++ {
			p := f.want(protoLCP, codeConfigureRequest)
			if d := time.Since(began); d != time.Duration(i)*restartTime {
				t.Errorf("request %d after %v", i+1, d)
			}
			if p.id != first.id || !bytes.Equal(p.data, first.data) {
				t.Errorf("repeated request differs: %v, %v", first, p)
			}
		}
		err := <-done
		var n *NegotiationError
		if !errors.As(err, &n) || n.Phase != "LCP" || !n.Remote || !errors.Is(err, errNoAnswer) {
			t.Errorf("%v", err)
		}
		if d := time.Since(began); d != maxConfigure*restartTime {
			t.Errorf("gave up after %v", d)
		}
	})
}

func TestAckMustRepeatTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, false, &Config{})
		open(t, c)
		p := f.want(protoLCP, codeConfigureRequest)
		f.answer(protoLCP, codeConfigureAck, p.id+1, p.data...)                                                  // another id
		f.answer(protoLCP, codeConfigureAck, p.id, p.data[:len(p.data)-1]...)                                    // cut
		f.answer(protoLCP, codeConfigureAck, p.id, append(bytes.Clone(p.data), 7, 2)...)                         // longer
		f.answer(protoLCP, codeConfigureNak, p.id+1, optMRU, 4, 5, 0xdc)                                         // another id
		f.answer(protoLCP, codeConfigureReject, p.id, optMRU, 9)                                                 // no list
		f.answer(protoLCP, codeConfigureAck, p.id, append(p.data[len(p.data)-6:], p.data[:len(p.data)-6]...)...) // another order
		if s := stateOf(c); s != stateReqSent {
			t.Errorf("state %v", s)
		}
		f.answer(protoLCP, codeConfigureAck, p.id, f.wait(protoLCP, codeConfigureRequest).data...)
		if s := stateOf(c); s != stateAckRcvd {
			t.Errorf("state %v", s)
		}
		c.Close()
		f.bye()
	})
}

func TestEmptyRequestIsAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{NoAuth: true, NoIPv6: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}})
		done := open(t, c)
		f.openLCP()
		f.openIPCP(clientAddr.As4(), serverAddr.As4())
		if err := <-done; err != nil {
			t.Error(err)
		}
		c.Close()
		f.bye()
	})
}

func TestNewIdentifierAfterANak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, false, &Config{})
		open(t, c)
		p := f.want(protoLCP, codeConfigureRequest)
		f.answer(protoLCP, codeConfigureNak, p.id, optMRU, 4, 0x05, 0xdc)
		q := f.want(protoLCP, codeConfigureRequest)
		if q.id == p.id {
			t.Error("the same identifier for another request")
		}
		if _, ok := optionsOf(q.data)[optMRU]; ok {
			t.Error("the MRU that need not be said is said")
		}
		if c.lcp.mru != 1500 {
			t.Errorf("MRU %d", c.lcp.mru)
		}
		f.answer(protoLCP, codeConfigureReject, q.id, q.data...) // the magic number
		r := f.want(protoLCP, codeConfigureRequest)
		if len(r.data) != 0 || r.id == q.id {
			t.Errorf("%v", r)
		}
		c.Close()
		f.bye()
	})
}

// A peer that says no for ever ends soon, in every way to say no.
func TestStubbornPeersAreGivenUp(t *testing.T) {
	for name, play := range map[string]func(f *far, p told){
		"naks": func(f *far, p told) {
			f.answer(protoLCP, codeConfigureNak, p.id, optMRU, 4, 0, 1)
		},
		"rejects": func(f *far, p told) {
			f.answer(protoLCP, codeConfigureReject, p.id, 77, 2)
		},
		"asks for the impossible": func(f *far, p told) {
			f.answer(protoLCP, codeConfigureAck, p.id, p.data...)
			for range 30 {
				f.send(protoLCP, codeConfigureRequest, 13, 3, 6)
			}
		},
		"asks for nothing": func(f *far, p told) {
			f.answer(protoLCP, codeConfigureAck, p.id, p.data...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := farOf(t, false, &Config{})
				began := time.Now()
				done := open(t, c)
				for {
					p := f.next()
					if p.code == codeTerminateRequest {
						f.answer(protoLCP, codeTerminateAck, p.id)
						break
					}
					if p.code == codeConfigureRequest {
						play(f, p)
					}
				}
				err := <-done
				var n *NegotiationError
				if !errors.As(err, &n) || n.Phase != "LCP" || !errors.Is(err, errNoAgreement) {
					t.Errorf("%v", err)
				}
				if d := time.Since(began); d > linkTime+goodbyeTime {
					t.Errorf("after %v", d)
				}
			})
		})
	}
}

func TestMaxFailureTurnsNaksIntoRejects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{NoAuth: true})
		open(t, c)
		f.ack(protoLCP)
		for i := range maxFailure + 1 {
			f.send(protoLCP, codeConfigureRequest, optMRU, 4, 0, 7)
			want := codeConfigureNak
			if i == maxFailure {
				want = codeConfigureReject
			}
			if p := f.want(protoLCP, want); want == codeConfigureReject && !bytes.Equal(p.data, []byte{optMRU, 4, 0, 7}) {
				t.Errorf("%v", p)
			}
		}
		f.request(protoLCP)
		f.wait(protoIPCP, codeConfigureRequest)
		c.Close()
		f.bye()
	})
}

func TestCodeReject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, _, ended := ready(t, nil)
		// Unknown codes, with padding behind: the packet comes back without it.
		f.raw(append(appendPacket(appendHeader(nil, protoLCP), 99, 7, []byte("text")), 0, 0, 0)...)
		if p := f.want(protoLCP, codeCodeReject); !bytes.Equal(p.data, append([]byte{99, 7, 0, 8}, "text"...)) {
			t.Errorf("%v", p)
		}
		f.send(protoIPCP, codeEchoRequest, 0, 0, 0, 0) // LCP's alone
		f.want(protoIPCP, codeCodeReject)
		// A long one is cut to what the peer receives.
		f.answer(protoLCP, 99, 1, make([]byte, 3000)...)
		if p := f.want(protoLCP, codeCodeReject); len(p.data) != defaultMRU-packetHeaderLen {
			t.Errorf("%d bytes", len(p.data))
		}
		// The peer rejects what can be lived without (RXJ+), then what cannot (RXJ-).
		f.send(protoLCP, codeCodeReject, codeIdentification, 1, 0, 4)
		f.silent(time.Second)
		if stateOf(c) != stateOpened {
			t.Error("RXJ+ has closed the link")
		}
		f.send(protoLCP, codeCodeReject, codeConfigureRequest, 1, 0, 4)
		f.bye()
		var n *NegotiationError
		if err := <-ended; !errors.As(err, &n) || !n.Remote {
			t.Errorf("%v", err)
		}
	})
}

func TestProtocolReject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{NoAuth: true, NoIPv6: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}})
		done := open(t, c)
		p := f.want(protoLCP, codeConfigureRequest)
		f.send(protoCCP, codeConfigureRequest, 18, 6, 1, 0, 0, 0x40)
		f.silent(time.Second) // only while LCP is open
		f.answer(protoLCP, codeConfigureAck, p.id, p.data...)
		f.request(protoLCP)
		f.openIPCP(clientAddr.As4(), serverAddr.As4())
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		_, ended := serve(c)
		ids := map[byte]bool{}
		for range 3 {
			f.answer(protoCCP, codeConfigureRequest, 9, 18, 6, 1, 0, 0, 0x40)
			r := f.want(protoLCP, codeProtocolReject)
			if !bytes.Equal(r.data, []byte{0x80, 0xfd, 1, 9, 0, 10, 18, 6, 1, 0, 0, 0x40}) {
				t.Errorf("%v", r)
			}
			if ids[r.id] {
				t.Error("an identifier twice: RFC 1661 section 5.7")
			}
			ids[r.id] = true
		}
		f.send(protoIPV6CP, codeConfigureRequest, 1, 10, 1, 2, 3, 4, 5, 6, 7, 8) // not spoken here
		f.want(protoLCP, codeProtocolReject)
		// The peer rejects what is not used: nothing happens. IPCP: no network protocol is left.
		f.send(protoLCP, codeProtocolReject, 0x80, 0xfd, 1, 1, 0, 4)
		f.silent(time.Second)
		f.send(protoLCP, codeProtocolReject, 0x80, 0x21, 1, 1, 0, 4)
		f.want(protoIPCP, codeTerminateRequest)
		f.bye()
		var e *TerminatedError
		if err := <-ended; !errors.As(err, &e) || !e.Remote {
			t.Errorf("%v", err)
		}
	})
}

func TestTerminateFromEitherEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, _, ended := ready(t, nil)
		id := f.send(protoLCP, codeTerminateRequest, []byte("bye")...)
		if p := f.want(protoLCP, codeTerminateAck); p.id != id {
			t.Errorf("%v", p)
		}
		began := time.Now()
		var e *TerminatedError
		if err := <-ended; !errors.As(err, &e) || !e.Remote || e.Cause != UserRequest || e.Reason != "bye" {
			t.Errorf("%v", err)
		}
		if d := time.Since(began); d > goodbyeTime {
			t.Errorf("the far side, which said goodbye, was waited for %v", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f, c, _, ended := ready(t, nil)
		began := time.Now()
		c.Terminate(AdminReset, "enough")
		f.want(protoLCP, codeTerminateRequest) // and no answer
		var e *TerminatedError
		if err := <-ended; !errors.As(err, &e) || e.Remote || e.Cause != AdminReset || e.Reason != "enough" {
			t.Errorf("%v", err)
		}
		if d := time.Since(began); d != goodbyeTime {
			t.Errorf("the goodbye took %v", d)
		}
	})
}

// A peer that gives up in LCP is not asked for half a minute more.
func TestTerminateWhileNegotiating(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, false, &Config{User: "u"})
		began := time.Now()
		done := open(t, c)
		f.ack(protoLCP)
		f.send(protoLCP, codeConfigureRequest, 3, 5, 0xc2, 0x23, 0x80)
		f.want(protoLCP, codeConfigureNak)
		f.send(protoLCP, codeTerminateRequest)
		f.want(protoLCP, codeTerminateAck)
		f.bye()
		err := <-done
		var n *NegotiationError
		if !errors.As(err, &n) || n.Theirs != "MS-CHAPv1" || !n.Remote {
			t.Errorf("%v", err)
		}
		if d := time.Since(began); d > goodbyeTime {
			t.Errorf("after %v", d)
		}
	})
}

func TestTerminateText(t *testing.T) {
	for data, want := range map[string]string{
		"":                     "",
		"Peer not responding":  "Peer not responding",
		"two\nlines":           "two.lines",
		"\x00\x01\x02\x03\x04": "",
		"\x3c\x4d\x5e\x6f\x00\x3c\xcd\x74\x00\x00\x02\xdc": "error 732 of Windows",
		"\x3c\x4d\x5e\x6f\x00\x3c\xcd\x74\x00\x00\x00\x00": "",
	} {
		if got := terminateText([]byte(data)); got != want {
			t.Errorf("%q: %q, want %q", data, got, want)
		}
	}
}
