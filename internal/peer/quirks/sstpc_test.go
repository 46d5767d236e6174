package quirks

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/peer"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
)

// sstpcHTTP: the client takes the answer as whole when what it has read ends in a line feed, in at most seven lines,
// and its correlation id is no GUID. peer.Head fails if anything follows in the same record.
func sstpcHTTP(t *testing.T) {
	s := serve(t, nil)
	p := s.dial(nil)
	p.Text("SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\nHost: sstp.test\n" +
		"Content-Length: 18446744073709551615\nSSTPCORRELATIONID: {2F0D-3A-11-9C21}\n\n")
	head := p.Head()
	if n := strings.Count(head, "\r\n"); n > 7 || !strings.HasPrefix(head, "HTTP/1.1 200") {
		t.Errorf("%d lines: %q", n, head)
	}
	p.Send(peer.Request())
	p.WantAck()
}

// sstpcLCP: pppd asks for an async map and both compressions, and lives without them.
func sstpcLCP(t *testing.T) {
	s := serve(t, nil)
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP)
	p.Send(peer.PPP(peer.LCP, peer.ConfReq, 1, peer.Opt(2, "00000000"), peer.Opt(5, "8e1f5b22"), peer.Opt(7, ""), peer.Opt(8, "")))
	q := p.WantCode(peer.LCP, peer.ConfRej)
	if want := peer.Hex("0702 0802"); !bytes.Equal(q.Body(), want) {
		t.Errorf("rejected %x, want %x", q.Body(), want)
	}
	lcp(p, 2, peer.Opt(2, "00000000"), peer.Opt(5, "8e1f5b22"))
	p.WantCode(peer.CHAP, 1)
}

