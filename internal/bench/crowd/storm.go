package crowd

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// storm measures how fast sessions are opened, beside bare TLS handshakes with the same certificate and without resumption
// either, in turns; and what happens when a server with many sessions starts anew and all come back at once.
//
// The clients are this project's Dialer, which takes as much of the processors as the server does; one that was written for
// this alone, without timers and automata, came to the same rate within a hundredth. What is opened stays open until its turn
// is over, of all kinds: it is opening that is measured, and a session's goodbye is no part of it. What opening and closing
// together come to is told, too.
func storm(r *run) error {
	s, f, err := r.start()
	if err != nil {
		return err
	}
	defer func() { s.stop() }()
	kinds := []func(ctx context.Context) (end func(), err error){f.shake, f.openOne, f.openAndClose}
	rates, ratios := make([][]float64, len(kinds)), make([][]float64, len(kinds))
	for range pick(r, 15, 5) {
		for i, open := range kinds {
			v, err := rate(pick(r, time.Second, 300*time.Millisecond), open)
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], v)
			ratios[i] = append(ratios[i], v/rates[0][len(rates[0])-1])
			if err := s.reach(0); err != nil {
				return err
			}
		}
	}
	r.say("sessions opened: %.0f a second; bare TLS handshakes: %.0f; ratio %.2f (medians); opened and closed: %.0f",
		median(rates[1]), median(rates[0]), median(ratios[1]), median(rates[2]))
	r.note(median(ratios[1]), "sessions per TLS handshake")
	r.note(median(rates[1]), "sessions per second")
	var slow error // told at the end
	if least := pick(r, 0.5, 0.35); median(ratios[1]) < least {
		slow = fmt.Errorf("%.2f sessions for a TLS handshake", median(ratios[1]))
	}

	n := pick(r, 10000, 200)
	if _, err := f.grow(n); err != nil {
		return err
	}
	before, err := s.settled(n)
	if err != nil {
		return err
	}
	s.stop()
	began := time.Now()
	anew, err := startServer(r.dir, s, clients)
	if err != nil {
		return err
	}
	s = anew
	if err := r.comeBack(s, f, began, before); err != nil {
		return err
	}
	f.close()
	return slow
}

// The clients' way to dial again: an attempt has half a minute, and after one that failed they wait, twice as long each
// time, somewhere between half of that and all.
const (
	attemptTime = 30 * time.Second
	firstWait   = time.Second
	lastWait    = 30 * time.Second
)

// comeBack has every client of a fleet dial again, from the moment it notices that its session is over.
func (r *run) comeBack(s *server, f *fleet, began time.Time, before status) error {
	n := len(f.members)
	var back, failed, slow atomic.Int64
	var mu sync.Mutex
	var times []time.Duration
	var wg sync.WaitGroup
	for _, m := range f.members {
		wg.Go(func() {
			<-m.conn.Context().Done()
			for wait := firstWait; ; wait = min(2*wait, lastWait) {
				ctx, cancel := context.WithTimeout(f.ctx, attemptTime)
				_, err := f.join(ctx)
				if ctx.Err() != nil {
					slow.Add(1)
				}
				cancel()
				if err == nil {
					break
				}
				failed.Add(1)
				time.Sleep(wait/2 + rand.N(wait/2))
			}
			back.Add(1)
			mu.Lock()
			times = append(times, time.Since(began))
			mu.Unlock()
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	limit := time.After(pick(r, 150*time.Second, 30*time.Second))
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	most := 0
	r.say("%10s %10s %14s %10s", "s", "back", "server MiB", "refused")
	for over := false; !over; {
		select {
		case <-done:
			over = true
		case <-tick.C:
		case <-limit:
			return fmt.Errorf("%d of %d are back", back.Load(), n)
		}
		st, err := s.status(false)
		if err != nil {
			return err
		}
		most = max(most, st.Resident)
		after := time.Since(began).Seconds()
		r.point(fmt.Sprintf("%d clients after a restart", n), curve{X: "s", Y: "sessions back"}, "", after, float64(back.Load()))
		r.point("Server's resident memory", curve{X: "s", Y: "MiB"}, "", after, float64(st.Resident>>20))
		r.say("%10.1f %10d %14d %10d", time.Since(began).Seconds(), back.Load(), st.Resident>>20, st.Refused)
	}
	r.say("all %d are back: half after %.1f s, nine tenths after %.1f s, the last after %.1f s; %d attempts failed, %d of them by time",
		n, quantile(times, 0.5).Seconds(), quantile(times, 0.9).Seconds(), quantile(times, 1).Seconds(), failed.Load(), slow.Load())
	r.say("server: %d MiB at most, %d MiB before", most>>20, before.Resident>>20)
	r.note(quantile(times, 1).Seconds(), "s until %d are back", n)
	r.note(float64(most>>20), "MiB at most")
	if slow.Load() > 0 {
		return fmt.Errorf("%d attempts took longer than %v", slow.Load(), attemptTime)
	}
	return nil
}

// shake does one TLS handshake with the server's other port, and returns what ends the connection.
func (f *fleet) shake(ctx context.Context) (end func(), err error) {
	at := netip.MustParseAddrPort(f.addr)
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(at.Addr(), at.Port()+1).String())
	if err != nil {
		return nil, err
	}
	t := tls.Client(c, &tls.Config{RootCAs: f.dialer.TLSConfig.RootCAs, ServerName: at.Addr().String()})
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return func() { t.Close() }, nil
}

// openOne opens one session, and returns what says goodbye.
func (f *fleet) openOne(ctx context.Context) (end func(), err error) {
	c, err := f.dialer.DialContext(ctx, f.addr)
	if err != nil {
		return nil, err
	}
	return func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		c.Serve(ended, func(b [][]byte, _ int) (int, error) { return len(b), nil })
	}, nil
}

// openAndClose opens one session and says goodbye.
func (f *fleet) openAndClose(ctx context.Context) (end func(), err error) {
	if end, err = f.openOne(ctx); err == nil {
		f.served.Go(end)
	}
	return nil, err
}

// rate is how often a second something is done, by all dialers; then it ends what was opened.
func rate(d time.Duration, do func(ctx context.Context) (end func(), err error)) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var n int
	var failed error
	var ends []func()
	began := time.Now()
	for range dialers {
		wg.Go(func() {
			for time.Since(began) < d {
				end, err := do(ctx)
				mu.Lock()
				if err != nil {
					failed = err
				} else if n++; end != nil {
					ends = append(ends, end)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	for _, end := range ends {
		wg.Go(end)
	}
	wg.Wait()
	return float64(n) / took.Seconds(), failed
}
