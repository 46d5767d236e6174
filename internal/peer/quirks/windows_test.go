package quirks

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/peer"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
)

// windowsLCP is the client's first Configure-Request: MRU 4091, magic, both compressions, callback by CBCP.
var windowsLCP = [][]byte{peer.Opt(1, "0ffb"), peer.Opt(5, "3c5a1f77"), peer.Opt(7, ""), peer.Opt(8, ""), peer.Opt(13, "06")}

// windowsIPCP asks for an address and for four name servers, all at once.
var windowsIPCP = [][]byte{peer.Opt(3, zeroHex), peer.Opt(129, zeroHex), peer.Opt(130, zeroHex), peer.Opt(131, zeroHex), peer.Opt(132, zeroHex)}

// windowsHTTP: the answer must be HTTP/1.1 with exactly 200, alone in its record; ALPN is offered.
func windowsHTTP(t *testing.T) {
	s := serve(t, nil)
	config := s.config.Clone()
	config.NextProtos = []string{"http/1.1"}
	p := s.dial(config)
	if got := p.Conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("ALPN %q", got)
	}
	p.Text("SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\nSSTPCORRELATIONID: {00112233-4455-6677-8899-AABBCCDDEEFF}\n" +
		"Content-Length: 18446744073709551615\nHost: sstp.test\n\n")
	head := p.Head()
	if !strings.HasPrefix(head, "HTTP/1.1 200 ") || !strings.Contains(head, "\r\nContent-Length: 18446744073709551615\r\n") {
		t.Errorf("%q", head)
	}
}

// windowsSession is the whole opening as it was traced: one Reject for three options, Identification three times,
// IPV6CP before IPCP, five options with zeros, one counter of identifiers for all protocols.
func windowsSession(t *testing.T) {
	s := serve(t, nil)
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP, peer.IPCP, peer.IPV6CP)

	p.Send(peer.PPP(peer.LCP, peer.ConfReq, 0, windowsLCP...))
	q := p.WantCode(peer.LCP, peer.ConfRej)
	if want := peer.Hex("0702 0802 0d0306"); q.ID() != 0 || !bytes.Equal(q.Body(), want) {
		t.Errorf("rejected %x of the first request, want %x", q.Body(), want)
	}
	lcp(p, 1, windowsLCP[:2]...)
	p.Send(
		peer.PPP(peer.LCP, peer.Identification, 2, peer.Hex("3c5a1f77"), []byte("MSRASV5.20")),
		peer.PPP(peer.LCP, peer.Identification, 3, peer.Hex("3c5a1f77"), []byte("MSRAS-0-PC7")),
		peer.PPP(peer.LCP, peer.Identification, 4, peer.Hex("3c5a1f77"), peer.Hex("b0a1c2d3e4f5061728394a5b6c7d8e9f")),
	)
	p.AnswerMSCHAPv2(user, password)
	p.WantSuccess()
	p.Bind(peer.SHA256)
	p.Send(
		peer.PPP(peer.IPV6CP, peer.ConfReq, 5, peer.Opt(1, "48c5a4fcd0ba1f22")),
		peer.PPP(peer.IPCP, peer.ConfReq, 6, windowsIPCP...),
	)
	p.WantCode(peer.IPV6CP, peer.ConfAck)
	q = p.WantCode(peer.IPCP, peer.ConfRej)
	if want := peer.Hex("82 06 00000000 83 06 00000000 84 06 00000000"); !bytes.Equal(q.Body(), want) {
		t.Errorf("rejected %x of IPCP, want %x", q.Body(), want)
	}
	p.Send(peer.PPP(peer.IPCP, peer.ConfReq, 7, windowsIPCP[:2]...))
	q = p.WantCode(peer.IPCP, peer.ConfNak)
	if want := peer.Hex("0306" + clientHex + "8106" + dnsHex); !bytes.Equal(q.Body(), want) {
		t.Errorf("Nak %x, want %x", q.Body(), want)
	}
	p.Send(peer.PPP(peer.IPCP, peer.ConfReq, 8, q.Body()))
	p.WantCode(peer.IPCP, peer.ConfAck)
	link := s.link()
	p.Send(fromClient(1))
	s.packet()
	if i := link.Info(); !strings.Contains(i.Client, "MSRASV5.20") || !strings.Contains(i.Client, "MSRAS-0-PC7") || !i.Peer6.IsValid() || i.Peer != clientAddr {
		t.Errorf("%+v", i)
	}
	p.Never(time.Second, "an answer to Identification", peer.Code(peer.LCP, peer.CodeRej))
}

