package demanddial

import (
	"strings"
	"time"
)

// Both ends may dial at once. Which call stays is decided by what both ends know alike: the name with which each caller
// authenticated, without its domain and in lower case, the lower one stays; for equal names the lower session id. No
// document says what Windows does, so a far side may know nothing of the rule: it may close the call that would stay.
// Therefore the loser is closed only some time after the winner is up, and takes its place if the winner ends before.
//
// Calls cross only if they are dialled at about the same time. An end that dials when the other has been connected for
// long has lost its link, so a call that comes much later than the other replaces it, as does a second one in the same
// direction.

const (
	// grace is how long the loser is kept.
	grace = 3 * time.Second

	// bothGone is how soon after they crossed the end of the last call means that the ends disagree about which stays, and
	// not that it was hung up.
	bothGone = 2 * grace

	// Both ends wait at random between these when both calls ended, so that they do not cross again.
	leastPause = time.Second
	mostPause  = 5 * time.Second
)

// window is how far apart calls may be opened that cross: a far side that has begun to dial does so for that long.
func (i *Interface) window() time.Duration {
	return max(orDefault(i.Timeout, defaultTimeout), defaultTimeout)
}

// best returns the call that should be in use; nil without.
func (e *engine) best() *call {
	var dialled, answered *call // the latest of each direction
	for _, c := range e.calls {
		if c.dialled {
			dialled = c
		} else {
			answered = c
		}
	}
	switch {
	case dialled == nil:
		return answered
	case answered == nil:
		return dialled
	case !e.cross(dialled, answered):
		if answered.opened.After(dialled.opened) {
			return answered
		}
		return dialled
	case stays(dialled, answered):
		return dialled
	}
	return answered
}

// cross reports whether two calls of different direction were dialled at about the same time.
func (i *Interface) cross(a, b *call) bool {
	return a.dialled != b.dialled && a.opened.Sub(b.opened).Abs() <= i.window()
}

// stays reports whether a stays, of two calls that cross.
func stays(a, b *call) bool {
	if x, y := foldedUser(a.name), foldedUser(b.name); x != y {
		return x < y
	}
	if a.id != b.id && a.id != "" && b.id != "" {
		return a.id < b.id
	}
	return a.opened.Before(b.opened) // nothing is known at both ends: most likely the same one was first there
}

// mayWin reports whether a call by the name own could stay beside one by the name far.
func mayWin(own, far string) bool { return foldedUser(own) <= foldedUser(far) }

// foldedUser returns a user name without its domain, in lower case.
func foldedUser(name string) string {
	_, user := splitDomain(name)
	return lowerASCII(user)
}

// splitDomain cuts DOMAIN\user and user@domain. What has both is cut at the backslash alone.
func splitDomain(name string) (domain, user string) {
	if domain, user, ok := strings.Cut(name, `\`); ok {
		return domain, user
	}
	if n := strings.LastIndexByte(name, '@'); n >= 0 {
		return name[n+1:], name[:n]
	}
	return "", name
}

// lowerASCII lowers letters of ASCII only: names that differ in others are different names, whatever they look like.
func lowerASCII(s string) string {
	for n := range len(s) {
		if 'A' <= s[n] && s[n] <= 'Z' {
			b := []byte(s)
			for ; n < len(b); n++ {
				if 'A' <= b[n] && b[n] <= 'Z' {
					b[n] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// retireOthers ends the calls beside the one in use: at once what it replaces, later what lost against it.
func (e *engine) retireOthers(winner *call, now time.Time) {
	for _, c := range append([]*call(nil), e.calls...) {
		switch {
		case c == winner:
		case e.cross(c, winner) && c == e.newest(c.dialled):
			if c.closeAt.IsZero() {
				c.closeAt, e.crossed = now.Add(grace), now
			}
		default:
			e.hangUpCall(c, errReplaced)
		}
	}
}

// newest returns the latest call of a direction.
func (e *engine) newest(dialled bool) (c *call) {
	for _, x := range e.calls {
		if x.dialled == dialled {
			c = x
		}
	}
	return c
}
