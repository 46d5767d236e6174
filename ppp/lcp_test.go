package ppp

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Options of the far side: each list, and what it is answered with.
func TestLCPOptions(t *testing.T) {
	reject, nak, ack := codeConfigureReject, codeConfigureNak, codeConfigureAck
	for _, tt := range []struct {
		name   string
		list   []byte
		code   byte
		answer []byte
	}{
		{"Windows' MRU", []byte{1, 4, 0x0f, 0xfb}, ack, nil},
		{"small MRU", []byte{1, 4, 0, 67}, nak, []byte{1, 4, 5, 0xdc}},
		{"ACCM", []byte{2, 6, 0, 0, 0, 0}, ack, nil},
		{"ACCM with all bits", []byte{2, 6, 255, 255, 255, 255}, ack, nil},
		{"magic", []byte{5, 6, 1, 2, 3, 4}, ack, nil},
		{"quality", []byte{4, 8, 0xc0, 0x25, 0, 0, 0, 100}, reject, []byte{4, 8, 0xc0, 0x25, 0, 0, 0, 100}},
		{"PFC and ACFC", []byte{7, 2, 8, 2}, reject, []byte{7, 2, 8, 2}},
		{"FCS, padding, compound", []byte{9, 3, 4, 10, 3, 1, 15, 2}, reject, []byte{9, 3, 4, 10, 3, 1, 15, 2}},
		{"callback", []byte{13, 3, 6}, reject, []byte{13, 3, 6}},
		{"multilink", []byte{17, 4, 6, 0x4e, 18, 2, 19, 9, 3, 1, 2, 3, 4, 5, 6}, reject, []byte{17, 4, 6, 0x4e, 18, 2, 19, 9, 3, 1, 2, 3, 4, 5, 6}},
		{"unknown", []byte{200, 3, 1}, reject, []byte{200, 3, 1}},
		{"a Reject goes before a Nak", []byte{1, 4, 0, 1, 13, 3, 6}, reject, []byte{13, 3, 6}},
		{"MRU of a wrong length", []byte{1, 3, 6}, reject, []byte{1, 3, 6}},
		{"an option twice", []byte{1, 4, 5, 0xdc, 1, 4, 6, 0}, reject, []byte{1, 4, 6, 0}},
		{"authentication of who has nothing to say", []byte{3, 4, 0xc0, 0x23}, reject, []byte{3, 4, 0xc0, 0x23}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := farOf(t, true, &Config{NoAuth: true})
				open(t, c)
				f.want(protoLCP, codeConfigureRequest)
				id := f.send(protoLCP, codeConfigureRequest, tt.list...)
				p := f.want(protoLCP, tt.code)
				if tt.code == ack {
					tt.answer = tt.list
				}
				if p.id != id || !bytes.Equal(p.data, tt.answer) {
					t.Errorf("%v, want %x", p, tt.answer)
				}
				c.Close()
				f.bye()
			})
		})
	}
}

func TestMalformedOptionListsAreDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{NoAuth: true})
		open(t, c)
		f.want(protoLCP, codeConfigureRequest)
		for _, list := range [][]byte{{1}, {1, 0}, {1, 1}, {1, 5, 1, 2}, {5, 6, 1, 2, 3, 4, 9}} {
			f.send(protoLCP, codeConfigureRequest, list...)
		}
		f.raw(0xff, 3, 0xc0, 0x21, 1)             // cut
		f.raw(0xff, 3, 0xc0, 0x21, 1, 1, 0, 3)    // shorter than its head
		f.raw(0xff, 3, 0xc0, 0x21, 1, 1, 0, 9, 1) // longer than the frame
		f.silent(2 * time.Second)
		if n := c.Stats().RxDropped; n != 8 {
			t.Errorf("%d dropped", n)
		}
		c.Close()
		f.bye()
	})
}

