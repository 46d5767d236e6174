package register

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/dialway/dialway/dhcpinform"
)

const (
	// patience is how long DHCPInform is waited for when there is enough to begin with.
	patience = 300 * time.Millisecond
	// goodbye is how long the end of a Run may take.
	goodbye = 3 * time.Second
)

// A run is one Run:
//
//	Inform ──┐           ┌── DNS ───── register, refresh, remove
//	Changed ─┼──► plan ──┼── WINS ──── register, refresh, release    ──► Status ──► watch
//	link ────┘           └── host ──── set, restore
type run struct {
	r    *Registrar
	link *dhcpinform.Client

	mu               sync.Mutex
	plan             plan
	fresh            chan struct{} // closed when plan is no longer the newest
	status           Status
	records, netbios []Record // of status

	watching sync.Mutex
	watch    func(Status)
}

// Run asks c, which somebody serves, registers the host's names, and registers them again when it is time to, until ctx
// ends; then it removes them, which takes 3 s at most, and returns the cause of ctx's end and what could not be removed.
// End ctx before the link: what is to be removed goes through it. If it ended by itself, cancel ctx with a cause that is
// net.ErrClosed, as a link's error is: then nothing is sent any more, and the server is left to clean up (Tracker).
//
// What is not there is done without, and what fails is tried again, after 10 s at first, after an hour at last; but what only a
// change of key or policy would mend not before Refresh: see Permanent of the error. A refusal that anybody on the way may
// have sent, since it is not signed, is tried again after 5 minutes at first. watch is told each time that something has come of
// it, one call at a time; nil is not told.
func (r *Registrar) Run(ctx context.Context, c *dhcpinform.Client, watch func(Status)) error {
	run := &run{r: r, link: c, watch: watch, fresh: make(chan struct{})}
	if run.watch == nil {
		run.watch = func(Status) {}
	}
	if _, err := r.fullName("domain"); err != nil {
		return err
	}
	parts := []func(context.Context) error{run.dns, run.netBIOS, run.host}
	errs := make(chan error, len(parts))
	for _, part := range parts {
		go func() { errs <- part(ctx) }()
	}
	run.learn(ctx)
	var left error
	for range parts {
		left = errors.Join(left, <-errs)
	}
	if left != nil {
		return errors.Join(context.Cause(ctx), left)
	}
	return context.Cause(ctx)
}

// bye returns a context for what is done at the end: over at once if there is no link to do it by.
func bye(ctx context.Context) (context.Context, context.CancelFunc) {
	end, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), goodbye, fmt.Errorf("register: not within %v", goodbye))
	if errors.Is(context.Cause(ctx), net.ErrClosed) {
		cancel()
	}
	return end, cancel
}

// learn makes plans until ctx ends.
func (run *run) learn(ctx context.Context) {
	type told struct {
		o   *dhcpinform.Options
		err error
	}
	answer := make(chan told, 1)
	go func() {
		o, err := run.link.Inform(ctx, nil)
		answer <- told{o, err}
	}()
	var wait <-chan time.Time
	if p := run.makePlan(nil); p.name != "" && len(p.resolver) > 0 || len(p.node.servers) > 0 {
		wait = time.After(patience)
	}
	var o *dhcpinform.Options
	for ready, changed := false, run.r.Changed; ; {
		select {
		case <-ctx.Done():
			if answer != nil {
				<-answer
			}
			return
		case <-wait:
			wait, ready = nil, true
		case a := <-answer:
			answer, ready = nil, true
			o = a.o
			run.tell(func(s *Status) { s.Options, s.Err = a.o, a.err })
		case _, ok := <-changed:
			if !ok {
				changed = nil
			}
		}
		if ready {
			run.set(run.makePlan(o))
		}
	}
}

// set makes p the plan.
func (run *run) set(p plan) {
	run.mu.Lock()
	if run.plan.equal(&p) {
		run.mu.Unlock()
		return
	}
	run.plan = p
	close(run.fresh)
	run.fresh = make(chan struct{})
	run.mu.Unlock()
	run.tell(func(s *Status) { s.Name = p.name })
}

// now returns the plan, and a channel that is closed when there is a newer one.
func (run *run) now() (plan, <-chan struct{}) {
	run.mu.Lock()
	defer run.mu.Unlock()
	return run.plan, run.fresh
}

// tell changes the status and tells it.
func (run *run) tell(change func(s *Status)) {
	run.watching.Lock() // so that nobody is told an older one after a newer one
	defer run.watching.Unlock()
	run.mu.Lock()
	change(&run.status)
	s := run.status
	s.Records = slices.Concat(run.records, run.netbios)
	run.mu.Unlock()
	run.watch(s)
}

