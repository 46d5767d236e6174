package ppp

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/mschap"
)

// Foreign peers, played by hand as their traces and sources show them: what they send, in their order, and what they need.

// zeros are the questions of Windows' IPCP, in its order.
var zeros = join(quad(3, "0.0.0.0"), quad(129, "0.0.0.0"), quad(130, "0.0.0.0"), quad(131, "0.0.0.0"), quad(132, "0.0.0.0"))

// A Windows 10 client: one counter of identifiers for all protocols, texts of itself, IPV6CP before IPCP, five zeros.
func TestWindowsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{
			Authenticator: says(&Grant{User: "u"}, nil), Auth: []AuthProtocol{MSCHAPv2, PAP}, Addr: serverAddr,
			Pool: &onePool{addr: clientAddr}, DNS: []netip.Addr{serverAddr},
		})
		f.id = 0xff // it begins with 0
		done := open(t, c)
		ours := f.want(protoLCP, codeConfigureRequest)
		first := []byte{1, 4, 0x0f, 0xfb, 5, 6, 0x3c, 0x4d, 0x5e, 0x6f, 7, 2, 8, 2, 13, 3, 6, 17, 4, 6, 0x4e, 19, 5, 1, 1, 2}
		f.send(protoLCP, codeConfigureRequest, first...)
		if p := f.want(protoLCP, codeConfigureReject); !bytes.Equal(p.data, first[10:]) {
			t.Errorf("%v", p)
		}
		f.request(protoLCP, first[:10]...)
		f.answer(protoLCP, codeConfigureNak, ours.id, 3, 4, 0xc0, 0x23)
		f.ack(protoLCP)
		for _, text := range []string{"MSRASV5.20", "MSRAS-0-PC7", "\x12\x34\x9a\x00\x01\x80\x90\xff\xfe\x11\x02\x03\x04\x05\x06\x07"} {
			f.send(protoLCP, codeIdentification, append([]byte{0x3c, 0x4d, 0x5e, 0x6f}, text...)...)
		}
		f.send(protoPAP, papRequest, appendPAPRequest(nil, "u", "p")...)
		f.want(protoPAP, papAck)
		four, six := f.want(protoIPCP, codeConfigureRequest), f.want(protoIPV6CP, codeConfigureRequest)
		f.request(protoIPV6CP, 1, 10, 0x49, 0xd8, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc)
		f.send(protoCCP, codeConfigureRequest, 18, 6, 0, 0, 0, 1)
		f.want(protoLCP, codeProtocolReject)
		f.send(protoIPCP, codeConfigureRequest, zeros...)
		if p := f.want(protoIPCP, codeConfigureReject); !bytes.Equal(p.data, zeros[12:]) {
			t.Errorf("%v", p)
		}
		f.answer(protoIPCP, codeConfigureAck, four.id, four.data...)
		f.answer(protoIPV6CP, codeConfigureAck, six.id, six.data...)
		f.send(protoIPCP, codeConfigureRequest, zeros[:12]...)
		p := f.want(protoIPCP, codeConfigureNak)
		f.request(protoIPCP, p.data...)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		i := c.Info()
		if i.Client != "MSRASV5.20 MSRAS-0-PC7" || i.Peer != clientAddr || i.Auth != PAP || i.MTU != 1400 || !i.Peer6.IsValid() {
			t.Errorf("%+v", i)
		}
		_, ended := serve(c)
		id := f.send(protoLCP, codeEchoRequest, 0x3c, 0x4d, 0x5e, 0x6f)
		if p := f.want(protoLCP, codeEchoReply); p.id != id || bytes.Equal(p.data[:4], []byte{0x3c, 0x4d, 0x5e, 0x6f}) {
			t.Errorf("%v", p)
		}
		f.send(protoLCP, codeTerminateRequest, 0x3c, 0x4d, 0x5e, 0x6f, 0, 0x3c, 0xcd, 0x74, 0, 0, 0, 0)
		f.want(protoLCP, codeTerminateAck)
		f.end.Close()
		endedBy(t, ended, UserRequest, true)
	})
}

