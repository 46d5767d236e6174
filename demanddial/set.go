package demanddial

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/dialway/dialway/tunnel"
)

// A Set is the interfaces of one router. The zero Set with a Router is ready.
//
// Set the fields before the first call and leave them then.
type Set struct {
	Router  *tunnel.Router // serves the interfaces, and has remote-access clients; required
	Domains []string       // the router's own: callers of these, or of none, may be routers

	NoRemoteAccess bool // callers that are no interface's are refused
	NoDemandDial   bool // callers that are an interface's are refused, and nothing is dialled

	Ports     int          // calls at once, of all interfaces, dialled and answered; 0 means no limit
	Resolvers []netip.Addr // name servers by which this machine resolves destinations: Add reports names that would be asked through the tunnel they lead to

	Logger *slog.Logger // nil is silent

	turn     sync.Mutex // of interfaces with Router's table
	updating sync.Mutex // one Update at a time: it waits for what it removes without mu

	mu      sync.Mutex
	members []*member
	routes  routeIndex
	ports   *ports
	paused  bool
	serving *serving
}

// A member is an Interface of a Set.
type member struct {
	*Interface
	done chan struct{} // its Serve has returned; nil: it was not served
}

// serving is one Set.Serve.
type serving struct {
	ctx    context.Context
	fail   context.CancelCauseFunc
	served sync.WaitGroup
}

// Add takes interfaces in and, if Serve runs, serves them. It checks them against each other and those that are there; if
// anything is wrong it says all of it, as *Problems joined, and takes none.
func (s *Set) Add(list ...*Interface) error { return s.Update(nil, list...) }

// Update removes interfaces by name and adds others, all or nothing: what the Set would be then is checked before anything
// changes. It closes those removed and waits for them; the others are not touched.
func (s *Set) Update(remove []string, add ...*Interface) error {
	s.updating.Lock()
	defer s.updating.Unlock()
	s.mu.Lock()
	var gone, stay []*member
	var wrong []error
	for _, m := range s.members {
		if holdsFold(remove, m.Name) {
			gone = append(gone, m)
		} else {
			stay = append(stay, m)
		}
	}
	for _, name := range remove {
		if !slices.ContainsFunc(gone, func(m *member) bool { return isNamed(name, m.Name) }) {
			wrong = append(wrong, &Problem{Interface: name, Err: errors.New("there is no interface of that name")})
		}
	}
	for _, i := range add {
		if slices.ContainsFunc(s.members, func(m *member) bool { return m.Interface == i }) {
			wrong = append(wrong, &Problem{Interface: i.Name, Err: errors.New("it is in the Set already")})
		}
	}
	if len(wrong) > 0 {
		s.mu.Unlock()
		return errors.Join(wrong...)
	}
	s.routes.remove(interfaces(gone))
	s.routes.add(add)
	wrong = append(wrong, s.problems(stay, add)...)
	if len(wrong) > 0 {
		s.routes.remove(add)
		s.routes.add(interfaces(gone))
		s.mu.Unlock()
		return errors.Join(wrong...)
	}
	for _, m := range gone {
		m.Close()
	}
	s.mu.Unlock()
	for _, m := range gone {
		if m.done != nil {
			<-m.done // its routes have gone, too, before the new ones come
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = stay
	for _, i := range add {
		s.members = append(s.members, &member{Interface: i})
		s.wire(i)
	}
	if s.serving != nil {
		for _, m := range s.members[len(stay):] {
			s.start(m)
		}
	}
	return nil
}

func interfaces(members []*member) (list []*Interface) {
	for _, m := range members {
		list = append(list, m.Interface)
	}
	return list
}

// wire gives an Interface what its fields lack.
func (s *Set) wire(i *Interface) {
	if s.ports == nil && s.Ports > 0 {
		s.ports = &ports{limit: s.Ports}
	}
	i.wired = wiring{table: s.Router.Routes, reject: s.Router.Reject, logger: s.Logger, ports: s.ports, turn: &s.turn}
	i.suspends.Store(s.paused || s.NoDemandDial)
}

// Remove closes and forgets an interface, and waits for it.
func (s *Set) Remove(name string) { s.Update([]string{name}) }

// All yields the interfaces in the order of Add.
func (s *Set) All() iter.Seq[*Interface] {
	return func(yield func(*Interface) bool) {
		for _, m := range s.list() {
			if !yield(m.Interface) {
				return
			}
		}
	}
}

func (s *Set) list() []*member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.members)
}

// Find returns the interface of a name, whatever the case of its letters; nil: there is none.
func (s *Set) Find(name string) *Interface {
	for i := range s.All() {
		if isNamed(name, i.Name) {
			return i
		}
	}
	return nil
}

// Pause makes all interfaces unreachable but for those that are connected, until it is taken back.
func (s *Set) Pause(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = on
	for _, m := range s.members {
		m.suspend(on || s.NoDemandDial)
	}
}

// Serve serves every interface until ctx ends, or one of them cannot be served; it returns when all have ended. The error
// is never nil.
func (s *Set) Serve(ctx context.Context) error {
	s.mu.Lock()
	if s.serving != nil {
		s.mu.Unlock()
		return errors.New("demanddial: Serve of a Set that is served")
	}
	v := new(serving)
	v.ctx, v.fail = context.WithCancelCause(ctx)
	s.serving = v
	for _, m := range s.members {
		s.start(m)
	}
	s.mu.Unlock()
	<-v.ctx.Done()
	s.mu.Lock()
	s.serving = nil // nothing is started any more
	s.mu.Unlock()
	v.served.Wait()
	return fmt.Errorf("demanddial: %w: %w", net.ErrClosed, context.Cause(v.ctx))
}

// start serves a member.
func (s *Set) start(m *member) {
	v := s.serving
	m.done = make(chan struct{})
	v.served.Go(func() {
		defer close(m.done)
		if err := s.Router.ServeLink(v.ctx, m.Interface); !m.closed.Load() {
			v.fail(fmt.Errorf("interface %s: %w", m.Name, err)) // ctx has ended, or the host's side has failed
		}
	})
}

func (s *Set) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger
}
