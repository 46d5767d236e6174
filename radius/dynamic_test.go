package radius

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
)

const coaAddr = "10.0.0.1:3799"

// A coaRig is a VPN server with sessions, its Dynamic, and who asks it.
type coaRig struct {
	*nas
	links    []*ppp.Conn // clients' ends
	sessions *ppp.Sessions
	conns    []*ppp.Conn // the server's
	sent     byte
}

func newCoaRig(t *testing.T, d *Dynamic, sessions int) *coaRig {
	m, c := pair(t, &Server{Authenticator: lasting})
	all := new(ppp.Sessions)
	srv := vpn(t, c, nil, all)
	r := &coaRig{sessions: all}
	for range sessions {
		r.links = append(r.links, dial(t, srv))
	}
	synctest.Wait()
	for c := range all.All() {
		r.conns = append(r.conns, c)
	}
	d.Sessions, d.Clients = all, anybody.Find
	done := make(chan error, 1)
	pc := m.listen(coaAddr)
	go func() { done <- d.Serve(pc) }()
	t.Cleanup(func() {
		d.Close()
		if err := <-done; err != ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
	r.nas = newNAS(t, m, "10.0.0.5:5000", coaAddr)
	return r
}

// dated makes a request with an Event-Timestamp of now.
func (r *coaRig) dated(code Code, add func(p *Packet)) []byte {
	r.sent++
	return r.request(code, r.sent, true, func(p *Packet) {
		p.addUint32(EventTimestamp, uint32(time.Now().Unix()))
		add(p)
	})
}

// expect sends a request and checks code and Error-Cause of the answer.
func (r *coaRig) expect(what string, b []byte, code Code, cause nak) {
	r.t.Helper()
	list := r.send(b)
	if len(list) != 1 {
		r.t.Errorf("%s: %d answers", what, len(list))
		return
	}
	if n, _ := list[0].uint32(ErrorCause); list[0].Code != code || nak(n) != cause {
		r.t.Errorf("%s: %v %d, want %v %d", what, list[0].Code, n, code, cause)
	}
}

func TestDisconnectByEveryKey(t *testing.T) {
	for name, add := range map[string]func(p *Packet, c *ppp.Conn){
		"User-Name":       func(p *Packet, c *ppp.Conn) { p.addText(UserName, "ALICE") },
		"Acct-Session-Id": func(p *Packet, c *ppp.Conn) { p.addText(AcctSessionID, c.Info().Call.ID) },
		"NAS-Port-Id":     func(p *Packet, c *ppp.Conn) { p.addText(NASPortID, c.Info().Call.ID) },
		"Framed-IP":       func(p *Packet, c *ppp.Conn) { p.Add(FramedIPAddress, c.Info().Peer.AsSlice()) },
		"Framed-IPv6":     func(p *Packet, c *ppp.Conn) { p.Add(FramedIPv6Prefix, appendIPv6Prefix(nil, c.Grant().Prefixes[1])) },
		"Calling-Station": func(p *Packet, c *ppp.Conn) { p.addText(CallingStationID, c.Info().Call.Remote.Addr().String()) },
		"Interface-Id": func(p *Packet, c *ppp.Conn) {
			six := c.Info().Peer6.As16()
			p.Add(FramedInterfaceID, six[8:])
		},
		"several, and NAS": func(p *Packet, c *ppp.Conn) {
			p.addText(UserName, "alice")
			p.addText(AcctSessionID, c.Info().Call.ID)
			p.addText(NASIdentifier, "here")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newCoaRig(t, &Dynamic{NAS: "here"}, 1)
				c := r.conns[0]
				r.expect("another session", r.dated(DisconnectRequest, func(p *Packet) { add(p, c); p.addText(CallingStationID, "elsewhere") }), DisconnectNAK, nakNoSession)
				r.expect("another called", r.dated(DisconnectRequest, func(p *Packet) { add(p, c); p.addText(CalledStationID, "elsewhere") }), DisconnectNAK, nakNoSession)
				r.expect("what is not understood", r.dated(DisconnectRequest, func(p *Packet) { add(p, c); p.addUint32(NASPort, 7) }), DisconnectNAK, nakUnsupported)
				start := time.Now()
				r.expect("disconnect", r.dated(DisconnectRequest, func(p *Packet) { add(p, c) }), DisconnectACK, 0)
				<-c.Context().Done()
				if d := time.Since(start); d > time.Second || causeOf(c) != ppp.AdminReset {
					t.Errorf("ended after %v with %v", d, causeOf(c))
				}
				r.expect("once more", r.dated(DisconnectRequest, func(p *Packet) { add(p, c) }), DisconnectNAK, nakNoSession)
			})
		})
	}
}

func TestDisconnectOfAllSessionsOfAUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newCoaRig(t, &Dynamic{}, 2)
		r.expect("disconnect", r.dated(DisconnectRequest, func(p *Packet) { p.addText(UserName, "alice") }), DisconnectACK, 0)
		time.Sleep(time.Second)
		if r.sessions.Len() != 0 {
			t.Errorf("%d sessions are left", r.sessions.Len())
		}
	})
}

func TestDisconnectOfNobodyRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newCoaRig(t, &Dynamic{NAS: "here", NASAddr: netip.MustParseAddr("192.0.2.1")}, 1)
		r.expect("Called-Station-Id alone", r.dated(DisconnectRequest, func(p *Packet) { p.addText(CalledStationID, r.conns[0].Info().Call.Called) }), DisconnectNAK, nakMissing)
		r.expect("no key", r.dated(DisconnectRequest, func(p *Packet) { p.addText(NASIdentifier, "here") }), DisconnectNAK, nakMissing)
		r.expect("another NAS", r.dated(DisconnectRequest, func(p *Packet) { p.addText(UserName, "alice"); p.addText(NASIdentifier, "there") }), DisconnectNAK, nakAnotherNAS)
		r.expect("another address", r.dated(DisconnectRequest, func(p *Packet) { p.addText(UserName, "alice"); p.Add(NASIPAddress, []byte{192, 0, 2, 2}) }), DisconnectNAK, nakAnotherNAS)
		if r.sessions.Len() != 1 {
			t.Error("the session ended")
		}
	})
}

func TestOldDisconnectDropped(t *testing.T) {
	for _, undated := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newCoaRig(t, &Dynamic{Undated: undated}, 1)
			at := func(d time.Duration) []byte {
				r.sent++
				return r.request(DisconnectRequest, r.sent, true, func(p *Packet) {
					p.addText(UserName, "nobody")
					p.addUint32(EventTimestamp, uint32(time.Now().Add(d).Unix()))
				})
			}
			for _, d := range []time.Duration{-6 * time.Minute, 6 * time.Minute, -24 * time.Hour} {
				if list := r.send(at(d)); len(list) != 0 {
					t.Errorf("%v off: answered", d)
				}
			}
			r.expect("four minutes ago", at(-4*time.Minute), DisconnectNAK, nakNoSession)
			r.sent++
			list := r.send(r.request(DisconnectRequest, r.sent, true, func(p *Packet) { p.addText(UserName, "nobody") }))
			if (len(list) == 1) != undated {
				t.Errorf("undated %v: %d answers", undated, len(list))
			}
		})
	}
}

// What is sent again, from whatever port and as often as the window lasts, acts once.
func TestReplayedRequestActsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newCoaRig(t, &Dynamic{}, 1)
		c := r.conns[0]
		b := r.dated(CoARequest, func(p *Packet) { p.addText(UserName, "alice"); p.addUint32(IdleTimeout, 3600) })
		r.expect("change", b, CoAACK, 0)
		g := *c.Grant()
		g.IdleTimeout = 0
		c.SetGrant(&g)
		for _, wait := range []time.Duration{0, time.Minute, 4 * time.Minute, 10 * time.Minute} {
			time.Sleep(wait)
			other := newNAS(t, r.node.mesh, netip.AddrPortFrom(netip.MustParseAddr("10.0.0.5"), 6000+uint16(wait/time.Minute)).String(), coaAddr)
			other.send(bytes.Clone(b))
			if c.Grant().IdleTimeout != 0 {
				t.Fatalf("it acts again after %v", wait)
			}
		}
	})
}

func TestRequestsThatDynamicDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newCoaRig(t, &Dynamic{}, 1)
		good := r.dated(DisconnectRequest, func(p *Packet) { p.addText(UserName, "alice") })
		flip := bytes.Clone(good)
		flip[len(flip)-1] ^= 1
		wrong := &coaRig{nas: &nas{t, r.node, r.to, "another secret"}}
		for name, b := range map[string][]byte{
			"nothing": nil, "truncated": good[:len(good)-1], "a bit": flip,
			"another secret":    wrong.dated(DisconnectRequest, func(p *Packet) { p.addText(UserName, "alice") }),
			"an Access-Request": r.request(AccessRequest, 9, true, pap),
		} {
			r.node.WriteTo(b, r.to)
			synctest.Wait()
			if len(r.node.in) != 0 || r.sessions.Len() != 1 {
				t.Errorf("%s: answered", name)
			}
		}
	})
}

func TestChangeOfAuthorization(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		none := func([]byte) bool { return false }
		d := &Dynamic{Filter: func(id string) (func([]byte) bool, error) {
			if id != "none" {
				return nil, errors.New("unknown")
			}
			return none, nil
		}}
		r := newCoaRig(t, d, 1)
		c := r.conns[0]
		alice := func(add func(p *Packet)) []byte {
			return r.dated(CoARequest, func(p *Packet) { p.addText(UserName, "alice"); p.addText(ProxyState, "x"); add(p) })
		}
		r.expect("change", alice(func(p *Packet) {
			p.addUint32(SessionTimeout, 600)
			p.addUint32(IdleTimeout, 300)
			p.addUint32(AcctInterimInterval, 1)
			p.addText(FilterID, "none")
		}), CoAACK, 0)
		g := c.Grant()
		if g.SessionTimeout != 10*time.Minute || g.IdleTimeout != 5*time.Minute || g.Interim != time.Minute || g.In == nil || g.In(nil) || g.Out == nil {
			t.Errorf("%+v", g)
		}
		r.expect("nothing to change", alice(func(p *Packet) {}), CoANAK, nakMissing)
		r.expect("an unknown filter", alice(func(p *Packet) { p.addUint32(IdleTimeout, 1); p.addText(FilterID, "x") }), CoANAK, nakInvalidValue)
		r.expect("not a number", alice(func(p *Packet) { p.Add(IdleTimeout, []byte{1}) }), CoANAK, nakInvalidValue)
		r.expect("Authorize-Only", alice(func(p *Packet) { p.addUint32(ServiceType, 17) }), CoANAK, nakService)
		r.expect("unknown attribute", alice(func(p *Packet) { p.addUint32(IdleTimeout, 1); p.AddVendor(9, 1, []byte("x")) }), CoANAK, nakUnsupported)
		if got := c.Grant(); got.IdleTimeout != 5*time.Minute {
			t.Errorf("a refused change was carried out: %v", got.IdleTimeout)
		}
		d.Change = func(g *ppp.Grant, p *Packet) error {
			if v, ok := p.getVendor(9, 1); ok {
				g.RateOut.Bits = uint64(len(v)) * 1000
				return nil
			}
			return errors.New("no")
		}
		r.expect("a rate", alice(func(p *Packet) { p.AddVendor(9, 1, []byte("xx")) }), CoAACK, 0)
		if got := c.Grant().RateOut.Bits; got != 2000 {
			t.Errorf("rate %d", got)
		}
		r.expect("Change refuses", alice(func(p *Packet) { p.addUint32(IdleTimeout, 1) }), CoANAK, nakInvalid)
		time.Sleep(10 * time.Minute)
		if causeOf(c) != ppp.SessionTimeout && causeOf(c) != ppp.IdleTimeout {
			t.Errorf("the session's end: %v", causeOf(c))
		}
	})
}
