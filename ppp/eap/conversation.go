package eap

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A conversation is bounded, whatever the far side does: EAP itself has no end.
const (
	maxAge    = 5 * time.Minute
	maxRounds = 200       // 64 KiB in packets of 1020 bytes, one way and the other
	maxBytes  = 256 << 10 // of packets in both directions
)

// defaultMTU is the least that a layer below EAP must carry (RFC 3748 section 3.1).
const defaultMTU = 1020

// maxIdentity is how long an Identity or name may be, as in package ppp.
const maxIdentity = 256

var (
	errTooOld  = fmt.Errorf("eap: a conversation of more than %v", maxAge)
	errTooLong = errors.New("eap: a conversation of too many rounds or bytes")
)

// A conversation is an Exchange with bounds.
type conversation struct {
	exchange ppp.Exchange
	mtu      int
	rounds   int
	bytes    int
}

// bounded returns a ctx that ends when a conversation is too old.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, maxAge, errTooOld)
}

// send sends a packet and returns the far side's next.
func (c *conversation) send(ctx context.Context, pkt []byte) ([]byte, error) {
	c.rounds++
	c.bytes += len(pkt)
	if !staysShort(c.rounds, c.bytes) {
		return nil, far(errTooLong)
	}
	answer, err := c.exchange(ctx, pkt)
	c.bytes += len(answer)
	if err == nil && !staysShort(c.rounds, c.bytes) {
		return nil, far(errTooLong)
	}
	return answer, err
}

// maxData is what of a packet is a method's.
func (c *conversation) maxData() int {
	if c.mtu <= 0 {
		return defaultMTU - headerLen - 1
	}
	return c.mtu - headerLen - 1
}

// far is an error that the far side has made.
func far(err error) error {
	return &ppp.NegotiationError{Phase: "EAP", Remote: true, Err: err}
}
