package ppp

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestLateContext(t *testing.T) {
	for _, asked := range []bool{false, true} { // before it ends
		synctest.Test(t, func(t *testing.T) {
			var c lateContext
			var child context.Context
			if asked {
				var cancel context.CancelFunc
				child, cancel = context.WithCancel(&c)
				defer cancel()
				if c.Err() != nil || context.Cause(&c) != nil || child.Err() != nil {
					t.Error("has ended")
				}
			} else if c.made != nil {
				t.Error("made for nobody")
			}
			c.end(errTest)
			c.end(errors.New("another"))
			synctest.Wait()
			if !asked {
				child = &c
			}
			<-c.Done()
			if c.Err() != context.Canceled || context.Cause(&c) != errTest || context.Cause(child) != errTest {
				t.Errorf("%v: %v, %v, %v", asked, c.Err(), context.Cause(&c), context.Cause(child))
			}
			if _, ok := c.Deadline(); ok || c.Value("key") != nil {
				t.Error("a deadline, or a value")
			}
		})
	}
}

func TestChallengeBookKeepsTheLatest(t *testing.T) {
	var b challengeBook
	c := func(i int) []byte { return []byte{byte(i), 1, 2}[:1+i%3] } // of several lengths
	const n = challengesKept + 3
	for i := range n {
		if b.has(c(i)) {
			t.Errorf("%d is there already", i)
		}
		b.note(c(i))
	}
	for i := range n {
		if kept := i >= n-challengesKept; b.has(c(i)) != kept {
			t.Errorf("%d: kept %v", i, !kept)
		}
	}
	if b.has(nil) || b.has([]byte{1, 2, 0}) {
		t.Error("has what was not noted")
	}
}