// windowsIdentifies: what the client says it is stands in the request to the Authenticator.
func windowsIdentifies(t *testing.T) {
	s := serve(t, noIPv6)
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	lcp(p, 0, windowsLCP[:2]...)
	p.Send(peer.PPP(peer.LCP, peer.Identification, 2, peer.Hex("3c5a1f77"), []byte("MSRASV5.20")),
		peer.PPP(peer.LCP, peer.Identification, 3, peer.Hex("3c5a1f77"), []byte("MSRAS-0-PC7")))
	p.AnswerMSCHAPv2(user, password)
	p.WantSuccess()
	if c := s.claims.Client; !strings.Contains(c, "MSRASV5.20") || !strings.Contains(c, "MSRAS-0-PC7") {
		t.Errorf("Client %q", c)
	}
}

// windowsMultilink: older clients add MRRU and an endpoint discriminator; all is rejected in one go.
func windowsMultilink(t *testing.T) {
	s := serve(t, nil)
	p := s.dial(nil)
	p.Connect()
	all := append(windowsLCP[:5:5], peer.Opt(17, "064e"), peer.Opt(19, "01 7f00000100000000000000000000000000000000"))
	p.Send(peer.PPP(peer.LCP, peer.ConfReq, 0, all...))
	q := p.WantCode(peer.LCP, peer.ConfRej)
	if want := bytes.Join(all[2:], nil); !bytes.Equal(q.Body(), want) {
		t.Errorf("rejected %x, want %x", q.Body(), want)
	}
	lcp(p, 1, all[:2]...)
}

// windowsCCP: a CCP request is answered by Protocol-Reject, since silence makes Windows ask until LCP dies.
func windowsCCP(t *testing.T) {
	s := serve(t, noIPv6)
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	lcp(p, 0, windowsLCP[:2]...)
	p.AnswerMSCHAPv2(user, password)
	p.WantSuccess()
	p.Bind(peer.SHA256)
	ccp := peer.PPP(peer.CCP, peer.ConfReq, 5, peer.Opt(18, "01000060"))
	p.Send(ccp)
	ipcp(t, p, 6)
	q := p.WantCode(peer.LCP, peer.ProtRej)
	if want := peer.Packet(ccp).Info(); !bytes.Equal(q.Body(), append(peer.Hex("80fd"), want...)) {
		t.Errorf("Protocol-Reject %x", q.Body())
	}
	s.link()
	p.Send(fromClient(1))
	s.packet()
}

// windowsPAP: PAP binds with a HLAK of zeros.
func windowsPAP(t *testing.T) {
	s := serve(t, both(pap, noIPv6))
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	lcp(p, 0, windowsLCP[:2]...)
	p.SendPAP(1, user, password)
	p.WantCode(peer.PAP, 2)
	p.Bind(peer.SHA256)
	ipcp(t, p, 2)
	s.link()
	p.Send(fromClient(1))
	s.packet()
}

// windowsZeroKeys: a client that authenticates by EAP and binds with zeros, with a server that takes that. One that does not
// aborts.
func windowsZeroKeys(t *testing.T) {
	for _, accept := range []bool{true, false} {
		s := serve(t, both(noIPv6, func(s *sstp.Server) {
			s.AcceptZeroKeyEAP = accept
			s.PPP.Auth = []ppp.AuthProtocol{ppp.EAP}
			s.PPP.Authenticator = ppp.AuthenticatorFunc(func(context.Context, *ppp.AuthRequest) (*ppp.Grant, error) {
				key := bytes.Repeat([]byte{7}, 32)
				return &ppp.Grant{User: user, RecvKey: key, SendKey: key}, nil
			})
		}))
		p := s.dial(nil)
		p.Connect()
		p.Auto = p.Agree(peer.LCP, peer.IPCP)
		lcp(p, 0, windowsLCP[:2]...)
		q := p.WantCode(eapProto, 1)
		p.Send(peer.PPP(eapProto, 2, q.ID(), []byte{1}, []byte(user)))
		p.WantCode(eapProto, 3)
		p.Bind(peer.SHA256)
		if !accept {
			p.WantMessage(peer.Abort)
			continue
		}
		ipcp(t, p, 2)
		s.link()
		p.Send(fromClient(1))
		s.packet()
	}
}