// chapServer asks by MS-CHAPv2 as a server does, and proves itself.
func (f *far) chapServer(user, password string) {
	f.t.Helper()
	challenge := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	id := f.send(protoCHAP, chapChallenge, appendCHAPValue(nil, challenge[:], "RRAS")...)
	p := f.want(protoCHAP, chapResponse)
	v, name, ok := parseCHAPValue(p.data)
	if !ok || p.id != id || string(name) != user || len(v) != 49 {
		f.t.Fatalf("%v", p)
	}
	hash, _ := mschap.NTPasswordHash(password)
	peer, nt := [16]byte(v[:16]), [24]byte(v[24:48])
	if want := mschap.NTResponse(challenge, peer, user, hash); nt != want {
		f.t.Fatalf("response %x, want %x", nt, want)
	}
	proof := mschap.AuthenticatorResponse(hash, nt, peer, challenge, user)
	f.answer(protoCHAP, chapSuccess, id, fmt.Appendf(nil, "S=%X", proof)...)
}

// Windows' server: EAP first, Callback and Multilink, MRU 4091, CCP.
func TestRRASServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, false, &Config{User: "User", Password: "clientPass"})
		done := open(t, c)
		p := f.want(protoLCP, codeConfigureRequest) // before the server's: SoftEther's waits for it
		f.answer(protoLCP, codeConfigureAck, p.id, p.data...)
		head := []byte{1, 4, 0x0f, 0xfb}
		tail := []byte{5, 6, 0x7a, 0x6b, 0x5c, 0x4d}
		multi := []byte{13, 3, 6, 17, 4, 6, 0x4e, 19, 9, 1, 0, 1, 2, 3, 4, 5}
		f.send(protoLCP, codeConfigureRequest, join(head, []byte{3, 4, 0xc2, 0x27}, tail, []byte{7, 2, 8, 2}, multi)...)
		if p := f.want(protoLCP, codeConfigureReject); !bytes.Equal(p.data, join([]byte{7, 2, 8, 2}, multi)) {
			t.Errorf("%v", p)
		}
		f.send(protoLCP, codeConfigureRequest, join(head, []byte{3, 4, 0xc2, 0x27}, tail)...)
		if p := f.want(protoLCP, codeConfigureNak); !bytes.Equal(p.data, []byte{3, 5, 0xc2, 0x23, 0x81}) {
			t.Errorf("%v", p)
		}
		f.request(protoLCP, join(head, []byte{3, 5, 0xc2, 0x23, 0x81}, tail)...)
		f.chapServer("User", "clientPass")
		f.send(protoCCP, codeConfigureRequest, 18, 6, 0, 0, 0, 1)
		f.send(protoIPCP, codeConfigureRequest, quad(3, "10.8.0.1")...)
		four := f.want(protoIPCP, codeConfigureRequest)
		f.want(protoIPV6CP, codeConfigureRequest)
		f.send(protoLCP, codeProtocolReject, 0x80, 0x57)
		f.want(protoLCP, codeProtocolReject)
		f.want(protoIPCP, codeConfigureAck)
		if !bytes.Equal(four.data, zeros) {
			t.Errorf("%v", four)
		}
		f.answer(protoIPCP, codeConfigureNak, four.id, join(quad(3, "10.8.0.77"), quad(129, "10.8.0.1"), quad(130, "10.8.0.2"), quad(131, "10.8.0.3"), quad(132, "10.8.0.4"))...)
		f.ack(protoIPCP)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if i := c.Info(); i.Local != clientAddr || i.Peer != serverAddr || i.Auth != MSCHAPv2 || i.User != "User" || len(c.DNS()) != 2 || len(c.NBNS()) != 2 {
			t.Errorf("%+v %v %v", i, c.DNS(), c.NBNS())
		}
		c.Close()
		f.bye()
	})
}

