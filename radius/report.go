package radius

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

const (
	flushTime   = 5 * time.Second
	mostSending = 32 // records under way at once
	acctLongest = time.Minute
)

// Serve sends what is spooled, On first and Off last, until ctx has ended and so has every session that was started;
// then it flushes for 5 seconds at most. So it may have the ctx that also ends the server. It never returns nil: the
// error is ctx's, and says how many records were left, which a directory keeps for the next Serve.
func (a *Accounting) Serve(ctx context.Context) error {
	if a.Client == nil {
		return errors.New("radius: Accounting without a Client")
	}
	if err := a.openSpool(); err != nil {
		return err
	}
	wake := a.waker()
	if !a.Relay {
		a.putFirst(a.boot(statusOn, time.Now()))
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var sending sync.WaitGroup
	defer sending.Wait()
	defer cancel() // before it
	for ending := false; ; {
		if !ending && ctx.Err() != nil && a.sessions() == 0 {
			ending = true
			if !a.Relay {
				a.put(a.boot(statusOff, time.Now()))
			}
			a.hurry()
			defer time.AfterFunc(flushTime, cancel).Stop()
		}
		next := a.sendReady(work, &sending)
		if left := a.Pending(); ending && left == 0 {
			return context.Cause(ctx)
		} else if ending && work.Err() != nil {
			return fmt.Errorf("radius: %d accounting records not sent: %w", left, context.Cause(ctx))
		}
		a.pause(ctx, work, wake, next, ending)
	}
}

// pause waits until there may be something to do: at once, by next, or when it is woken.
func (a *Accounting) pause(ctx, work context.Context, wake <-chan struct{}, next time.Time, ending bool) {
	var timer <-chan time.Time
	if !next.IsZero() {
		t := time.NewTimer(time.Until(next))
		defer t.Stop()
		timer = t.C
	}
	done := ctx.Done()
	if ending || ctx.Err() != nil {
		done = nil // it has been seen; the last session wakes
	}
	select {
	case <-wake:
	case <-timer:
	case <-done:
	case <-work.Done():
	}
}

// sendReady begins to send what may be sent now, and returns when there may be more; zero: when it is woken.
func (a *Accounting) sendReady(ctx context.Context, sending *sync.WaitGroup) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	batch, next := a.spool.take(time.Now(), mostSending)
	for _, r := range batch {
		p, err := a.spool.read(r)
		if errors.Is(err, errNotRecord) || errors.Is(err, fs.ErrNotExist) {
			a.spool.remove(r)
			a.log().Error("radius: accounting record lost", "err", err)
			continue
		}
		if err != nil { // too many open files, or the like
			a.again(r, err)
			next = sooner(next, r.next)
			continue
		}
		r.busy = true
		wait := min(firstWait<<min(r.tries, 4), longWait) // here, where a.mu is held
		sending.Go(func() {
			a.send(ctx, r, p, wait)
			a.poke()
		})
	}
	return next
}

