package eap

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/dialway/dialway/ppp"
)

// Authenticate demands the password, and asks Round.Next with Protocol MSCHAPv2.
//
//	                     Next: no, and it may be tried again: Failure R=1, a new challenge
//	                    ┌──────────┐
//	Challenge ─▶ Response ─▶ asks ─┴──▶ Failure R=0 ──▶ refused
//	                         ▲  │ └─────▶ Success S= ──▶ granted
//	        Change-Password  └──┘ Failure E=648
func (m *MSCHAPv2) Authenticate(ctx context.Context, r *Round) (*ppp.Grant, error) {
	s := &msServer{round: r, retries: m.Retries}
	s.renew(nil)
	s.id = r.nextID() // [MS-CHAP] has it equal EAP's
	answer, err := s.do(ctx, msChallenge, appendValue(nil, s.challenge, ownName))
	var no error
	for err == nil {
		if no != nil && answer.code == msFailure {
			return nil, no // the peer does not try again
		}
		var req *ppp.AuthRequest
		if req, err = s.attempt(answer); err != nil {
			return nil, err
		}
		var g *ppp.Grant
		if g, no = askNext(ctx, r.Next, req); no == nil {
			return s.succeed(ctx, g)
		}
		if answer, err = s.fail(ctx, no); s.over {
			return nil, no
		}
	}
	return nil, err
}

// A msServer is an authenticator's side.
type msServer struct {
	round     *Round
	retries   int
	challenge []byte
	id        byte // of the last Response
	attempts  int
	user      string
	expired   bool // a new password was asked for
	over      bool // what fail said was the last word
}

// renew makes what the next Response answers, unless who knows the accounts has made it.
func (s *msServer) renew(wanted []byte) {
	if len(wanted) == challengeLen {
		s.challenge = bytes.Clone(wanted)
		return
	}
	s.challenge = make([]byte, challengeLen)
	rand.Read(s.challenge)
}

// do sends a packet; the answer is of whatever code. Success and Failure have the identifier of the Response, as in CHAP
// (RFC 1994 section 4.2): pppd finds what it must compare by it.
func (s *msServer) do(ctx context.Context, code msCode, body []byte) (msPacket, error) {
	answer, err := s.round.Do(ctx, msPacket{code: code, id: s.id, body: body}.append(nil))
	if err != nil {
		return msPacket{}, err
	}
	p, ok := parseMS(answer)
	if !ok {
		return p, far(fmt.Errorf("eap: %d bytes that are no packet of EAP-MSCHAPv2", len(answer)))
	}
	return p, nil
}

// attempt makes the question of a Response or Change-Password. Its identifier is not looked at: [MS-CHAP] has it equal
// the Request's, and EAP has checked its own.
func (s *msServer) attempt(p msPacket) (*ppp.AuthRequest, error) {
	s.attempts++
	s.id = p.id
	req := &ppp.AuthRequest{
		Call: s.round.Request.Call, Client: s.round.Request.Client,
		Protocol: ppp.MSCHAPv2, Attempt: s.attempts, Identifier: p.id, Challenge: bytes.Clone(s.challenge),
	}
	switch {
	case p.code == msResponse && mayRespond(s.expired):
		value, name, ok := parseValue(p.body, responseLen)
		if !ok {
			return nil, far(fmt.Errorf("eap: an MS-CHAPv2 Response of %d bytes", len(p.body)))
		}
		s.user, req.Response = name, bytes.Clone(value)
	case p.code == msChange && mayChange(s.expired):
		if len(p.body) != changeLen {
			return nil, far(fmt.Errorf("eap: an MS-CHAPv2 Change-Password of %d bytes", len(p.body)))
		}
		req.Change = bytes.Clone(p.body)
	default:
		return nil, far(fmt.Errorf("eap: an MS-CHAPv2 packet of code %d that was not asked for", p.code))
	}
	req.User = s.user
	return req, nil
}

// succeed proves that this end knows the password, too. The keys count only when the peer has said that it was satisfied
// ([MS-CHAP] section 3.3.5.3).
func (s *msServer) succeed(ctx context.Context, g *ppp.Grant) (*ppp.Grant, error) {
	if missing := missingKeys(g); missing != "" {
		return nil, &ppp.AuthError{Err: fmt.Errorf("eap: the Grant of Authenticator.Next lacks %s", missing)}
	}
	p, err := s.do(ctx, msSuccess, successText(g.Proof, g.Message))
	if err != nil {
		return nil, err
	}
	if !acknowledged(p.code) {
		return nil, &ppp.AuthError{Err: errors.New("eap: the peer does not accept the server's proof")}
	}
	// [MS-CHAP] section 3.1.5.1: the MSK is both keys, and 32 zeros.
	n := *g
	n.User = cmp.Or(g.User, s.user)
	n.RecvKey = bytes.Join([][]byte{g.RecvKey[:16], g.SendKey[:16]}, nil)
	n.SendKey, n.Proof = make([]byte, 32), [20]byte{}
	return &n, nil
}

// fail says why not. Where another attempt may follow, the answer is it.
func (s *msServer) fail(ctx context.Context, err error) (msPacket, error) {
	var e *ppp.AuthError
	if !errors.As(err, &e) {
		e = &ppp.AuthError{}
	}
	code, retry := cmp.Or(e.Code, ppp.CodeFailed), false
	changing := s.expired
	switch {
	case changing:
		// RFC 2759 section 6: the only answer to a change that fails, and there is no second one.
		if code == ppp.CodeFailed || code == ppp.CodeExpired {
			code = ppp.CodeChanging
		}
	case code == ppp.CodeExpired:
		s.expired = true
	default:
		retry = e.Retry && mayTryAgain(s.attempts, s.retries)
	}
	s.renew(e.Challenge)
	s.over = !retry && (changing || !s.expired)
	return s.do(ctx, msFailure, failureText(code, retry, s.challenge, e.Message))
}
