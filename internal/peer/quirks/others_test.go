package quirks

import (
	"bytes"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/peer"
	"github.com/dialway/dialway/sstp"
)

// openStrict: Open-SSTP-Client ends the session at an LCP code above 11, at a Protocol-Reject or Code-Reject, and at a
// frame that is longer than its PPP length. The checks of internal/peer hold lengths and codes; here a session runs
// from the opening to the end without a Reject.
func openStrict(t *testing.T) {
	s := serve(t, func(s *sstp.Server) { noIPv6(s); s.PPP.MTU = 1500 })
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	lcp(p, 1, peer.Opt(1, "05dc"), peer.Opt(5, "11223344"))
	p.AnswerMSCHAPv2(user, password)
	p.WantSuccess()
	p.Bind(peer.SHA256)
	ipcp(t, p, 2)
	s.link()
	for i := range byte(5) {
		p.Send(peer.Control(peer.EchoRequest), peer.PPP(peer.LCP, peer.EchoReq, i, peer.Hex("11223344"), []byte("Abura Mashi Mashi")))
		p.WantMessage(peer.EchoResponse)
		q := p.WantCode(peer.LCP, peer.EchoRep)
		if q.ID() != i || !bytes.HasSuffix(q.Body(), []byte("Abura Mashi Mashi")) || bytes.HasPrefix(q.Body(), peer.Hex("11223344")) {
			t.Errorf("%v", q)
		}
		p.Run(20 * time.Second)
	}
	p.Never(0, "Reject", func(q peer.Packet) bool {
		return q.Proto() == peer.LCP && (q.Code() == peer.ProtRej || q.Code() == peer.CodeRej || q.Code() > peer.Discard)
	})
}

// openMRU: it refuses by Nak an MRU below its own MTU of 1500, and goes if it is told a smaller one again. What it wants
// fits, so it gets it.
func openMRU(t *testing.T) {
	s := serve(t, noIPv6)
	p := s.dial(nil)
	p.Connect()
	p.Auto = func(q peer.Packet) {
		if mru, ok := q.Option(1); ok && peer.Code(peer.LCP, peer.ConfReq)(q) && bytes.Compare(mru, peer.Hex("05dc")) < 0 {
			p.Send(peer.PPP(peer.LCP, peer.ConfNak, q.ID(), peer.Opt(1, "05dc")))
			return
		}
		p.Agree(peer.LCP, peer.IPCP)(q)
	}
	lcp(p, 1, peer.Opt(1, "05dc"), peer.Opt(5, "11223344"))
	p.AnswerMSCHAPv2(user, password)
	p.WantSuccess()
	if n := p.Count(peer.Code(peer.LCP, peer.ConfReq)); n > 2 {
		t.Errorf("asked %d times:\n%s", n, p.Log())
	}
}