// dns keeps the host registered in DNS.
func (run *run) dns(ctx context.Context) error {
	var reg, tried *registration // what is registered; what may be
	var u *updater
	retry, refused := backoff{first: dnsRetry}, backoff{first: refusedRetry, most: run.r.refresh()}
	for ctx.Err() == nil {
		p, fresh := run.now()
		var wait <-chan time.Time
		if p.name != "" && len(p.addrs) > 0 && len(p.resolver) > 0 {
			u = run.r.updater(p.resolver)
			next, records, err := u.register(ctx, p.name, p.addrs, reg)
			if ctx.Err() != nil {
				tried = next
				break
			}
			var taken *TakenError
			tried = nil
			switch {
			case claimed(records):
				run.leave(ctx, u, reg, next)
				reg = next
			case !permanent(err) && !errors.As(err, &taken):
				tried = next // a server that was not heard may have done it
			}
			run.tell(func(*Status) { run.records = records })
			switch {
			case permanent(err) && !claimed(records) && run.r.forgeable(err):
				next := refused.next()
				run.r.logger().Warn("dns: not registered: refused, though not by a signed answer, so anybody may have said so", "name", p.name, "again in", next, "err", err)
				retry.reset()
				wait = time.After(next)
			case err == nil, permanent(err): // of which a PTR that nobody lets us set is one: the name is refreshed all the same
				if err != nil {
					run.r.logger().Warn("dns: not registered, and not tried again soon", "name", p.name, "err", err)
				}
				retry.reset()
				refused.reset()
				wait = time.After(run.r.refresh() - rand.N(run.r.refresh()/16+1))
			case errors.As(err, &taken):
				wait = time.After(max(retry.next(), takenRetry/2))
			default:
				wait = time.After(retry.next())
			}
		} else if reg != nil {
			run.leave(ctx, u, reg, nil)
			reg = nil
			run.tell(func(*Status) { run.records = nil })
		}
		select {
		case <-ctx.Done():
		case <-fresh:
		case <-wait:
		}
	}
	end, cancel := bye(ctx)
	defer cancel()
	if end.Err() != nil {
		return nil
	}
	if both, ok := join(tried, reg); ok {
		return u.unregister(end, both, nil)
	}
	return errors.Join(u.unregister(end, tried, nil), u.unregister(end, reg, nil))
}

// leave removes what of a registration is no longer wanted.
func (run *run) leave(ctx context.Context, u *updater, old, next *registration) {
	if err := u.unregister(ctx, old, next); err != nil {
		run.r.logger().Warn("dns: left behind", "name", old.name, "addrs", old.addrs, "err", err)
	}
}

// netBIOS keeps the host registered with WINS servers.
func (run *run) netBIOS(ctx context.Context) error {
	var err error
	for ctx.Err() == nil {
		p, fresh := run.now()
		if len(p.node.servers) == 0 {
			select {
			case <-ctx.Done():
			case <-fresh:
			}
			continue
		}
		holding, cancel := context.WithCancelCause(ctx)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-holding.Done():
					return
				case <-fresh:
				}
				var q plan
				if q, fresh = run.now(); !q.node.equal(&p.node) {
					cancel(errors.New("register: other names"))
					return
				}
			}
		}()
		err = run.holdAll(holding, p.node)
		cancel(nil)
		<-stopped
		run.tell(func(*Status) { run.netbios = nil })
	}
	return err
}

// holdAll registers the names of a node until ctx ends.
func (run *run) holdAll(ctx context.Context, p nodePlan) error {
	listen := run.r.ListenPacket
	if listen == nil {
		listen = net.ListenPacket
	}
	log := run.r.logger()
	pc, err := listen("udp4", netip.AddrPortFrom(p.addr, nbPort).String())
	if err != nil {
		log.Info("netbios: port 137 is not to be had: servers cannot ask whether the host has its names", "err", err)
		if pc, err = listen("udp4", netip.AddrPortFrom(p.addr, 0).String()); err != nil {
			err = fmt.Errorf("register: NetBIOS: %w", err)
			run.tell(func(*Status) {
				run.netbios = []Record{{Kind: "NetBIOS", Name: p.names[0].String(), Addr: p.addr, Err: err}}
			})
			<-ctx.Done() // or another plan
			return nil
		}
	}
	n := &node{pc: pc, addr: p.addr, servers: p.servers, flags: p.flags, log: log, held: make(map[*holding]struct{})}
	reading := make(chan struct{})
	go func() { n.read(); close(reading) }()
	defer func() { pc.Close(); <-reading }()

	records := make([]Record, len(p.names))
	errs := make(chan error)
	for i, name := range p.names {
		report := func(rec Record) {
			run.tell(func(*Status) {
				records[i] = rec
				run.netbios = slices.DeleteFunc(slices.Clone(records), func(r Record) bool { return r.Kind == "" })
			})
		}
		go func() {
			errs <- n.hold(ctx, func() (context.Context, context.CancelFunc) { return bye(ctx) }, name, report)
		}()
	}
	err = nil
	for range p.names {
		err = errors.Join(err, <-errs)
	}
	return err
}

// host keeps the host's resolver set to the tunnel's name servers.
func (run *run) host(ctx context.Context) error {
	res := run.r.Resolver
	if res == nil {
		return nil
	}
	var servers []netip.Addr
	var domains []string
	touched := false
	for ctx.Err() == nil {
		p, fresh := run.now()
		if !slices.Equal(servers, p.servers) || !slices.Equal(domains, p.domains) {
			servers, domains = p.servers, p.domains
			var err error
			if len(servers) > 0 && len(domains) > 0 {
				touched = true
				err = res.Set(ctx, servers, domains)
			} else if touched {
				err = res.Restore(ctx)
			}
			if err != nil && ctx.Err() == nil {
				run.r.logger().Warn("resolver: not set", "servers", servers, "domains", domains, "err", err)
			}
			run.tell(func(s *Status) { s.Resolver = err })
		}
		select {
		case <-ctx.Done():
		case <-fresh:
		}
	}
	if !touched {
		return nil
	}
	// Also where there is no link any more.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	return res.Restore(end)
}