func TestMRUAnnounced(t *testing.T) {
	for _, tt := range []struct {
		mtu, max int
		want     []byte // nil: not said
	}{
		{0, 4091, []byte{5, 0x78}},
		{1500, 4091, nil},
		{4000, 4091, []byte{0x0f, 0xa0}},
		{9000, 4091, []byte{0x0f, 0xf7}}, // what the transport carries
		{1, 4091, []byte{0, minMRU}},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, c := farOf(t, true, &Config{NoAuth: true, MTU: tt.mtu})
			c.fc.(*pipeEnd).max = tt.max
			open(t, c)
			p := f.want(protoLCP, codeConfigureRequest)
			if got := optionsOf(p.data)[optMRU]; !bytes.Equal(got, tt.want) {
				t.Errorf("MTU %d: MRU %x, want %x", tt.mtu, got, tt.want)
			}
			c.Close()
			f.bye()
		})
	}
}

// Some clients insist on receiving 1500 bytes.
func TestMRUNaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{NoAuth: true})
		open(t, c)
		for _, tt := range []struct {
			nak  uint16
			want int
		}{{1500, 1500}, {4087, 4087}, {4088, 4087}, {1280, 1280}, {10, 1280}} {
			p := f.want(protoLCP, codeConfigureRequest)
			f.answer(protoLCP, codeConfigureNak, p.id, appendOption16(nil, optMRU, tt.nak)...)
			synctest.Wait()
			if c.lcp.mru != tt.want {
				t.Errorf("Nak %d: MRU %d, want %d", tt.nak, c.lcp.mru, tt.want)
			}
		}
		c.Close()
		f.bye()
	})
}

func TestSendMTUIsTheSmallerMRU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{NoAuth: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}})
		done := open(t, c)
		f.openLCP(1, 4, 4, 0) // 1024: too small for IPv6, which is not even asked for
		f.openIPCP(clientAddr.As4(), serverAddr.As4())
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if c.MTU() != 1024 {
			t.Errorf("MTU %d", c.MTU())
		}
		if n, _ := c.Write([][]byte{ipv4(serverAddr, clientAddr, 1025), ipv4(serverAddr, clientAddr, 1024)}, 0); n != 1 {
			t.Errorf("%d written", n)
		}
		c.Close()
		f.read(time.Second)
		f.bye()
	})
}

// This end answers a demand by what it would rather do, in the order of Config.Auth.
func TestClientNaksTowardsWhatItHas(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config *Config
		demand []byte
		code   byte
		answer []byte
	}{
		{"EAP", &Config{User: "u"}, []byte{0xc2, 0x27}, codeConfigureNak, []byte{3, 5, 0xc2, 0x23, 0x81}},
		{"PAP, not listed", &Config{User: "u"}, []byte{0xc0, 0x23}, codeConfigureNak, []byte{3, 5, 0xc2, 0x23, 0x81}},
		{"PAP, listed", &Config{User: "u", Auth: []AuthProtocol{MSCHAPv2, PAP}}, []byte{0xc0, 0x23}, codeConfigureAck, nil},
		{"MS-CHAPv1", &Config{User: "u", Auth: []AuthProtocol{CHAP, MSCHAPv2}}, []byte{0xc2, 0x23, 0x80}, codeConfigureNak, []byte{3, 5, 0xc2, 0x23, 5}},
		{"MS-CHAPv2", &Config{User: "u"}, []byte{0xc2, 0x23, 0x81}, codeConfigureAck, nil},
		{"EAP without a function for it", &Config{User: "u", Auth: []AuthProtocol{EAP}}, []byte{0xc2, 0x27}, codeConfigureReject, []byte{3, 4, 0xc2, 0x27}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := farOf(t, false, tt.config)
				open(t, c)
				f.want(protoLCP, codeConfigureRequest)
				list := appendOption(nil, optAuth, tt.demand)
				f.send(protoLCP, codeConfigureRequest, list...)
				p := f.want(protoLCP, tt.code)
				if tt.answer == nil {
					tt.answer = list
				}
				if !bytes.Equal(p.data, tt.answer) {
					t.Errorf("%v", p)
				}
				c.Close()
				f.bye()
			})
		})
	}
}