// openBatches: several packets come in one record, and one packet in several.
func openBatches(t *testing.T) {
	s := serve(t, both(pap, noIPv6))
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	lcp(p, 1)
	p.SendPAP(2, user, password)
	p.WantCode(peer.PAP, 2)
	p.Bind(peer.SHA256)
	ipcp(t, p, 3)
	s.link()
	var batch [][]byte
	for i := range byte(50) {
		batch = append(batch, fromClient(i))
	}
	p.Send(batch...)
	for i := range byte(50) {
		if b := s.packet(); b[len(b)-1] != i {
			t.Fatalf("packet %d is %x", i, b)
		}
	}
	for _, c := range fromClient(99) {
		if _, err := p.Conn.Write([]byte{c}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if b := s.packet(); b[len(b)-1] != 99 {
		t.Errorf("%x", b)
	}
}

// withR sets the reserved bits of a packet's length.
func withR(p []byte) []byte {
	p = bytes.Clone(p)
	p[2] |= 0x80
	return p
}

// edgeTunnel: the client sends HTTP, Call Connect Request and LCP in one write, with reserved bits set in every packet,
// knows PAP only, never sends a Call Connected and answers no echo. It gets as far as it may without the binding: no
// packet passes, and the negotiation timer ends it.
func edgeTunnel(t *testing.T) {
	s := serve(t, both(pap, noIPv6))
	p := s.dial(nil)
	p.Mangle = withR
	b := []byte("SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\r\nHost: sstp.test:8443\r\n" +
		"Content-Length: 18446744073709551615\r\nSSTPCORRELATIONID: {00112233-4455-6677-8899-AABBCCDDEEFF}\r\n\r\n")
	b = append(b, withR(peer.Request())...)
	b = append(b, withR(peer.PPP(peer.LCP, peer.ConfReq, 1, peer.Opt(1, "05dc")))...)
	if _, err := p.Conn.Write(b); err != nil {
		t.Fatal(err)
	}
	p.Head()
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	p.WantAck()
	p.WantCode(peer.LCP, peer.ConfAck)
	p.SendPAP(2, user, password)
	p.WantCode(peer.PAP, 2)
	ipcp(t, p, 3)
	for i := range byte(10) {
		p.Send(fromClient(i))
		p.Run(time.Second)
	}
	s.none()
	start := time.Now()
	p.WantWithin(2*time.Minute, "Abort or Disconnect", func(q peer.Packet) bool {
		return q.Type() == peer.Abort || q.Type() == peer.Disconnect
	})
	p.End(10 * time.Second)
	if d := time.Since(start); d > time.Minute {
		t.Errorf("it took %v more", d)
	}
	s.none()
	time.Sleep(time.Second)
	if st := s.Config.Stats(); st.Opened != 0 || st.Pending != 0 {
		t.Errorf("%+v", st)
	}
}

// reservedBits: with a Call Connected that has reserved bits set the binding is made over what was sent, not over what
// should have been.
func reservedBits(t *testing.T) {
	s := serve(t, noIPv6)
	p := s.dial(nil)
	p.Mangle = func(b []byte) []byte {
		if b[1]&1 != 0 && b[5] == peer.Connected {
			return b // is authenticated as it is
		}
		return withR(b)
	}
	p.Text("SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\nContent-Length: 18446744073709551615\n\n")
	p.Head()
	p.Send(peer.Request())
	p.WantAck()
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	lcp(p, 1)
	p.AnswerMSCHAPv2(user, password)
	p.WantSuccess()
	p.Send(peer.CallConnected(peer.SHA256, p.Nonce, peer.Certificate().Certificate[0], p.HLAK, func(b []byte) {
		b[2] |= 0x80
		b[10] |= 0x80
		b[8], b[12] = 0x55, 0x55 // reserved bytes of attribute header and value
	}))
	ipcp(t, p, 2)
	s.link()
}

// crossedDisconnects: both ends say Disconnect at once: each acknowledges the other's, and nobody waits for ever.
func crossedDisconnects(t *testing.T) {
	c := accept(t, dialer(), nil)
	link := c.open()
	c.Auto = func(q peer.Packet) {
		switch {
		case peer.Message(peer.Disconnect)(q):
			c.Send(peer.Control(peer.Disconnect, peer.Status(0, 0)))
		case peer.Code(peer.LCP, peer.TermReq)(q):
			c.Send(peer.PPP(peer.LCP, peer.TermAck, q.ID()))
		}
	}
	start := time.Now()
	go link.Close()
	c.WantMessage(peer.Disconnect)
	c.WantMessage(peer.DisconnectAck)
	c.End(10 * time.Second)
	c.end()
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
}

// crossedAbort: an Abort comes in answer to our Disconnect: it is answered.
func crossedAbort(t *testing.T) {
	c := accept(t, dialer(), nil)
	link := c.open()
	c.Auto = func(q peer.Packet) {
		switch {
		case peer.Message(peer.Disconnect)(q):
			c.Send(peer.Control(peer.Abort, peer.Status(2, 5)))
		case peer.Code(peer.LCP, peer.TermReq)(q):
			c.Send(peer.PPP(peer.LCP, peer.TermAck, q.ID()))
		}
	}
	go link.Close()
	c.WantMessage(peer.Disconnect)
	c.WantMessage(peer.Abort)
	c.End(10 * time.Second)
	c.end()
}

// silentNAT: a firewall forgets a silent connection after a minute, so Hello may be set below, at a server as well.
func silentNAT(t *testing.T) {
	s := serve(t, func(s *sstp.Server) { both(pap, noIPv6)(s); s.Hello = 25 * time.Second })
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	lcp(p, 1)
	p.SendPAP(2, user, password)
	p.WantCode(peer.PAP, 2)
	p.Bind(peer.SHA256)
	ipcp(t, p, 3)
	s.link()
	p.Run(2 * time.Minute)
	if n := p.Count(peer.Message(peer.EchoRequest)); n < 4 || n > 5 {
		t.Errorf("%d echoes in two minutes of 25 seconds", n)
	}
}
