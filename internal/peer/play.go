package peer

import (
	"bytes"
	"crypto/md5"
	"crypto/tls"
	"time"

	"github.com/dialway/dialway/internal/mschap"
)

// A Player plays one side of a Transcript again to this library, and writes down what comes.
type Player struct {
	*Peer
	Server         bool   // plays the server
	Certificate    []byte // of the session's TLS, which Call Connected binds to
	User, Password string

	// Before is called before the far side is waited for, with each packet that the transcript has from it then: a test
	// makes this library do there what it did when the transcript was made, such as hang up.
	Before func(p Packet)

	asked     map[uint16]Packet // the far side's last Configure-Request, by protocol
	challenge []byte            // the far side's, or this side's own
	proof     []byte            // S= of the answer to the response that came
}

// settle is how long the far side may take for what it says by itself: less than any timer of PPP.
const settle = 500 * time.Millisecond

// Play plays old and returns what was said now. Lines of the played side are as in old, the others masked.
func (p *Player) Play(old *Transcript) *Transcript {
	p.t.Helper()
	p.asked = map[uint16]Packet{}
	now := &Transcript{Comment: old.Comment}
	lines := old.Lines
	for len(lines) > 0 {
		if mine := lines[0].ToServer != p.Server; mine {
			p.Send(p.adapt(lines[0].Packet))
			now.Lines = append(now.Lines, lines[0])
			lines = lines[1:]
			continue
		}
		for len(lines) > 0 && lines[0].ToServer == p.Server {
			if p.Before != nil {
				p.Before(lines[0].Packet)
			}
			lines = lines[1:]
		}
		p.listen(now)
	}
	p.listen(now)
	return now
}

// listen writes down what comes until nothing more does.
func (p *Player) listen(now *Transcript) {
	p.Quietly(settle)
	for _, q := range p.kept {
		if q.Code() == ConfReq && q.Proto() != CHAP && q.Proto() != PAP {
			p.asked[q.Proto()] = q
		}
		if q.Proto() == CHAP {
			p.heard(q)
		}
		if q.Type() == ConnectAck {
			p.Nonce = bytes.Clone(q.Attribute(AttrBindingReq)[4:])
		}
		if q.IsControl() || q.Proto() >= 0x8000 {
			now.Lines = append(now.Lines, Line{p.Server, Masked(q)})
		}
	}
	p.Forget()
}

// heard takes what a packet of CHAP says.
func (p *Player) heard(q Packet) {
	b := q.Body()
	switch {
	case q.Code() == 1 && len(b) >= 17:
		p.challenge = bytes.Clone(b[1:17])
	case q.Code() == 2 && len(b) >= 50 && b[0] == 49 && len(p.challenge) == 16: // MS-CHAPv2's response, to this server
		hash, err := mschap.NTPasswordHash(p.Password)
		if err != nil {
			p.t.Fatal(err)
		}
		response, user := [24]byte(b[25:49]), string(b[50:])
		proof := mschap.AuthenticatorResponse(hash, response, [16]byte(b[1:17]), [16]byte(p.challenge), user)
		p.proof = mschap.AppendProof(nil, proof)
		p.setKeys(hash, response)
	}
}

// adapt returns a packet of the transcript as the peer would have sent it today: with answers to today's questions.
func (p *Player) adapt(q Packet) []byte {
	p.t.Helper()
	q = bytes.Clone(q)
	b := q.Body()
	switch {
	case q.Type() == Connected:
		return CallConnected(q[15], p.Nonce, p.Certificate, p.HLAK, nil)
	case q.Type() == ConnectAck:
		p.Nonce = bytes.Clone(q.Attribute(AttrBindingReq)[4:])
	case q.IsControl():
	case q.Code() == ConfAck && p.asked[q.Proto()] != nil:
		asked := p.asked[q.Proto()]
		return PPP(q.Proto(), ConfAck, asked.ID(), asked.Body())
	case q.Proto() == CHAP && q.Code() == 1 && len(b) >= 17:
		p.challenge = bytes.Clone(b[1:17])
	case q.Proto() == CHAP && q.Code() == 2 && len(b) >= 50 && b[0] == 49:
		hash, err := mschap.NTPasswordHash(p.Password)
		if err != nil {
			p.t.Fatal(err)
		}
		response := mschap.NTResponse([16]byte(p.challenge), [16]byte(b[1:17]), string(b[50:]), hash)
		p.setKeys(hash, response)
		copy(b[25:49], response[:])
	case q.Proto() == CHAP && q.Code() == 2 && len(b) >= 17 && b[0] == 16:
		sum := md5.Sum(append(append([]byte{q.ID()}, p.Password...), p.challenge...))
		copy(b[1:17], sum[:])
	case q.Proto() == CHAP && q.Code() == 3 && bytes.HasPrefix(b, []byte("S=")) && p.proof != nil:
		copy(b, p.proof)
	}
	return q
}

// Leaf returns the certificate of a client's TLS connection.
func Leaf(c *tls.Conn) []byte { return c.ConnectionState().PeerCertificates[0].Raw }
