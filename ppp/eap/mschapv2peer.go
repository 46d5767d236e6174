package eap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/dialway/dialway/internal/mschap"
	"github.com/dialway/dialway/ppp"
)

// maxAsked is how often MSCHAPv2.Retry is asked, whatever the server says: a func that always returns the same would loop.
const maxAsked = 10

// Respond proves the password, and has the server prove that it knows it, before it answers.
//
//	            Failure R=1, or E=648, and Retry: Response, Change-Password
//	           ┌───┐
//	Challenge ─┴▶ Response ─▶ Success: S= holds ─▶ io.EOF: MSK
//	                     └──▶ Failure, or S= does not hold: refused
func (m *MSCHAPv2) Respond(ctx context.Context, request []byte, r *Round) (msk []byte, err error) {
	p, ok := parseMS(request)
	challenge, _, valid := parseValue(p.body, challengeLen)
	if !ok || p.code != msChallenge || !valid {
		return nil, far(fmt.Errorf("eap: %d bytes that are no MS-CHAPv2 Challenge", len(request)))
	}
	c := &msClient{user: m.User, password: m.Password, ask: m.Retry}
	answer, err := c.respond(p.id, [challengeLen]byte(challenge))
	for err == nil {
		if request, err = r.need(ctx, answer.append(nil)); err != nil {
			return nil, err
		}
		if p, ok = parseMS(request); !ok {
			return nil, far(fmt.Errorf("eap: %d bytes that are no packet of EAP-MSCHAPv2", len(request)))
		}
		switch p.code {
		case msSuccess:
			return c.succeed(ctx, p.body, r)
		case msFailure:
			answer, err = c.failed(ctx, p, r)
		default:
			err = far(fmt.Errorf("eap: an MS-CHAPv2 packet of code %d for an answer", p.code))
		}
	}
	return nil, err
}

// A msClient is a peer's side.
type msClient struct {
	user     string
	password ppp.Secret
	ask      func(ctx context.Context, e *ppp.AuthError) (ppp.Secret, error)
	asked    int
	changed  bool // a new password was sent

	last       [challengeLen]byte
	want       [20]byte // the server's proof
	send, recv [16]byte // keys, once want is proved
}

// respond makes a Response.
func (c *msClient) respond(id byte, challenge [challengeLen]byte) (p msPacket, err error) {
	hash, err := mschap.NTPasswordHash(string(c.password))
	if err != nil {
		return p, ours(err)
	}
	if len(c.user) > maxIdentity {
		return p, ours(fmt.Errorf("eap: MSCHAPv2.User has %d bytes, %d are allowed", len(c.user), maxIdentity))
	}
	return msPacket{code: msResponse, id: id, body: appendValue(nil, c.value(hash, challenge), c.user)}, nil
}

// value makes a Response's value, and what the answer to it must be.
func (c *msClient) value(hash [16]byte, challenge [challengeLen]byte) []byte {
	var peer [challengeLen]byte
	rand.Read(peer[:])
	return c.answer(hash, challenge, peer)
}

func (c *msClient) answer(hash [16]byte, challenge, peer [challengeLen]byte) []byte {
	c.last = challenge
	nt := mschap.NTResponse(challenge, peer, c.user, hash)
	c.want = mschap.AuthenticatorResponse(hash, nt, peer, challenge, c.user)
	c.send, c.recv = mschap.StartKeys(mschap.MasterKey(mschap.HashHash(hash), nt), false)
	return appendResponse(nil, peer, nt)
}

// succeed goes on only with a server that has proved the password, and then waits for EAP's own Success.
func (c *msClient) succeed(ctx context.Context, body []byte, r *Round) (msk []byte, err error) {
	proof, ok := parseProof(body)
	if !ok || !proofHolds(proof, c.want) {
		return nil, &ppp.AuthError{Err: errNoProof}
	}
	if _, err = r.Do(ctx, []byte{byte(msSuccess)}); err != io.EOF {
		if err == nil {
			err = far(errors.New("eap: another MS-CHAPv2 packet behind Success"))
		}
		return nil, err
	}
	return c.msk(), nil
}

// msk is [MS-CHAP] section 3.1.5.1.
func (c *msClient) msk() []byte {
	msk := make([]byte, 64)
	copy(msk, c.send[:])
	copy(msk[16:], c.recv[:])
	return msk
}

var errNoProof = errors.New("the server does not know the password: its proof (S=) is missing or wrong")

// failed makes the next attempt, if there is one; if not it says so, and returns the server's reason.
func (c *msClient) failed(ctx context.Context, p msPacket, r *Round) (answer msPacket, err error) {
	e, version := parseFailure(p.body)
	// RFC 2759 section 6: a password may be changed after E=648 R=0 V=3 alone. A change that failed is not tried again.
	change := e.Code == ppp.CodeExpired && !e.Retry && version == 3 && e.Challenge != nil
	if !c.changed && (e.Retry || change) && c.ask != nil && c.asked < maxAsked {
		c.asked++
		given := *e // the func's own
		given.Challenge = append([]byte(nil), e.Challenge...)
		password, err := c.ask(ctx, &given)
		if err == nil && password != "" {
			challenge := c.last // a server that makes no other
			if e.Challenge != nil {
				challenge = [challengeLen]byte(e.Challenge)
			}
			if change {
				return c.change(p.id+1, challenge, password)
			}
			c.password = password
			return c.respond(p.id+1, challenge) // RFC 2759 section 6
		}
		e.Err = err
	}
	// [MS-CHAP] section 2.2: the answer is the code alone; EAP's Failure follows.
	if _, err := r.Do(ctx, []byte{byte(msFailure)}); err == io.EOF {
		e.Err = errors.New("and then it said Success")
	}
	return answer, e
}

// change makes a Change-Password, RFC 2759 section 7.
func (c *msClient) change(id byte, challenge [challengeLen]byte, password ppp.Secret) (p msPacket, err error) {
	oldHash, err := mschap.NTPasswordHash(string(c.password))
	if err != nil {
		return p, ours(err)
	}
	newHash, err := mschap.NTPasswordHash(string(password))
	if err != nil {
		return p, ours(err)
	}
	var padding [512]byte
	rand.Read(padding[:])
	block, err := mschap.EncryptPassword(string(password), oldHash, padding)
	if err != nil {
		return p, ours(err)
	}
	encrypted := mschap.EncryptHash(oldHash, newHash)
	body := append(block[:], encrypted[:]...)
	body = append(body, c.value(newHash, challenge)...)
	c.password, c.changed = password, true
	return msPacket{code: msChange, id: id, body: append(body, 0)}, nil
}

// ours is an error of this end.
func ours(err error) error { return &ppp.NegotiationError{Phase: "EAP", Err: err} }
