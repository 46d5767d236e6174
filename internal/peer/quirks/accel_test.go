package quirks

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/peer"
	"github.com/dialway/dialway/sstp"
)

// accelReserved: the server reads 16 bits of length and one exact byte: reserved bits are zero in all that a session
// sends. The checks of internal/peer hold that for every script; this one makes both ends talk at length.
func accelReserved(t *testing.T) {
	c := accept(t, dialer(), nil)
	link := c.open()
	big := make([]byte, 1400)
	copy(big, udp(clientAddr, serverAddr, 1))
	big[2], big[3] = 1400>>8, 1400&255
	link.Write([][]byte{big, big, udp(clientAddr, serverAddr, 2)}, 0)
	for range 3 {
		c.Want("packet", func(q peer.Packet) bool { return q.Proto() == peer.IPv4 && q.Check() == nil })
	}
}

// accelNak: its Nak has two stray bytes behind the last attribute. The client asks again, and once more.
func accelNak(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.Head()
	c.Text("HTTP/1.1 200 OK\nDate: Thu, 09 Nov 2006 00:51:09 GMT\nContent-Length: 18446744073709551615\nConnection: keep-alive\n\n")
	for range 3 {
		c.WantMessage(peer.ConnectRequest)
		nak := append(peer.Control(peer.ConnectNak, peer.Status(peer.AttrProtocol, 4)), 0, 0)
		nak[3] = byte(len(nak))
		c.Send(nak)
	}
	c.AcceptCall(peer.SHA1 | peer.SHA256)
	c.WantCode(peer.LCP, peer.ConfReq)
}

// accelHTTP: what it does not know it answers 404 or 301, or hangs up on.
func accelHTTP(t *testing.T) {
	for answer, code := range map[string]int{
		"HTTP/1.1 404 Not Found\nContent-Length: 0\nConnection: close\n\n":                      404,
		"HTTP/1.1 301 Moved Permanently\nLocation: https://example.com/\nContent-Length: 0\n\n": 301,
		"HTTP/1.1 501 Not Implemented\n\n":                                                      501,
	} {
		c := accept(t, dialer(), nil)
		c.Head()
		c.Text(answer)
		if e := as[*sstp.HTTPError](t, c.result()); e == nil || e.Code != code || e.Proxy {
			t.Errorf("%v, want %d", e, code)
		}
	}
	c := accept(t, dialer(), nil)
	c.Head()
	c.Conn.Close()
	if err := c.result(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("hung up: %v", err)
	}
}

// accelIdle: it drops clients that say nothing for a minute, so this end asks first, and again.
func accelIdle(t *testing.T) {
	d := dialer()
	d.Hello = 20 * time.Second
	c := accept(t, d, nil)
	c.open()
	c.Run(5 * time.Minute)
	if n := c.Count(peer.Message(peer.EchoRequest)); n < 14 || n > 16 {
		t.Errorf("%d echoes in five minutes of 20 seconds", n)
	}
}

// accelMRU: it has an MRU of its own in mind, and says so by Nak.
func accelMRU(t *testing.T) {
	d := dialer()
	d.PPP.MTU = 4000
	c := accept(t, d, nil)
	c.Accept(peer.SHA1 | peer.SHA256)
	c.Auto = func(q peer.Packet) {
		if mru, ok := q.Option(1); ok && peer.Code(peer.LCP, peer.ConfReq)(q) && !bytes.Equal(mru, peer.Hex("05ac")) {
			c.Send(peer.PPP(peer.LCP, peer.ConfNak, q.ID(), peer.Opt(1, "05ac")))
			return
		}
		c.agree(q)
	}
	c.Send(peer.PPP(peer.LCP, peer.ConfReq, 1, peer.Opt(1, "05ac"), peer.Opt(3, "c22381")))
	c.WantCode(peer.LCP, peer.ConfAck)
	c.Want("request with that MRU", func(q peer.Packet) bool {
		mru, _ := q.Option(1)
		return peer.Code(peer.LCP, peer.ConfReq)(q) && bytes.Equal(mru, peer.Hex("05ac"))
	})
	c.AskMSCHAPv2(2, user, password)
	c.WantBound(c.cert)
	c.ipcp(3)
	if i := c.opened().Info(); i.MTU != 1452 {
		t.Errorf("MTU %d", i.MTU)
	}
}

// accelCompressed: its kernel may send what the client never asked for: frames with one byte of protocol, or without
// FF 03.
func accelCompressed(t *testing.T) {
	c := accept(t, dialer(), nil)
	c.open()
	for i, header := range []string{"ff030021", "ff0321", "0021", "21"} {
		c.Send(peer.Data(append(peer.Hex(header), udp(serverAddr, clientAddr, byte(i))...)))
		if b := <-c.packets; b[len(b)-1] != byte(i) {
			t.Errorf("%s: %x", header, b)
		}
	}
}
