package radius

import (
	"context"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"strings"
	"sync"
	"time"
)

// exchange asks one server after the other, or only one, until one answers. Where there is another to ask, a server has two
// transmissions; the last has all that RFC 5080 allows. One that answers nobody need not be waited for so long:
//
//	0 s       asked ──▶ an answer: done                    6 s: the next is asked in any case
//	1 s       it has answered nobody since? Status-Server
//	2 s       nor that? It is dead: the next is asked, too ──▶ whoever answers first
//
// So one that is slow with a request, as by asking the user's telephone, is not passed over while it shows life.
func (c *Client) exchange(ctx context.Context, p *Packet, only *server) (*Packet, *server, error) {
	list := []*server{only}
	if only == nil {
		list = c.order(c.servers(p.Code == AccountingRequest))
	}
	if len(list) == 0 {
		return nil, nil, errNoTargets
	}
	ctx, cancel := context.WithTimeoutCause(ctx, mostTime, ErrNoAnswer)
	defer cancel()
	if len(list) == 1 {
		reply, err := list[0].roundTrip(ctx, p, mostSends, firstWait)
		if err != nil {
			return nil, nil, noAnswer(err, list)
		}
		return reply, list[0], nil
	}
	r := &race{ctx: ctx, packet: p, list: list, results: make(chan result, len(list)), hedge: time.NewTimer(0)}
	defer r.wait.Wait()
	defer cancel() // before it
	defer r.hedge.Stop()
	return r.run()
}

// noAnswer is why nobody of those that were asked has answered.
func noAnswer(last error, asked []*server) error {
	var names []string
	for _, s := range asked {
		names = append(names, s.addr)
	}
	if errors.Is(last, ErrNoAnswer) {
		return fmt.Errorf("%w: asked %s", last, strings.Join(names, ", "))
	}
	return fmt.Errorf("radius: %s: %w", names[len(names)-1], last)
}

// A race is an exchange with one of several servers.
type race struct {
	ctx     context.Context
	packet  *Packet
	list    []*server
	asked   int // of list
	flying  int // of asked: no result yet
	results chan result
	wait    sync.WaitGroup

	hedge   *time.Timer // for the one that was asked last, while there is another
	since   time.Time   // when it was
	checked bool        // it has been asked whether it lives
}

type result struct {
	server *server
	reply  *Packet
	err    error
}

const (
	suspectAfter = time.Second     // without an answer to anybody
	passAfter    = 2 * time.Second // the same
)

func (r *race) run() (*Packet, *server, error) {
	r.ask()
	for {
		select {
		case x := <-r.results:
			r.flying--
			switch {
			case x.err == nil:
				return x.reply, x.server, nil
			case r.ctx.Err() == nil && r.asked < len(r.list):
				r.ask()
			case r.flying == 0:
				return nil, nil, noAnswer(x.err, r.list[:r.asked])
			}
		case <-r.hedge.C:
			r.suspect()
		}
	}
}

// ask asks the next server, beside those that are.
func (r *race) ask() {
	s, sends := r.list[r.asked], beforeNext
	r.asked++
	r.flying++
	if r.hedge.Stop(); r.asked == len(r.list) {
		sends = mostSends
	} else {
		r.since, r.checked = time.Now(), false
		r.hedge.Reset(suspectAfter)
	}
	r.wait.Go(func() {
		reply, err := s.roundTrip(r.ctx, r.packet, sends, firstWait)
		r.results <- result{s, reply, err}
	})
}

// suspect looks whether the server that was asked last lives.
func (r *race) suspect() {
	s := r.list[r.asked-1]
	switch {
	case !s.silent(r.since, r.checked):
		r.since, r.checked = time.Now(), false
		r.hedge.Reset(suspectAfter)
	case !r.checked:
		r.checked = true
		r.hedge.Reset(passAfter - suspectAfter)
	case r.asked < len(r.list):
		r.ask()
	}
}

// order returns those that live, by a draw in which weights count, and then those that do not.
func (c *Client) order(all []*server) []*server {
	now := time.Now()
	list := make([]*server, 0, len(all))
	var dead []*server
	total := 0
	for _, s := range all {
		if s.usable(now) {
			list = append(list, s)
			total += s.weight()
		} else {
			dead = append(dead, s)
		}
	}
	// By weight, without putting back: the first gets its share of the load, and the rest is the order of failing over.
	for i := range list {
		n := mrand.IntN(total)
		for j := i; ; j++ {
			if n -= list[j].weight(); n < 0 {
				total -= list[j].weight()
				list[i], list[j] = list[j], list[i]
				break
			}
		}
	}
	return append(list, dead...)
}

func (s *server) weight() int { return max(1, s.target.Weight) }

// State belongs to the server that gave it. Towards callers of Exchange it has the server's index in front, and is told
// from a State of elsewhere by two bytes.
const stateMark = "\x9d\x52"

func (c *Client) wrapState(p *Packet, s *server) error {
	v, ok := p.Get(State)
	if !ok {
		return nil
	}
	if len(v) > maxValue-3 || s.index > 255 {
		return fmt.Errorf("radius: a State of %d bytes of server %d", len(v), s.index)
	}
	p.replace(State, append([]byte(stateMark+string([]byte{byte(s.index)})), v...))
	return nil
}

// unwrapState returns p as the server is to see it, and the server; nil: any. The index in a State is all that is kept of a
// conversation: a Client that was started again, or another of the same Targets, goes on with it.
func (c *Client) unwrapState(p *Packet) (*server, *Packet, error) {
	v, ok := p.Get(State)
	list := c.servers(p.Code == AccountingRequest)
	if !ok || len(v) < 3 || string(v[:2]) != stateMark {
		return nil, p, nil
	}
	if int(v[2]) >= len(list) {
		return nil, nil, fmt.Errorf("radius: a State of server %d, of %d", v[2], len(list))
	}
	s := list[v[2]]
	p = p.clone()
	p.replace(State, append([]byte(nil), v[3:]...))
	return s, p, nil
}

// replace puts a value in the place of an attribute's.
func (p *Packet) replace(a Attr, v []byte) {
	q := Packet{err: p.err}
	for t, old := range p.All() {
		if t == a {
			old = v
		}
		q.Add(t, old)
	}
	p.attrs, p.err = q.attrs, q.err
}
