package radius

import (
	"context"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"strings"
	"time"
)

// exchange asks one server after the other, or only one, until one answers. Where there is another to ask, a server has two
// transmissions; the last has all that RFC 5080 allows.
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
	var names []string
	var last error
	for i, s := range list {
		sends := beforeNext
		if i == len(list)-1 {
			sends = mostSends
		}
		reply, err := s.roundTrip(ctx, p, sends, firstWait)
		if err == nil {
			return reply, s, nil
		}
		names, last = append(names, s.addr), err
		if ctx.Err() != nil {
			break
		}
	}
	if errors.Is(last, ErrNoAnswer) {
		return nil, nil, fmt.Errorf("%w: asked %s", last, strings.Join(names, ", "))
	}
	return nil, nil, fmt.Errorf("radius: %s: %w", names[len(names)-1], last)
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