// send sends a record to one server after the other. Each time it is another packet, under another identifier: how long
// ago it was has changed (RFC 2866 section 5.2). Nothing ends it but an answer (RFC 5080 section 2.2.1).
func (a *Accounting) send(ctx context.Context, r *spooled, p *Packet, wait time.Duration) {
	err := errNoTargets
	for _, s := range a.Client.order(a.Client.servers(true)) {
		q := p.clone()
		if t, ok := p.uint32(EventTimestamp); ok {
			q.addUint32(AcctDelayTime, uint32(max(0, time.Now().Unix()-int64(t))))
		}
		var reply *Packet
		if reply, err = s.roundTrip(ctx, q, 1, wait); err == nil {
			err = received(reply)
		}
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil && !r.synced { // busy: nobody else writes it
		// It will wait: from now on the disk has it.
		if err := a.spool.sync(r); err != nil {
			a.log().Error("radius: accounting record is not on the disk", "err", err)
		} else {
			r.synced = true
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r.busy = false
	if err == nil || r.stale {
		a.spool.remove(r)
		return
	}
	a.again(r, err)
}

// again lets a record be sent later. a.mu is held.
func (a *Accounting) again(r *spooled, why error) {
	r.tries++
	r.next = time.Now().Add(jittered(min(time.Second<<min(r.tries, 6), acctLongest)))
	a.log().Debug("radius: accounting record not sent", "session", r.session, "err", why)
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// errSpoolFull says that Forward has no room: who sent the record keeps it, and sends it again.
var errSpoolFull = errors.New("radius: too many accounting records wait")

// Forward spools an Accounting-Request of another access server, which may be answered once Forward has returned nil: as
// soon as the disk has it, where there is a directory. An error says that it was not taken. When it happened is kept
// (Event-Timestamp), how long it took so far is made anew (Acct-Delay-Time).
func (a *Accounting) Forward(p *Packet) error {
	if p.Code != AccountingRequest {
		return fmt.Errorf("radius: %v is no accounting", p.Code)
	}
	q := p.clone()
	if _, ok := q.uint32(EventTimestamp); !ok {
		delay, _ := q.uint32(AcctDelayTime)
		q.Remove(EventTimestamp)
		q.addUint32(EventTimestamp, uint32(time.Now().Add(-time.Duration(delay)*time.Second).Unix()))
	}
	q.Remove(AcctDelayTime)
	if err := a.openSpool(); err != nil {
		return err
	}
	a.mu.Lock()
	r, err := a.spool.accept(q)
	if err == nil {
		r.busy = true // not sent before it is safe: which of the two was first would not matter, but r.synced has one owner
	}
	a.mu.Unlock()
	if err != nil {
		return err
	}
	err = a.spool.sync(r)
	a.mu.Lock()
	r.busy, r.synced = false, err == nil
	if err != nil || r.stale {
		a.spool.remove(r)
	}
	a.mu.Unlock()
	a.poke()
	return err
}

// received reports whether an Accounting-Response is a receipt. With an Error-Cause it says that the server takes no
// accounting, RFC 6614 section 2.5.
func received(p *Packet) error {
	if cause, ok := p.uint32(ErrorCause); ok {
		return fmt.Errorf("radius: the server takes no accounting: Error-Cause %d", cause)
	}
	return nil
}

// put spools a record.
func (a *Accounting) put(p *Packet) {
	if err := a.openSpool(); err != nil {
		a.log().Error("radius: accounting records are kept in memory", "err", err)
	}
	a.mu.Lock()
	dropped, err := a.spool.put(p)
	a.mu.Unlock()
	if dropped > 0 {
		a.log().Error("radius: too many accounting records wait: lost", "records", dropped)
	}
	if err != nil {
		a.log().Error("radius: accounting record is kept in memory", "err", err)
	}
	a.poke()
}

// putFirst spools On, behind what an earlier process has left and before what this one has.
func (a *Accounting) putFirst(p *Packet) {
	a.put(p)
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.spool.queue
	i := len(q) - 1
	for i > 0 && !q[i-1].old {
		i--
	}
	on := q[len(q)-1]
	copy(q[i+1:], q[i:])
	q[i] = on
}

// openSpool opens the spool at its first use, which may be before Serve: sessions may begin at once.
func (a *Accounting) openSpool() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.spool.open(a.Spool, a.MaxSpool)
}

func (a *Accounting) sessions() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.active
}

// waker returns the channel that poke fills.
func (a *Accounting) waker() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.wake == nil {
		a.wake = make(chan struct{}, 1)
	}
	return a.wake
}

// poke has Serve look again. It never waits: one look is enough for all that has happened.
func (a *Accounting) poke() {
	a.waker()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// hurry lets every record be sent now, whatever was to be waited for.
func (a *Accounting) hurry() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.spool.queue {
		r.tries, r.next = 0, time.Time{}
	}
}
