package radius

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A talk is an EAP conversation: an Authenticator on a goroutine of its own, which the far side's packets reach one
// Access-Request at a time.
//
//	Access-Request, no State           Access-Request, its State
//	────────────────▶ decides ◀───────────────────────────────── waits (1 min, 5 in all)
//	                   │  │ Exchange: Access-Challenge              ▲
//	                   │  └─────────────────────────────────────────┘
//	                   └─ returns: Access-Accept with EAP-Success, or Access-Reject with EAP-Failure
type talk struct {
	state string
	nas   netip.Addr // who asks
	in    chan *turn // the Authenticator waits for it, or nobody does
	stop  context.CancelFunc
	turn  *turn // the request that is not answered; the Authenticator's goroutine's
}

// A turn is one Access-Request of a talk.
type turn struct {
	eap    []byte
	answer chan *Packet // room for one; nil: no answer
}

const (
	talkPause = time.Minute
	talkTime  = 5 * time.Minute
)

// EAP's codes, RFC 3748 section 4.
const (
	eapRequest  = 1
	eapResponse = 2
	eapSuccess  = 3
	eapFailure  = 4
	eapIdentity = 1
)

// converse gives an EAP packet to the conversation it belongs to, and returns what that answers.
func (s *Server) converse(r *request, eap []byte) (*Packet, error) {
	if len(eap) == 0 { // RFC 3579 section 2.1: EAP-Start
		p := &Packet{Code: AccessChallenge}
		p.Add(EAPMessage, []byte{eapRequest, 0, 0, 5, eapIdentity})
		return p, nil
	}
	if len(eap) < 5 || eap[0] != eapResponse || int(eap[2])<<8|int(eap[3]) != len(eap) {
		return eapRejected(eap), nil // RFC 3579 section 2.6.1 has it dropped, and the access server wait for nothing
	}
	t := &turn{eap: eap, answer: make(chan *Packet, 1)}
	if state, ok := r.packet.Get(State); ok {
		if !s.goOn(string(state), r.from.Addr(), t) {
			return eapRejected(eap), nil
		}
	} else if eap[4] != eapIdentity || !s.start(r, t) {
		return eapRejected(eap), nil
	}
	select {
	case p := <-t.answer:
		if p == nil {
			return nil, ErrDrop
		}
		return p, nil
	case <-s.ctx.Done():
		return nil, ErrDrop
	}
}

func eapRejected(eap []byte) *Packet {
	p := &Packet{Code: AccessReject}
	if len(eap) > 1 {
		p.Add(EAPMessage, []byte{eapFailure, eap[1], 0, 4})
	}
	return p
}

// goOn hands a turn to a conversation that waits for one.
func (s *Server) goOn(state string, nas netip.Addr, t *turn) bool {
	s.mu.Lock()
	x := s.talks[state]
	s.mu.Unlock()
	if x == nil || !ownsConversation(x.nas == nas) {
		return false
	}
	select {
	case x.in <- t:
		return true
	default:
		t.answer <- nil // it is at work: another request than the one it works at is not what it asked for
		return true
	}
}

// start begins a conversation.
func (s *Server) start(r *request, first *turn) bool {
	var id [16]byte
	rand.Read(id[:])
	ctx, cancel := context.WithTimeout(s.ctx, talkTime)
	x := &talk{state: string(id[:]), nas: r.from.Addr(), in: make(chan *turn), stop: cancel, turn: first}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || len(s.talks) >= s.maxPending() {
		cancel()
		return false
	}
	s.talks[x.state] = x
	s.work.Add(1)
	req := &ppp.AuthRequest{
		Call: newCall(r.packet, r.from), Protocol: ppp.EAP, User: string(first.eap[5:]), Client: clientTexts(r.packet),
		Attempt: 1, EAP: first.eap,
	}
	req.Exchange = x.exchange
	go s.run(ctx, x, req)
	return true
}

// run is a conversation's goroutine.
func (s *Server) run(ctx context.Context, x *talk, req *ppp.AuthRequest) {
	defer s.work.Done()
	defer x.stop()
	g, err := s.Authenticator.Authenticate(ctx, req)
	s.mu.Lock()
	delete(s.talks, x.state)
	s.mu.Unlock()
	if x.turn == nil {
		return // nobody waits: the far side left
	}
	p := s.verdict(req, g, err)
	code := byte(eapSuccess)
	if p.Code != AccessAccept {
		code = eapFailure
	}
	// RFC 3748 section 4.2: the identifier is the last Response's.
	p.Add(EAPMessage, []byte{code, x.turn.eap[1], 0, 4})
	x.turn.answer <- p
}

// exchange is AuthRequest.Exchange.
func (x *talk) exchange(ctx context.Context, packet []byte) ([]byte, error) {
	if x.turn == nil {
		return nil, errors.New("radius: the EAP conversation is over")
	}
	if len(packet) < 5 || packet[0] != eapRequest {
		return nil, errors.New("radius: an EAP packet that is no Request")
	}
	p := &Packet{Code: AccessChallenge}
	p.Add(State, []byte(x.state))
	p.addLong(EAPMessage, packet)
	x.turn.answer <- p
	x.turn = nil
	timer := time.NewTimer(talkPause)
	defer timer.Stop()
	for {
		select {
		case t := <-x.in:
			if t.eap[1] != packet[1] {
				t.answer <- nil // an answer to another Request: RFC 3748 section 4.1
				continue
			}
			x.turn = t
			return t.eap, nil
		case <-timer.C:
			return nil, errors.New("radius: the far side did not go on with EAP")
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (s *Server) openTalks() (list []*talk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.talks {
		list = append(list, t)
	}
	return list
}