// A server follows a Nak to what it accepts, too, and goes down its list for one that it does not.
func TestServerFollowsNaks(t *testing.T) {
	for _, tt := range []struct {
		name string
		naks [][]byte
		want []AuthProtocol // demanded, one after the other; the last one is acknowledged
	}{
		{"first", nil, []AuthProtocol{MSCHAPv2}},
		{"a Nak to PAP", [][]byte{{0xc0, 0x23}}, []AuthProtocol{MSCHAPv2, PAP}},
		{"Naks to what nobody takes", [][]byte{{0xc2, 0x23, 0x80}, {0xc2, 0x27}}, []AuthProtocol{MSCHAPv2, CHAP, PAP}},
		{"a Nak to what was demanded", [][]byte{{0xc2, 0x23, 0x81}}, []AuthProtocol{MSCHAPv2, MSCHAPv2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := farOf(t, true, &Config{Authenticator: says(nil, nil), Auth: []AuthProtocol{MSCHAPv2, CHAP, PAP}})
				open(t, c)
				for i, want := range tt.want {
					p := f.want(protoLCP, codeConfigureRequest)
					if got := optionsOf(p.data)[optAuth]; !bytes.Equal(got, authValue(want)) {
						t.Fatalf("demand %d: %x, want %v", i, got, want)
					}
					if i < len(tt.naks) {
						f.answer(protoLCP, codeConfigureNak, p.id, appendOption(nil, optAuth, tt.naks[i])...)
					} else {
						f.answer(protoLCP, codeConfigureAck, p.id, p.data...)
					}
				}
				c.Close()
				f.bye()
			})
		})
	}
}

func TestServerWhoseListIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{Authenticator: says(nil, nil), Auth: []AuthProtocol{MSCHAPv2}})
		done := open(t, c)
		p := f.want(protoLCP, codeConfigureRequest)
		f.answer(protoLCP, codeConfigureNak, p.id, 3, 4, 0xc0, 0x23)
		f.bye()
		var n *NegotiationError
		if err := <-done; !errors.As(err, &n) || n.Theirs != "PAP" || n.Ours != "MS-CHAPv2" || !n.Remote || n.Hint == "" {
			t.Errorf("%v", err)
		}
	})
}

// A line that is looped back, or a terminal that echoes: this end hears itself.
func TestLoopIsFound(t *testing.T) {
	for name, config := range map[string]*Config{
		"client": {}, "server": {Authenticator: says(nil, nil)}, "router": {User: "r", Authenticator: says(nil, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := farOf(t, name == "server", config)
				done := open(t, c)
				began := time.Now()
				for {
					frames, err := f.end.ReadFrames()
					if err != nil {
						break
					}
					for _, b := range frames {
						f.raw(b...)
					}
				}
				err := <-done
				if !errors.Is(err, errLoop) {
					t.Errorf("%v", err)
				}
				if d := time.Since(began); d > 10*time.Second {
					t.Errorf("after %v", d)
				}
			})
		})
	}
}

func TestTwoEqualMagicNumbersAreNoLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{NoAuth: true})
		open(t, c)
		p := f.ack(protoLCP)
		magic := optionsOf(p.data)[optMagic]
		f.send(protoLCP, codeConfigureRequest, appendOption(nil, optMagic, magic)...)
		n := optionsOf(f.want(protoLCP, codeConfigureNak).data)[optMagic]
		if bytes.Equal(n, magic) || bytes.Equal(n, make([]byte, 4)) {
			t.Errorf("Nak with %x", n)
		}
		f.send(protoLCP, codeConfigureRequest, 5, 6, 0, 0, 0, 0) // none is no number
		f.want(protoLCP, codeConfigureNak)
		f.request(protoLCP, appendOption(nil, optMagic, n)...)
		f.wait(protoIPCP, codeConfigureRequest)
		c.Close()
		f.bye()
	})
}