// SoftEther's server knows MRU and authentication of LCP, no NBNS, and sends an echo each 4.8 s.
func TestSoftEtherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, false, &Config{User: "User", Password: "clientPass", NoIPv6: true})
		done := open(t, c)
		p := f.want(protoLCP, codeConfigureRequest)
		f.answer(protoLCP, codeConfigureReject, p.id, p.data[4:]...) // magic
		p = f.ack(protoLCP)
		if _, ok := optionsOf(p.data)[optMagic]; ok || len(p.data) != 4 {
			t.Errorf("%v", p)
		}
		f.send(protoLCP, codeConfigureRequest, 1, 4, 5, 0xdc, 3, 4, 0xc2, 0x27)
		f.want(protoLCP, codeConfigureNak)
		f.request(protoLCP, 1, 4, 5, 0xdc, 3, 5, 0xc2, 0x23, 0x81)
		f.chapServer("User", "clientPass")
		p = f.want(protoIPCP, codeConfigureRequest)
		f.answer(protoIPCP, codeConfigureReject, p.id, join(quad(130, "0.0.0.0"), quad(132, "0.0.0.0"))...)
		p = f.want(protoIPCP, codeConfigureRequest)
		f.answer(protoIPCP, codeConfigureNak, p.id, join(quad(3, "10.8.0.77"), quad(129, "10.8.0.1"), quad(131, "0.0.0.0"))...)
		f.ack(protoIPCP)
		f.request(protoIPCP, quad(3, "10.8.0.1")...)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		_, ended := serve(c)
		for range 20 {
			time.Sleep(4792 * time.Millisecond)
			id := f.send(protoLCP, codeEchoRequest, 0, 0, 0, 0)
			if p := f.want(protoLCP, codeEchoReply); p.id != id || !bytes.Equal(p.data, make([]byte, 4)) {
				t.Errorf("%v", p) // without a magic number agreed it is zero
			}
		}
		c.Close()
		f.bye()
		<-ended
	})
}

// RouterOS' server: its PAP Ack has a text behind its length; IPV6CP comes unasked.
func TestRouterOSServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, false, &Config{User: "u", Password: "p", Auth: []AuthProtocol{PAP}, NoIPv6: true})
		done := open(t, c)
		f.openLCP(3, 4, 0xc0, 0x23, 5, 6, 1, 2, 3, 4)
		p := f.want(protoPAP, papRequest)
		f.raw(join(appendHeader(nil, protoPAP), []byte{papAck, p.id, 0, 4}, []byte("Login ok"))...)
		f.send(protoIPV6CP, codeConfigureRequest, 1, 10, 2, 0xc, 0x42, 0xff, 0xfe, 1, 2, 3)
		f.want(protoIPCP, codeConfigureRequest)
		f.want(protoLCP, codeProtocolReject)
		c.Close()
		f.bye()
		<-done
	})
}

// RouterOS' client: it makes an address up for a server that has none to say.
func TestRouterOSClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{Authenticator: says(&Grant{User: "u", Addr: clientAddr}, nil), Auth: []AuthProtocol{PAP}, Addr: serverAddr, NoIPv6: true})
		done := open(t, c)
		f.openLCP(1, 4, 5, 0xdc, 5, 6, 1, 2, 3, 4)
		f.send(protoPAP, papRequest, appendPAPRequest(nil, "u", "p")...)
		f.want(protoPAP, papAck)
		if p := f.want(protoIPCP, codeConfigureRequest); !bytes.Equal(p.data, quad(3, "10.8.0.1")) {
			t.Errorf("%v", p)
		} else {
			f.answer(protoIPCP, codeConfigureAck, p.id, p.data...)
		}
		f.send(protoIPCP, codeConfigureRequest, quad(3, "0.0.0.0")...)
		f.request(protoIPCP, f.want(protoIPCP, codeConfigureNak).data...)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		c.Close()
		f.bye()
	})
}

