package hostdns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
)

// ErrNone says that the host has neither systemd-resolved nor resolvconf.
var ErrNone = fmt.Errorf("hostdns: neither systemd-resolved nor resolvconf is here: %w", errors.ErrUnsupported)

// DefaultDir is where states are kept: it does not outlive the system, and neither does what is set.
const DefaultDir = "/run/dialway"

// A Resolver sets the host's name resolution for one device. Set Device before the first call and change nothing after. Its
// methods may be called from any goroutine.
type Resolver struct {
	Device string // the tunnel's, such as vpn0

	Dir     string       // of what is written down; "" means DefaultDir
	Bus     string       // address of the D-Bus that systemd-resolved is on; "" means the system's
	Command string       // resolvconf; "" means the one that is found
	Logger  *slog.Logger // nil is silent

	mu  sync.Mutex
	set *state // nil: nothing is
}

// A backend is one way to set name resolution.
type backend interface {
	// set says it for a device. It is called again with other values, in the place of the earlier ones.
	set(ctx context.Context, s *state, servers []netip.Addr, domains []string) error
	// undo takes back what was set, also by another process. What is not there any more is no error.
	undo(ctx context.Context, s *state) error
}

// backends are the ways by the names under which they are written down, in the order in which they are tried.
func (r *Resolver) backends() []namedBackend {
	return []namedBackend{{"resolved", &resolved{r.Bus}}, {"resolvconf", &resolvconf{r.Command}}}
}

type namedBackend struct {
	name string
	backend
}

// Set makes servers be asked for names in domains, in the place of what an earlier Set said. ErrNone means that there is
// nothing to set it with.
func (r *Resolver) Set(ctx context.Context, servers []netip.Addr, domains []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := check(r.Device, servers, domains); err != nil {
		return err
	}
	if r.set != nil {
		b, err := r.backend(r.set.How)
		if err != nil {
			return err
		}
		return b.set(ctx, r.set, servers, domains)
	}
	tried := error(ErrNone)
	for _, b := range r.backends() {
		s := newState(b.name, r.Device)
		if err := s.write(r.Dir); err != nil {
			return err
		}
		err := b.set(ctx, s, servers, domains)
		if err == nil {
			r.set = s
			r.log().Info("resolver set", "by", b.name, "device", r.Device, "servers", servers, "domains", domains)
			return nil
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			err = errors.Join(err, b.undo(ctx, s))
			tried = err
		}
		s.remove(r.Dir)
		if tried != ErrNone {
			break // it is the host's way, and does not want to
		}
	}
	return tried
}

// Restore makes name resolution be as before the first Set. It does nothing if nothing is set.
func (r *Resolver) Restore(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set == nil {
		return nil
	}
	b, err := r.backend(r.set.How)
	if err == nil {
		err = b.undo(ctx, r.set)
	}
	if err != nil {
		return err // it stays written down
	}
	r.set.remove(r.Dir)
	r.set = nil
	r.log().Info("resolver restored", "device", r.Device)
	return nil
}

// Recover undoes what processes have set, for any device, that ended without putting it back. Call it before the first Set.
func (r *Resolver) Recover(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs error
	for _, s := range readStates(r.Dir) {
		if s.alive() {
			continue
		}
		b, err := r.backend(s.How)
		if err == nil {
			err = b.undo(ctx, s)
		}
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("hostdns: undoing what process %d has set for %s: %w", s.PID, s.Device, err))
			continue
		}
		s.remove(r.Dir)
		r.log().Info("resolver restored after a crash", "by", s.How, "device", s.Device, "process", s.PID)
	}
	return errs
}

func (r *Resolver) backend(name string) (backend, error) {
	for _, b := range r.backends() {
		if b.name == name {
			return b.backend, nil
		}
	}
	return nil, fmt.Errorf("hostdns: %q is no way to set name resolution", name)
}

func (r *Resolver) log() *slog.Logger {
	if r.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Logger
}

// check refuses what would say something else in a file of lines.
func check(device string, servers []netip.Addr, domains []string) error {
	if err := checkDevice(device); err != nil {
		return err
	}
	if len(servers) == 0 {
		return errors.New("hostdns: no name server")
	}
	for _, s := range servers {
		if !s.IsValid() || s.Zone() != "" {
			return fmt.Errorf("hostdns: %v is no name server", s)
		}
	}
	for _, d := range domains {
		if !isDomain(d) {
			return fmt.Errorf("hostdns: %q is no domain", d)
		}
	}
	return nil
}

func checkDevice(name string) error {
	if name == "" || name[0] == '-' || name[0] == '.' || strings.ContainsAny(name, "/ \t\n") {
		return fmt.Errorf("hostdns: %q is no name of a device", name)
	}
	return nil
}

// indexOf returns a device's number, or 0.
func indexOf(device string) int {
	i, err := net.InterfaceByName(device)
	if err != nil {
		return 0
	}
	return i.Index
}