// slowly makes a server's Authenticator take its time.
func slowly(d time.Duration) func(*sstp.Server) {
	return func(s *sstp.Server) {
		pap(s)
		noIPv6(s)
		s.PPP.Authenticator = ppp.AuthenticatorFunc(func(ctx context.Context, r *ppp.AuthRequest) (*ppp.Grant, error) {
			select {
			case <-time.After(d):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return r.CheckPassword(password)
		})
	}
}

// sstpcEarly: the client may send its Call Connected before the server knows the result, and data with it. The call is
// checked when the result is there; a session opens.
func sstpcEarly(t *testing.T) {
	s := serve(t, slowly(20*time.Second))
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	lcp(p, 1)
	p.SendPAP(2, user, password)
	p.Bind(peer.SHA256)
	p.Send(fromClient(1))
	p.Run(15 * time.Second)
	s.none()
	p.WantCode(peer.PAP, 2)
	ipcp(t, p, 3)
	s.link()
	p.Send(fromClient(2))
	if b := s.packet(); b[len(b)-1] != 2 {
		t.Errorf("early data came through: %x", b)
	}
}

// sstpcLate: without pppd's plugin the Call Connected follows the first IPCP frame, which is answered all the same.
func sstpcLate(t *testing.T) {
	s := serve(t, both(pap, noIPv6))
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	lcp(p, 1)
	p.SendPAP(2, user, password)
	p.WantCode(peer.PAP, 2)
	ipcp(t, p, 3)
	p.Send(fromClient(1))
	p.Run(5 * time.Second)
	s.none()
	p.Bind(peer.SHA256)
	s.link()
	p.Send(fromClient(2))
	if b := s.packet(); b[len(b)-1] != 2 {
		t.Errorf("early data came through: %x", b)
	}
}

// sstpcStatus: the client reads the first attribute only, and nothing shorter than 14 bytes: Disconnect and Abort have
// their 20.
func sstpcStatus(t *testing.T) {
	s := serve(t, both(pap, noIPv6))
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	lcp(p, 1)
	p.SendPAP(2, user, password)
	p.WantCode(peer.PAP, 2)
	p.Bind(peer.SHA256)
	ipcp(t, p, 3)
	link := s.link()
	link.Terminate(ppp.AdminReset, "")
	if q := p.WantMessage(peer.Disconnect); len(q) != 20 {
		t.Errorf("% x", []byte(q))
	}

	p = s.dial(nil)
	p.Connect()
	p.Send(peer.Control(peer.EchoRequest)) // wrong in this state
	if q := p.WantMessage(peer.Abort); len(q) != 20 {
		t.Errorf("% x", []byte(q))
	}
}

// sstpcNak: the client does not ask twice: it goes, and leaves nothing behind.
func sstpcNak(t *testing.T) {
	s := serve(t, nil)
	p := s.dial(nil)
	p.Text("SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\nContent-Length: 18446744073709551615\n\n")
	p.Head()
	p.Send(peer.Control(peer.ConnectRequest, peer.Attr(peer.AttrProtocol, []byte{0, 2})))
	if a, status, ok := p.WantMessage(peer.ConnectNak).Status(); !ok || a != peer.AttrProtocol || status != 4 {
		t.Errorf("attribute %d, status %d", a, status)
	}
	p.Conn.Close()
	time.Sleep(time.Second)
	if st := s.Config.Stats(); st.Pending != 0 || st.HandshakeFailed != 1 {
		t.Errorf("%+v", st)
	}
}

// sstpcRepeats: pppd sends its PAP request again every three seconds, under new identifiers. The Authenticator is asked
// once, and the answer goes to the latest.
func sstpcRepeats(t *testing.T) {
	asked := 0
	s := serve(t, func(s *sstp.Server) {
		slowly(20 * time.Second)(s)
		slow := s.PPP.Authenticator
		s.PPP.Authenticator = ppp.AuthenticatorFunc(func(ctx context.Context, r *ppp.AuthRequest) (*ppp.Grant, error) {
			asked++
			return slow.Authenticate(ctx, r)
		})
	})
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP)
	lcp(p, 1)
	for id := range 7 {
		p.SendPAP(byte(10+id), user, password)
		if id < 6 {
			p.Run(3 * time.Second)
		}
	}
	if q := p.WantCode(peer.PAP, 2); q.ID() != 16 || asked != 1 {
		t.Errorf("%v after %d questions", q, asked)
	}
	p.SendPAP(17, user, "another") // after the decision: the same answer, whatever it says
	if q := p.WantCode(peer.PAP, 2); q.ID() != 17 || asked != 1 {
		t.Errorf("%v after %d questions", q, asked)
	}
}

// sorzWaits: the server throws away what comes in one read with the request, so nothing does.
func sorzWaits(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.Head()
	c.Never(10*time.Second, "packet before the answer", func(peer.Packet) bool { return true })
	c.Text("HTTP/1.1 200 OK\nContent-Length: 18446744073709551615\nServer: SSTP-Server/0.7\n\n")
	c.AcceptCall(peer.SHA1)
}

// sorzEnds: its Abort and Disconnect have attributes that are too short.
func sorzEnds(t *testing.T) {
	for _, typ := range []uint16{peer.Abort, peer.Disconnect} {
		c := accept(t, dialer(), nil)
		c.open()
		c.Send(peer.Control(typ, peer.Hex("00 02 00 08 00 00 00 00")))
		var e *ppp.TerminatedError
		if err := c.end(); !errors.As(err, &e) || !e.Remote {
			t.Errorf("message %d: %v", typ, err)
		}
	}
}

// sorzKeyless: without a plugin for pppd it binds nothing and looks at nothing: the client's side is as always.
func sorzKeyless(t *testing.T) {
	d := dialer()
	d.SHA1 = true
	c := accept(t, d, nil)
	c.Accept(peer.SHA1)
	c.lcp(1, peer.Opt(3, "c22381"))
	c.AskMSCHAPv2(2, user, password)
	if h := c.WantBound(c.cert); h != peer.SHA1 {
		t.Errorf("hash protocol %d", h)
	}
	c.ipcp(3)
	c.opened()
}
