package dhcpinform

import (
	"net/netip"
	"sync"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// A question is an inform that has been passed on.
type question struct {
	xid    uint32
	client netip.Addr
	hw     hardware
	via    tunnel.PacketWriter
	ends   time.Time
}

// asks are the questions that wait for answers. Every server answers, and a client that had no answer asks again, so a
// question ends by its time only. Sessions are kept apart by the client's address, which has been checked: nobody can put
// a question in the place of another's. How many there are is bounded by each session's rate. The zero asks is ready.
type asks struct {
	mu    sync.Mutex
	open  map[askKey]*question
	swept time.Time
}

type askKey struct {
	xid    uint32
	client netip.Addr
}

func (a *asks) add(q *question, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open == nil {
		a.open = make(map[askKey]*question)
	}
	if now.Sub(a.swept) >= askLife {
		for k, q := range a.open {
			if !q.ends.After(now) {
				delete(a.open, k)
			}
		}
		a.swept = now
	}
	q.ends = now.Add(askLife)
	a.open[askKey{q.xid, q.client}] = q
}

func (a *asks) remove(q *question) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if k := (askKey{q.xid, q.client}); a.open[k] == q {
		delete(a.open, k)
	}
}

// find returns the question that m answers. client is whom the server sent it to, or else the ciaddr of m; where neither
// says, xid and hardware have to, and belong to one session alone.
func (a *asks) find(m message, client netip.Addr, now time.Time) *question {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !client.IsUnspecified() {
		if q := a.open[askKey{m.xid(), client}]; q != nil && q.ends.After(now) && isRelayed(m, q) {
			return q
		}
		return nil
	}
	var found *question
	for _, q := range a.open {
		if q.ends.After(now) && isRelayed(m, q) {
			if found != nil {
				return nil
			}
			found = q
		}
	}
	return found
}
