package ppp

import (
	"context"
	"net"
	"time"
)

// An eapAnswer is how an exchange ends.
type eapAnswer struct {
	packet []byte
	err    error
}

// eapExchange is an exchange seen from beside R: start has R send and remember where the answer goes, leave has it forget.
func eapExchange(ctx context.Context, h methodHost, start func(now time.Time, to chan<- eapAnswer), leave func(to chan<- eapAnswer)) ([]byte, error) {
	to := make(chan eapAnswer, 1) // R never waits
	h.post(func(now time.Time) { start(now, to) })
	select {
	case a := <-to:
		return a.packet, a.err
	case <-ctx.Done():
		h.post(func(time.Time) { leave(to) })
		return nil, context.Cause(ctx)
	case <-h.over():
		return nil, net.ErrClosed // whatever ctx the caller took
	}
}