// Open-SSTP-Client ends at an LCP code above 11 and at a Protocol-Reject, and insists on 1500 bytes.
func TestOpenSSTPClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := farOf(t, true, &Config{Authenticator: says(&Grant{User: "u", Addr: clientAddr}, nil), Auth: []AuthProtocol{MSCHAPv2, PAP}, Addr: serverAddr, DNS: []netip.Addr{serverAddr}})
		next := func() told {
			p := f.next()
			if p.proto == protoLCP && (p.code > codeDiscardRequest || p.code == codeProtocolReject || p.code == codeCodeReject) {
				t.Errorf("it would end at %v", p)
			}
			return p
		}
		done := open(t, c)
		p := next()
		f.send(protoLCP, codeConfigureRequest, 1, 4, 5, 0xdc)
		next()
		f.answer(protoLCP, codeConfigureNak, p.id, 1, 4, 5, 0xdc, 3, 4, 0xc0, 0x23)
		p = next()
		f.answer(protoLCP, codeConfigureAck, p.id, p.data...)
		f.send(protoPAP, papRequest, appendPAPRequest(nil, "u", "p")...)
		next()
		p = next()
		f.send(protoIPCP, codeConfigureRequest, join(quad(3, "0.0.0.0"), quad(129, "0.0.0.0"))...)
		f.answer(protoIPCP, codeConfigureAck, p.id, p.data...)
		six := next()
		f.send(protoLCP, codeProtocolReject, append([]byte{0x80, 0x57, six.code, six.id, 0, byte(4 + len(six.data))}, six.data...)...)
		nak := next()
		f.send(protoIPCP, codeConfigureRequest, nak.data...)
		if p := next(); p.code != codeConfigureAck {
			t.Errorf("%v", p)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if c.lcp.mru != 1500 || c.MTU() != 1400 {
			t.Errorf("MRU %d, MTU %d", c.lcp.mru, c.MTU())
		}
		_, ended := serve(c)
		for range 3 { // it answers echoes
			p := next()
			f.answer(protoLCP, codeEchoReply, p.id, p.data...)
		}
		c.Close()
		f.bye()
		<-ended
	})
}

// pppd behind sstp-client: asyncmap, VJ, IPCP while it still authenticates, CCP, compressed frames at last.
func TestPppd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{delay: 2 * time.Second}
		f, c := farOf(t, true, &Config{Authenticator: s, Auth: []AuthProtocol{PAP}, Addr: serverAddr, DNS: []netip.Addr{serverAddr, other}})
		done := open(t, c)
		f.ack(protoLCP)
		f.send(protoLCP, codeConfigureRequest, 2, 6, 0, 0, 0, 0, 5, 6, 0xde, 0xad, 0xbe, 0xef, 7, 2, 8, 2)
		f.want(protoLCP, codeConfigureReject)
		f.request(protoLCP, 2, 6, 0, 0, 0, 0, 5, 6, 0xde, 0xad, 0xbe, 0xef)
		f.send(protoPAP, papRequest, appendPAPRequest(nil, "u", "p")...)
		vj := []byte{2, 6, 0, 0x2d, 0x0f, 1}
		ask := join(quad(3, "0.0.0.0"), quad(129, "0.0.0.0"), quad(131, "0.0.0.0"))
		f.send(protoIPCP, codeConfigureRequest, join(quad(3, "0.0.0.0"), vj, quad(129, "0.0.0.0"), quad(131, "0.0.0.0"))...) // too early
		f.send(protoCCP, codeConfigureRequest, 21, 3, 0x2f, 24, 4, 0x78, 0)                                                  // too early
		f.want(protoPAP, papAck)
		p := f.ack(protoIPCP)
		if !bytes.Equal(p.data, quad(3, "10.8.0.1")) {
			t.Errorf("%v", p)
		}
		six := f.ack(protoIPV6CP)
		f.send(protoIPCP, codeConfigureRequest, join(quad(3, "0.0.0.0"), vj, quad(129, "0.0.0.0"), quad(131, "0.0.0.0"))...)
		if p := f.want(protoIPCP, codeConfigureReject); !bytes.Equal(p.data, vj) {
			t.Errorf("%v", p)
		}
		f.send(protoIPCP, codeConfigureRequest, ask...)
		f.request(protoIPCP, f.want(protoIPCP, codeConfigureNak).data...)
		f.request(protoIPV6CP, 1, 10, 0xf4, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		packets, ended := serve(c)
		f.send(protoCCP, codeConfigureRequest, 21, 3, 0x2f)
		f.want(protoLCP, codeProtocolReject)
		f.raw(append([]byte{0x21}, ipv4(clientAddr, serverAddr, 64)...)...)
		f.raw(append([]byte{0x57}, ipv6(linkLocal([8]byte{0xf4, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde}), linkLocal([8]byte(six.data[2:])), 64)...)...)
		for range 2 {
			if p := <-packets; len(p) != 64 {
				t.Errorf("%x", p)
			}
		}
		f.send(protoLCP, codeTerminateRequest, []byte("User request")...)
		f.want(protoLCP, codeTerminateAck)
		f.end.Close()
		endedBy(t, ended, UserRequest, true)
	})
}
