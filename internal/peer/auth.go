package peer

import (
	"bytes"
	"strings"

	"github.com/dialway/dialway/internal/mschap"
)

// Authentication by a scripted peer, in both roles. Each leaves the keys in HLAK: client to server first, then server
// to client, [MS-SSTP] sections 3.2.5.2.2 and 3.2.5.2.4.

// SendPAP sends an Authenticate-Request, RFC 1334 section 2.2.
func (p *Peer) SendPAP(id byte, user, password string) {
	p.t.Helper()
	b := append([]byte{byte(len(user))}, user...)
	b = append(b, byte(len(password)))
	p.Send(PPP(PAP, 1, id, append(b, password...)))
}

// WantPAP waits for an Authenticate-Request and holds it against user and password.
func (p *Peer) WantPAP(user, password string) (id byte) {
	p.t.Helper()
	q := p.WantCode(PAP, 1)
	want := string(append(append([]byte{byte(len(user))}, user...), append([]byte{byte(len(password))}, password...)...))
	if string(q.Body()) != want {
		p.t.Errorf("peer: PAP of %q, want %q", q.Body(), want)
	}
	return q.ID()
}

// AnswerMSCHAPv2 waits for a Challenge and sends a Response to it, RFC 2759 section 4, as the name given.
func (p *Peer) AnswerMSCHAPv2(name, password string) {
	p.t.Helper()
	q := p.WantCode(CHAP, 1)
	if len(q.Body()) < 17 || q.Body()[0] != 16 {
		p.t.Fatalf("peer: challenge %x", q.Body())
	}
	challenge := [16]byte(q.Body()[1:17])
	var own [16]byte
	copy(own[:], "peer's challenge")
	hash, err := mschap.NTPasswordHash(password)
	if err != nil {
		p.t.Fatal(err)
	}
	response := mschap.NTResponse(challenge, own, name, hash)
	b := append([]byte{49}, own[:]...)
	b = append(b, make([]byte, 8)...)
	b = append(append(b, response[:]...), 0)
	p.setKeys(hash, response)
	p.Send(PPP(CHAP, 2, q.ID(), b, []byte(name)))
}

// WantSuccess waits for the Success of MS-CHAPv2 or CHAP.
func (p *Peer) WantSuccess() Packet {
	p.t.Helper()
	return p.WantCode(CHAP, 3)
}

// AskMSCHAPv2 sends a Challenge, holds the Response against the password, and sends Success with the proof.
func (p *Peer) AskMSCHAPv2(id byte, name, password string) {
	p.t.Helper()
	q := p.Challenge(id, 49)
	var challenge, theirs [16]byte
	copy(challenge[:], ownChallenge)
	copy(theirs[:], q.Body()[1:])
	hash, err := mschap.NTPasswordHash(password)
	if err != nil {
		p.t.Fatal(err)
	}
	user := string(q.Body()[50:])
	response := mschap.NTResponse(challenge, theirs, user, hash)
	if user != name || !bytes.Equal(q.Body()[25:49], response[:]) {
		p.t.Fatalf("peer: response of %q does not hold: % x", user, q.Body())
	}
	p.setKeys(hash, response)
	proof := mschap.AuthenticatorResponse(hash, response, theirs, challenge, user)
	p.Send(PPP(CHAP, 3, id, mschap.AppendProof(nil, proof), []byte(" M=Welcome")))
}

const ownChallenge = "server challenge"

// Challenge sends a Challenge of CHAP and returns the Response, whose value must have n bytes.
func (p *Peer) Challenge(id byte, n int) Packet {
	p.t.Helper()
	p.Send(PPP(CHAP, 1, id, []byte{16}, []byte(ownChallenge), []byte("peer")))
	q := p.WantCode(CHAP, 2)
	if q.ID() != id || len(q.Body()) < n+1 || int(q.Body()[0]) != n {
		p.t.Fatalf("peer: response %d %x", q.ID(), q.Body())
	}
	return q
}

func (p *Peer) setKeys(hash [16]byte, response [24]byte) {
	send, recv := mschap.StartKeys(mschap.MasterKey(mschap.HashHash(hash), response), false)
	p.HLAK = append(bytes.Clone(send[:]), recv[:]...)
}

// Connect is a client's HTTP and Call Connect exchange, in order, as most do it.
func (p *Peer) Connect() {
	p.t.Helper()
	p.Text("SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\nHost: sstp.test\n" +
		"Content-Length: 18446744073709551615\nSSTPCORRELATIONID: {00112233-4455-6677-8899-AABBCCDDEEFF}\n\n")
	if head := p.Head(); !strings.HasPrefix(head, "HTTP/1.1 200") {
		p.t.Fatalf("peer: %q", head)
	}
	p.Send(Request())
	p.WantAck()
}

// WantAck waits for a Call Connect Ack and keeps its nonce. It returns the hash protocols offered.
func (p *Peer) WantAck() (hashes byte) {
	p.t.Helper()
	v := p.WantMessage(ConnectAck).Attribute(AttrBindingReq)
	if len(v) != 36 {
		p.t.Fatalf("peer: binding request %x", v)
	}
	p.Nonce = v[4:]
	return v[3]
}

// Bind sends a client's Call Connected, with the certificate that the TLS connection showed.
func (p *Peer) Bind(protocol byte) {
	p.t.Helper()
	p.Send(CallConnected(protocol, p.Nonce, p.Conn.ConnectionState().PeerCertificates[0].Raw, p.HLAK, nil))
}

// Accept is a server's HTTP and Call Connect exchange, in order; it offers hash protocols.
func (p *Peer) Accept(hashes byte) (head string) {
	p.t.Helper()
	head = p.Head()
	p.Text("HTTP/1.1 200 OK\nContent-Length: 18446744073709551615\n\n")
	p.AcceptCall(hashes)
	return head
}

// AcceptCall answers a Call Connect Request.
func (p *Peer) AcceptCall(hashes byte) {
	p.t.Helper()
	if q := p.WantMessage(ConnectRequest); !bytes.Equal(q, Request()) {
		p.t.Errorf("peer: % x", []byte(q))
	}
	p.SendAck(hashes)
}

// SendAck sends a Call Connect Ack.
func (p *Peer) SendAck(hashes byte) {
	p.t.Helper()
	p.Nonce = bytes.Repeat([]byte{0x5a}, 32)
	p.Send(Control(ConnectAck, Attr(AttrBindingReq, append([]byte{0, 0, 0, hashes}, p.Nonce...))))
}

// WantBound waits for a client's Call Connected, holds it against the keys, and returns its hash protocol.
func (p *Peer) WantBound(der []byte) (protocol byte) {
	p.t.Helper()
	q := p.WantMessage(Connected)
	if err := CheckConnected(q, p.Nonce, der, p.HLAK); err != nil {
		p.t.Fatalf("peer: Call Connected: %v", err)
	}
	return q[15]
}
