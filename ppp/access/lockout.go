package access

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Lockout refuses after too many failures. The zero Lockout refuses for 5 minutes after 10.
//
// Failures count by user and source together, since counted by user alone a stranger could lock anybody out. Ten times as
// many count against a source whatever names it tries, and against a user wherever the guesses come from. A count falls
// by one each For/After.
type Lockout struct {
	After int // negative never
	For   time.Duration
}

const (
	defaultAfter = 10
	defaultFor   = 5 * time.Minute
	wideFactor   = 10      // against a source, or a user, alone
	maxCounts    = 1 << 16 // remembered at once; beyond it the oldest are forgotten
)

func (l Lockout) after() int {
	if l.After == 0 {
		return defaultAfter
	}
	return l.After
}

func (l Lockout) duration() time.Duration {
	if l.For <= 0 {
		return defaultFor
	}
	return l.For
}

// errLocked is for the log; the far side hears of a wrong password.
var errLocked = errors.New("access: locked out after too many failures")

// A lockout is the counts.
type lockout struct {
	mu     sync.Mutex
	counts map[lockKey]*count
}

// A lockKey is a user at a source, or either alone.
type lockKey struct {
	user   string
	source netip.Prefix
}

type count struct {
	level float64
	at    time.Time
}

func keys(user string, source netip.Prefix) [3]lockKey {
	user = strings.ToLower(user)
	return [3]lockKey{{user, source}, {source: source}, {user: user}}
}

// limit of the n-th key.
func (l Lockout) limit(n int) float64 {
	if n == 0 {
		return float64(l.after())
	}
	return float64(l.after() * wideFactor)
}

// decay brings a count up to date: it falls by its limit within the lockout's time.
func (c *count) decay(l Lockout, limit float64, now time.Time) {
	c.level = max(0, c.level-limit*now.Sub(c.at).Seconds()/l.duration().Seconds())
	c.at = now
}

// locked says why a user at a source is not looked at, or nil. A count that has reached its limit locks until it has
// fallen to half of it.
func (t *lockout) locked(l Lockout, user string, source netip.Prefix, now time.Time) error {
	if l.after() < 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, k := range keys(user, source) {
		c := t.counts[k]
		if c == nil {
			continue
		}
		limit := l.limit(n)
		// Locked for For: the count was set far enough above its limit by failed.
		if c.decay(l, limit, now); c.level > limit {
			return errLocked
		}
	}
	return nil
}

// failed counts a failure. The one that reaches the limit locks for the whole time: it doubles the count.
func (t *lockout) failed(l Lockout, user string, source netip.Prefix, now time.Time) {
	if l.after() < 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = make(map[lockKey]*count)
	}
	for n, k := range keys(user, source) {
		c := t.counts[k]
		if c == nil {
			t.makeRoom(l, now)
			c = &count{at: now}
			t.counts[k] = c
		}
		limit := l.limit(n)
		c.decay(l, limit, now)
		if c.level++; c.level >= limit && c.level <= limit+1 {
			c.level = 2 * limit
		}
	}
}

// passed forgets a user's failures at a source.
func (t *lockout) passed(user string, source netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.counts, keys(user, source)[0])
}

// makeRoom forgets what has decayed, and if that is not enough, whatever comes.
func (t *lockout) makeRoom(l Lockout, now time.Time) {
	if len(t.counts) < maxCounts {
		return
	}
	for k, c := range t.counts {
		if now.Sub(c.at) > 2*l.duration() {
			delete(t.counts, k)
		}
	}
	for k := range t.counts {
		if len(t.counts) < maxCounts*3/4 {
			return
		}
		delete(t.counts, k)
	}
}