func TestEchoAndDiscard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{NoAuth: true, NoIPv6: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}})
		done := open(t, c)
		p := f.want(protoLCP, codeConfigureRequest)
		f.send(protoLCP, codeEchoRequest, 0, 0, 0, 0)
		f.silent(time.Second) // only in Opened
		magic := optionsOf(p.data)[optMagic]
		f.answer(protoLCP, codeConfigureAck, p.id, p.data...)
		f.request(protoLCP, 5, 6, 9, 9, 9, 9)
		f.openIPCP(clientAddr.As4(), serverAddr.As4())
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		_, ended := serve(c)
		id := f.send(protoLCP, codeEchoRequest, 9, 9, 9, 9, 'h', 'i')
		if p := f.want(protoLCP, codeEchoReply); p.id != id || !bytes.Equal(p.data, append(bytes.Clone(magic), "hi"...)) {
			t.Errorf("%v", p)
		}
		f.send(protoLCP, codeDiscardRequest, 9, 9, 9, 9)
		f.send(protoLCP, codeEchoReply, magic...) // with our magic number: there are such peers
		f.send(protoLCP, codeEchoRequest, 1, 2)   // cut
		f.silent(time.Second)
		for range maxLoops + 1 {
			f.send(protoLCP, codeEchoRequest, magic...)
		}
		f.bye()
		if err := <-ended; !errors.Is(err, errLoop) {
			t.Errorf("%v", err)
		}
	})
}

func TestIdentificationAndTimeRemaining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{NoAuth: true, NoIPv6: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}, Identification: "dialway test"})
		done := open(t, c)
		// In any state, never answered (RFC 1570 section 1.1); what is no text is left out.
		f.send(protoLCP, codeIdentification, append([]byte{1, 2, 3, 4}, "MSRASV5.20"...)...)
		f.ack(protoLCP)
		f.request(protoLCP)
		if p := f.want(protoLCP, codeIdentification); string(p.data[4:]) != "dialway test" {
			t.Errorf("%v", p)
		}
		f.send(protoLCP, codeIdentification, append([]byte{1, 2, 3, 4}, "MSRAS-0-PC7"...)...)
		f.send(protoLCP, codeIdentification, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 7, 0x80)
		f.send(protoLCP, codeIdentification, 1, 2, 3)
		f.send(protoLCP, codeTimeRemaining, append([]byte{1, 2, 3, 4, 0, 0, 0, 60}, "soon"...)...)
		for range 100 {
			f.send(protoLCP, codeIdentification, append([]byte{1, 2, 3, 4}, bytes.Repeat([]byte("x"), 200)...)...)
		}
		f.openIPCP(clientAddr.As4(), serverAddr.As4())
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if s := c.Info().Client; len(s) > 3*maxText || !bytes.HasPrefix([]byte(s), []byte("MSRASV5.20 MSRAS-0-PC7 x")) {
			t.Errorf("%d bytes: %q", len(s), s)
		}
		_, ended := serve(c)
		c.SendTimeRemaining(90*time.Second, "maintenance")
		if p := f.want(protoLCP, codeTimeRemaining); string(p.data[4:]) != "\x00\x00\x00\x5amaintenance" {
			t.Errorf("%v", p)
		}
		c.SendTimeRemaining(-1, "")
		if p := f.want(protoLCP, codeTimeRemaining); !bytes.Equal(p.data[4:], []byte{255, 255, 255, 255}) {
			t.Errorf("%v", p)
		}
		c.Close()
		f.bye()
		<-ended
		if err := c.SendTimeRemaining(0, ""); err == nil {
			t.Error("a link that is over has time remaining")
		}
	})
}

// Before authentication, what costs a peer nothing is not answered without end.
func TestAnswersAreLimitedBeforeAuthentication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{Authenticator: says(nil, nil)})
		open(t, c)
		f.openLCP()
		f.wait(protoCHAP, 1)
		for range 1000 {
			f.send(protoLCP, codeEchoRequest, 0, 0, 0, 0)
			f.send(protoLCP, 99)
		}
		n := 0
		for f.read(time.Second) != nil {
			n++
		}
		if n > answersBurst+answersPerSecond {
			t.Errorf("%d answers", n)
		}
		c.Close()
		f.bye()
	})
}
