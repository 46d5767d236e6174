package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/dialway/dialway/radius"
)

// pools are the home servers of realms. Those that a new configuration leaves as they were stay: what they know of who is
// dead, their connections, and the records that wait.
type pools struct {
	log     *slog.Logger
	dynamic *radius.Dynamic // answers what comes back over RadSec
	list    []*pool
}

// A pool is home servers that stand in for each other.
type pool struct {
	homes  []home
	client *radius.Client
	spool  string
	acct   *radius.Accounting // nil: accounting waits for nobody
	stop   func()             // ends it
}

// use makes of a configuration's realms what a Proxy wants, and ends pools that it has not.
func (p *pools) use(c *config) (map[string]*radius.Realm, error) {
	realms := make(map[string]*radius.Realm)
	var kept []*pool
	for _, r := range c.realms {
		x := &radius.Realm{Strip: r.strip}
		if len(r.homes) > 0 {
			list := make([]home, len(r.homes))
			for i, name := range r.homes {
				list[i] = c.homes[name]
			}
			pool, err := p.get(&kept, list, r.spool)
			if err != nil {
				return nil, err
			}
			x.Client, x.Spool = pool.client, pool.acct
		}
		realms[r.name] = x
	}
	for _, old := range p.list {
		if !slices.Contains(kept, old) {
			old.end(time.Minute) // exchanges under way take 30 s at most
		}
	}
	p.list = kept
	return realms, nil
}

// get returns a pool that there is already, or makes it.
func (p *pools) get(kept *[]*pool, homes []home, spool string) (*pool, error) {
	for _, list := range [][]*pool{*kept, p.list} {
		for _, x := range list {
			if slices.Equal(x.homes, homes) && x.spool == spool {
				if !slices.Contains(*kept, x) {
					*kept = append(*kept, x)
				}
				return x, nil
			}
		}
	}
	x := &pool{homes: homes, spool: spool, client: &radius.Client{Dynamic: p.dynamic, Logger: p.log}}
	for _, h := range homes {
		config, err := h.tlsConfig()
		if err != nil {
			return nil, err
		}
		x.client.Targets = append(x.client.Targets, radius.Target{Addr: h.addr, Acct: h.acct, Secret: h.Secret, Weight: h.weight, Unsigned: h.unsigned, TLS: config})
	}
	if spool != "" {
		for _, old := range p.list {
			if old.spool == spool { // its records are the new one's
				old.end(0)
			}
		}
		x.acct = &radius.Accounting{Client: x.client, Spool: spool, Relay: true, Logger: p.log}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := x.acct.Serve(ctx); ctx.Err() == nil {
				p.log.Error("accounting waits and is not sent", "spool", spool, "err", err)
			}
		}()
		x.stop = sync.OnceFunc(func() {
			cancel()
			<-done
		})
	}
	*kept = append(*kept, x)
	return x, nil
}

// end ends a pool, its client after a while.
func (x *pool) end(while time.Duration) {
	if x.stop != nil {
		x.stop()
	}
	if while > 0 {
		time.AfterFunc(while, func() { x.client.Close() })
	} else {
		x.client.Close()
	}
}

func (p *pools) close() {
	for _, x := range p.list {
		x.end(0)
	}
}