// eapProto is EAP's protocol number.
const eapProto = 0xc227

// windowsDomain: a name with a domain is hashed without it (RFC 2759 section 4).
func windowsDomain(t *testing.T) {
	s := serve(t, noIPv6)
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	lcp(p, 0, windowsLCP[:2]...)
	p.AnswerMSCHAPv2(`EXAMPLE\`+user, password)
	p.WantSuccess()
	p.Bind(peer.SHA256)
	ipcp(t, p, 2)
	if u := s.link().Info().User; u != `EXAMPLE\`+user {
		t.Errorf("user %q", u)
	}
}

// windowsCompressed: frames come in every form that the header may have.
func windowsCompressed(t *testing.T) {
	s := serve(t, noIPv6)
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	lcp(p, 0, windowsLCP[:2]...)
	p.AnswerMSCHAPv2(user, password)
	p.WantSuccess()
	p.Bind(peer.SHA256)
	ipcp(t, p, 2)
	s.link()
	for i, header := range []string{"ff030021", "ff0321", "0021", "21"} {
		p.Send(peer.Data(append(peer.Hex(header), udp(clientAddr, serverAddr, byte(i))...)))
		if b := s.packet(); b[len(b)-1] != byte(i) {
			t.Errorf("%s: %x", header, b)
		}
	}
}

// windowsTLS12: Windows 10 takes TLS 1.2 with an RSA certificate and ECDHE-GCM.
func windowsTLS12(t *testing.T) {
	s := serve(t, func(s *sstp.Server) {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{peer.RSACertificate()}}
	})
	config := s.config.Clone()
	config.MaxVersion = tls.VersionTLS12
	config.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}
	p := s.dial(config)
	p.Connect()
	if v := p.Conn.ConnectionState().Version; v != tls.VersionTLS12 {
		t.Errorf("version %x", v)
	}
}

// windows7: TLS 1.0 is below the floor: refused, and the next client is served.
func windows7(t *testing.T) {
	s := serve(t, func(s *sstp.Server) {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{peer.RSACertificate()}}
	})
	config := s.config.Clone()
	config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	nc := s.conn()
	defer nc.Close()
	var alert tls.AlertError
	if err := tls.Client(nc, config).Handshake(); !errors.As(err, &alert) && !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("%v", err)
	}
	s.dial(nil).Connect()
	time.Sleep(time.Second)
	if st := s.Config.Stats(); st.HandshakeFailed != 1 {
		t.Errorf("%+v", st)
	}
}

// windowsEAP: a fresh profile knows EAP only. It is told MS-CHAPv2 again and again, and no link opens without.
func windowsEAP(t *testing.T) {
	s := serve(t, nil)
	p := s.dial(nil)
	p.Connect()
	p.Auto = func(q peer.Packet) {
		if peer.Code(peer.LCP, peer.ConfReq)(q) {
			p.Send(peer.PPP(peer.LCP, peer.ConfNak, q.ID(), peer.Opt(3, "c227")))
		}
	}
	lcp(p, 0, windowsLCP[:2]...)
	p.End(time.Minute)
	if n := p.Count(peer.Code(peer.LCP, peer.ConfReq)); n < 1 || n > 25 {
		t.Errorf("asked %d times", n)
	}
	s.none()
}

// windowsEmpty: a Configure-Request without options is one, and is acknowledged (RFC 1661 section 5.1).
func windowsEmpty(t *testing.T) {
	s := serve(t, nil)
	p := s.dial(nil)
	p.Connect()
	p.Send(peer.PPP(peer.LCP, peer.ConfReq, 0))
	if q := p.WantCode(peer.LCP, peer.ConfAck); q.ID() != 0 || len(q.Body()) != 0 {
		t.Errorf("%v", q)
	}
}

// rrasReason: a 200 with an empty reason, as HTTP.SYS writes it.
func rrasReason(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.Head()
	c.Text("HTTP/1.1 200 \nContent-Length: 18446744073709551615\nServer: Microsoft-HTTPAPI/2.0\nDate: Thu, 09 Nov 2006 00:51:09 GMT\n\n")
	c.AcceptCall(peer.SHA256)
	c.WantCode(peer.LCP, peer.ConfReq)
}

// rrasLCP: the server asks for EAP first, and for callback and multilink; a client with a password steers it to
// MS-CHAPv2.
func rrasLCP(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.Accept(peer.SHA256)
	c.Auto = c.agree
	mru, magic := peer.Opt(1, "0ffb"), peer.Opt(5, "7a2f19c4")
	more := [][]byte{peer.Opt(13, "06"), peer.Opt(17, "064e"), peer.Opt(19, "01 0102030405060708090a0b0c0d0e0f1011121314")}
	c.Send(peer.PPP(peer.LCP, peer.ConfReq, 0, append([][]byte{mru, peer.Opt(3, "c227"), magic}, more...)...))
	q := c.WantCode(peer.LCP, peer.ConfRej)
	if want := bytes.Join(more, nil); !bytes.Equal(q.Body(), want) {
		t.Errorf("rejected %x, want %x", q.Body(), want)
	}
	c.Send(peer.PPP(peer.LCP, peer.ConfReq, 1, mru, peer.Opt(3, "c227"), magic))
	q = c.WantCode(peer.LCP, peer.ConfNak)
	if want := peer.Opt(3, "c22381"); !bytes.Equal(q.Body(), want) {
		t.Errorf("Nak %x, want %x", q.Body(), want)
	}
	c.Send(peer.PPP(peer.LCP, peer.ConfReq, 2, mru, peer.Opt(3, "c22381"), magic))
	c.WantCode(peer.LCP, peer.ConfAck)
	c.AskMSCHAPv2(3, user, password)
	c.WantBound(c.cert)
	c.ipcp(4)
	if i := c.opened().Info(); i.Auth != ppp.MSCHAPv2 || i.Local != clientAddr {
		t.Errorf("%+v", i)
	}
}

// rrasBinds: Windows Server 2016 takes the keys for zero when the Call Connected comes later than at once: it stands in
// front of every network protocol.
func rrasBinds(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.open()
	bound := c.Index(peer.Message(peer.Connected))
	for _, proto := range []uint16{peer.IPCP, peer.IPV6CP, peer.IPv4} {
		if i := c.Index(func(q peer.Packet) bool { return q.Proto() == proto }); i >= 0 && i < bound {
			t.Errorf("protocol %04x came before the Call Connected:\n%s", proto, c.Log())
		}
	}
}

// rrasHash: behind a TLS front whose certificate the server does not know, it aborts with attribute 3, status 4.
func rrasHash(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.Accept(peer.SHA256)
	c.lcp(1, peer.Opt(3, "c22381"))
	c.AskMSCHAPv2(2, user, password)
	c.WantBound(c.cert)
	c.Send(peer.Control(peer.Abort, peer.Status(peer.AttrBinding, 4)))
	c.WantMessage(peer.Abort)
	e := as[*sstp.StatusError](t, c.result())
	if e == nil || e.Status != sstp.StatusValueNotSupported || !e.Remote || !strings.Contains(e.Error(), "certificate") {
		t.Errorf("%v", e)
	}
}

// rrasEarly: the server drops what comes before PPP is through, so nothing is sent.
func rrasEarly(t *testing.T) {
	c := accept(t, dialer(), nil)
	link := c.open()
	link.Write([][]byte{udp(clientAddr, serverAddr, 7)}, 0)
	data := c.Want("packet", func(q peer.Packet) bool { return q.Proto() == peer.IPv4 })
	if last := data.Info(); last[len(last)-1] != 7 || c.Count(func(q peer.Packet) bool { return q.Proto() == peer.IPv4 }) != 1 {
		t.Errorf("data came early:\n%s", c.Log())
	}
}
