package quirks

import (
	"bytes"
	"crypto/sha1"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/internal/peer"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
)

// routerOSAck: the server's PAP Ack has length 4, and "Login ok" behind it.
func routerOSAck(t *testing.T) {
	c := accept(t, dialer(ppp.PAP), nil)
	c.Accept(peer.SHA256)
	c.lcp(1, peer.Opt(3, "c023"))
	id := c.WantPAP(user, password)
	c.Send(peer.Frame(peer.PAP, append([]byte{2, id, 0, 4}, "\x08Login ok"...)))
	c.WantBound(c.cert)
	c.ipcp(2)
	c.opened()
}

// routerOSOldTLS: a server below TLS 1.2 is an error of TLS that names the version, and no password was sent.
func routerOSOldTLS(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{peer.RSACertificate()}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	c, nc := begin(t, dialer(), config)
	if tls.Server(nc, config).Handshake() == nil {
		t.Error("the handshake went through")
	}
	nc.Close()
	<-c.done
	if c.err == nil || !strings.Contains(c.err.Error(), "version") {
		t.Errorf("%v", c.err)
	}
}

// routerOSEcho: the server asks at both layers and hangs up on those who do not answer.
func routerOSEcho(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.open()
	for range 3 {
		c.Run(30 * time.Second)
		start := time.Now()
		c.Send(peer.Control(peer.EchoRequest), peer.PPP(peer.LCP, peer.EchoReq, 9, peer.Hex("01020304")))
		c.WantMessage(peer.EchoResponse)
		c.WantCode(peer.LCP, peer.EchoRep)
		if d := time.Since(start); d > time.Second {
			t.Errorf("the answers took %v", d)
		}
	}
}

// routerOSCut: the connection ends without TLS's goodbye; that is a loss of the carrier and nothing else.
func routerOSCut(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.open()
	c.Conn.NetConn().(*memnet.Conn).Close()
	if e := as[*ppp.TerminatedError](t, c.end()); e == nil || e.Cause != ppp.LostCarrier {
		t.Errorf("%v", e)
	}
}

// routerOSIPv6: the server asks for IPV6CP unasked: it is negotiated, or rejected by a client that has none.
func routerOSIPv6(t *testing.T) {
	for _, none := range []bool{false, true} {
		d := dialer()
		d.PPP.NoIPv6 = none
		c := accept(t, d, nil)
		c.Accept(peer.SHA256)
		c.lcp(1, peer.Opt(3, "c22381"))
		c.AskMSCHAPv2(2, user, password)
		c.WantBound(c.cert)
		c.Auto = func(q peer.Packet) { c.agree(q); c.Agree(peer.IPV6CP)(q) }
		c.Send(peer.PPP(peer.IPV6CP, peer.ConfReq, 3, peer.Opt(1, "02000000000000aa")))
		if none {
			if q := c.WantCode(peer.LCP, peer.ProtRej); !bytes.HasPrefix(q.Body(), peer.Hex("8057")) {
				t.Errorf("%v", q)
			}
		} else {
			c.WantCode(peer.IPV6CP, peer.ConfAck)
		}
		c.ipcp(4)
		if i := c.opened().Info(); i.Local6.IsValid() == none {
			t.Errorf("IPv6 %v with NoIPv6 %v", i.Local6, none)
		}
	}
}

// routerOSServerHTTP: the answer has a Server field of its own, and no space behind a colon.
func routerOSServerHTTP(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.Head()
	c.Text("HTTP/1.1 200\nContent-Length:18446744073709551615\nServer: MikroTik-SSTP\nDate: Thu, 09 Nov 2006 00:51:09 GMT\n\n")
	c.AcceptCall(peer.SHA1 | peer.SHA256)
	c.WantCode(peer.LCP, peer.ConfReq)
}

// routerOSClient: the client knows AES-CBC suites with an RSA key exchange only, sends no name, leaves unless SHA-1 is
// offered and binds with it. A server that wants it names those suites in its TLSConfig.
func routerOSClient(t *testing.T) {
	suites := []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA}
	s := serve(t, func(s *sstp.Server) {
		noIPv6(s)
		s.TLSConfig = &tls.Config{
			Certificates: []tls.Certificate{peer.RSACertificate(), peer.Certificate()},
			CipherSuites: append(suites[:2:2], tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
		}
	})
	p := s.dial(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: suites})
	if n := p.Conn.ConnectionState().ServerName; n != "" {
		t.Fatalf("SNI %q", n)
	}
	p.Text("SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\nContent-Length: 18446744073709551615\nHost: 198.51.100.1\n\n")
	p.Head()
	p.Send(peer.Request())
	if h := p.WantAck(); h&peer.SHA1 == 0 {
		t.Fatalf("hash protocols %d", h)
	}
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	lcp(p, 1, peer.Opt(5, "01020304"))
	p.AnswerMSCHAPv2(user, password)
	p.WantSuccess()
	p.Bind(peer.SHA1)
	ipcp(t, p, 2)
	s.link()
	leaf := sha1.Sum(p.Conn.ConnectionState().PeerCertificates[0].Raw)
	if !bytes.Equal(leaf[:], peer.CertHash(peer.SHA1, peer.RSACertificate().Certificate[0])) {
		t.Error("the default certificate is not the first")
	}
}

// routerOSAddress: a client that is told no address invents one for the server: the server's request has its own, and
// nothing of Van Jacobson's.
func routerOSAddress(t *testing.T) {
	s := serve(t, noIPv6)
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP)
	lcp(p, 1, peer.Opt(5, "01020304"))
	p.AnswerMSCHAPv2(user, password)
	p.WantSuccess()
	p.Bind(peer.SHA256)
	q := p.WantCode(peer.IPCP, peer.ConfReq)
	if want := peer.Opt(3, serverHex); !bytes.Equal(q.Body(), want) {
		t.Errorf("IPCP %x, want %x", q.Body(), want)
	}
}

// routerOSRejectsVJ: nothing is compressed by Van Jacobson's rule, and a request for it is rejected.
func routerOSRejectsVJ(t *testing.T) {
	s := serve(t, noIPv6)
	p := s.dial(nil)
	p.Connect()
	p.Auto = p.Agree(peer.LCP, peer.IPCP)
	lcp(p, 1)
	p.AnswerMSCHAPv2(user, password)
	p.WantSuccess()
	p.Bind(peer.SHA256)
	vj := peer.Opt(2, "002d0f01")
	p.Send(peer.PPP(peer.IPCP, peer.ConfReq, 2, peer.Opt(3, zeroHex), vj))
	if q := p.WantCode(peer.IPCP, peer.ConfRej); !bytes.Equal(q.Body(), vj) {
		t.Errorf("%v", q)
	}
	ipcp(t, p, 3)
	s.link()
}
