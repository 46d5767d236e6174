package quirks

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/peer"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
)

// softEtherEcho: the server does not answer Echo Requests. Its own are life enough.
func softEtherEcho(t *testing.T) {
	d := dialer()
	d.PPP.Echo = -1 // or LCP's echoes would fill the silence
	c := accept(t, d, nil)
	c.open()
	c.Auto = func(q peer.Packet) {
		if !peer.Message(peer.EchoRequest)(q) {
			c.agree(q)
		}
	}
	for range 5 {
		c.Run(65 * time.Second) // a Hello interval passes, and the client asks
		c.Send(peer.Control(peer.EchoRequest))
		c.WantMessage(peer.EchoResponse)
	}
	if c.Count(peer.Message(peer.EchoRequest)) != 5 {
		t.Errorf("the client did not ask each time:\n%s", c.Log())
	}
	select {
	case err := <-c.ended:
		t.Errorf("the session ended: %v", err)
	default:
	}
}

// softEtherSilent: the server says nothing after the Ack until the client has sent a PPP frame.
func softEtherSilent(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.Accept(peer.SHA256)
	start := time.Now()
	c.WantCode(peer.LCP, peer.ConfReq)
	if d := time.Since(start); d > time.Second {
		t.Errorf("the client waited %v for the server to speak", d)
	}
}

// softEtherIdle: the server cuts after 20 seconds, so its echoes are answered at once, before the network protocols
// are through, too.
func softEtherIdle(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.Accept(peer.SHA256)
	c.lcp(1, peer.Opt(3, "c22381"))
	c.AskMSCHAPv2(2, user, password)
	c.WantBound(c.cert)
	for range 3 {
		start := time.Now()
		c.Send(peer.Control(peer.EchoRequest))
		c.WantMessage(peer.EchoResponse)
		if d := time.Since(start); d > time.Second {
			t.Errorf("the answer took %v", d)
		}
	}
}

// softEtherSHA256: it offers nothing else, and does not look at the binding.
func softEtherSHA256(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.Accept(peer.SHA256)
	c.lcp(1, peer.Opt(3, "c22381"))
	c.AskMSCHAPv2(2, user, password)
	if h := c.WantBound(c.cert); h != peer.SHA256 {
		t.Errorf("hash protocol %d", h)
	}
}

// softEtherBare: Disconnect and Abort have no attributes.
func softEtherBare(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.open()
	c.Send(peer.Control(peer.Disconnect))
	c.WantMessage(peer.DisconnectAck)
	err := c.end()
	if e := as[*ppp.TerminatedError](t, err); e == nil || !e.Remote || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// softEtherAbort is the same with an Abort.
func softEtherAbort(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.open()
	c.Send(peer.Control(peer.Abort))
	c.WantMessage(peer.Abort)
	if e := as[*sstp.StatusError](t, c.end()); e == nil || !e.Remote {
		t.Errorf("%v", e)
	}
}

// softEtherLCP: it knows MRU and authentication and rejects all other options; LCP opens without them.
func softEtherLCP(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.Accept(peer.SHA256)
	c.Auto = func(q peer.Packet) {
		if magic, ok := q.Option(5); ok && peer.Code(peer.LCP, peer.ConfReq)(q) {
			c.Send(peer.PPP(peer.LCP, peer.ConfRej, q.ID(), append([]byte{5, 6}, magic...)))
			return
		}
		c.agree(q)
	}
	c.Send(peer.PPP(peer.LCP, peer.ConfReq, 1, peer.Opt(1, "05dc"), peer.Opt(3, "c22381")))
	c.WantCode(peer.LCP, peer.ConfAck)
	c.Want("request without a magic number", func(q peer.Packet) bool {
		_, has := q.Option(5)
		return peer.Code(peer.LCP, peer.ConfReq)(q) && !has
	})
	c.AskMSCHAPv2(2, user, password)
	c.WantBound(c.cert)
	c.ipcp(3)
	c.opened()
	// Without a magic number, echoes carry zero (RFC 1661 section 5.8).
	c.Send(peer.PPP(peer.LCP, peer.EchoReq, 9, make([]byte, 4), []byte("hello")))
	if q := c.WantCode(peer.LCP, peer.EchoRep); !bytes.Equal(q.Body(), append(make([]byte, 4), "hello"...)) {
		t.Errorf("%x", q.Body())
	}
}

// softEtherCCP: no CCP is ever asked for.
func softEtherCCP(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.open()
	c.Never(10*time.Second, "CCP", func(q peer.Packet) bool { return q.Proto() == peer.CCP })
}

// softEtherTerminates: VPN Azure's relays end LCP out of the blue.
func softEtherTerminates(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.open()
	c.Send(peer.PPP(peer.LCP, peer.TermReq, 7))
	if q := c.WantCode(peer.LCP, peer.TermAck); q.ID() != 7 {
		t.Errorf("%v", q)
	}
	if e := as[*ppp.TerminatedError](t, c.end()); e == nil || !e.Remote || e.Cause != ppp.NASRequest {
		t.Errorf("%v", e)
	}
}

// softEtherPAP: where MS-CHAPv2 over RADIUS fails, a client that lists PAP alone steers the server there.
func softEtherPAP(t *testing.T) {
	c := accept(t, dialer(ppp.PAP), nil)
	c.Accept(peer.SHA256)
	c.Auto = c.agree
	c.Send(peer.PPP(peer.LCP, peer.ConfReq, 1, peer.Opt(1, "05dc"), peer.Opt(3, "c22381")))
	q := c.WantCode(peer.LCP, peer.ConfNak)
	if want := peer.Opt(3, "c023"); !bytes.Equal(q.Body(), want) {
		t.Errorf("Nak %x", q.Body())
	}
	c.Send(peer.PPP(peer.LCP, peer.ConfReq, 2, peer.Opt(1, "05dc"), peer.Opt(3, "c023")))
	c.WantCode(peer.LCP, peer.ConfAck)
	id := c.WantPAP(user, password)
	c.Send(peer.PPP(peer.PAP, 2, id, []byte{0}))
	c.WantBound(c.cert)
	c.ipcp(3)
	if i := c.opened().Info(); i.Auth != ppp.PAP {
		t.Errorf("%v", i.Auth)
	}
}

// softEtherEmpty: it may ask for nothing at all, which a client with a password takes only when told to.
func softEtherEmpty(t *testing.T) {
	d := dialer()
	d.PPP.AllowNoAuth = true
	c := accept(t, d, nil)
	c.Accept(peer.SHA256)
	c.Auto = c.agree
	c.Send(peer.PPP(peer.LCP, peer.ConfReq, 1))
	if q := c.WantCode(peer.LCP, peer.ConfAck); len(q.Body()) != 0 {
		t.Errorf("%v", q)
	}
	c.WantBound(c.cert)
	c.ipcp(3)
	c.opened()
}

// azureSNI: VPN Azure finds the server by the name in TLS.
func azureSNI(t *testing.T) {
	c := accept(t, dialer(), nil)
	if n := c.Conn.ConnectionState().ServerName; n != peer.Host {
		t.Errorf("SNI %q", n)
	}
}
