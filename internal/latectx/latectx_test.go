package latectx

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

var errTest = errors.New("the first")

func TestContext(t *testing.T) {
	for _, asked := range []bool{false, true} { // before it ends
		synctest.Test(t, func(t *testing.T) {
			var c Context
			var child context.Context
			if c.Err() != nil || c.made != nil {
				t.Error("has ended, or was made for nobody")
			}
			if asked {
				var cancel context.CancelFunc
				child, cancel = context.WithCancel(&c)
				defer cancel()
				if c.Err() != nil || context.Cause(&c) != nil || child.Err() != nil {
					t.Error("has ended")
				}
			}
			c.End(errTest)
			c.End(errors.New("another"))
			if c.Err() != context.Canceled || asked != (c.made != nil) {
				t.Error("has not ended, or was made for nobody")
			}
			synctest.Wait()
			if !asked {
				child = &c
			}
			<-c.Done()
			if context.Cause(&c) != errTest || context.Cause(child) != errTest {
				t.Errorf("%v: %v, %v", asked, context.Cause(&c), context.Cause(child))
			}
			if _, ok := c.Deadline(); ok || c.Value("key") != nil {
				t.Error("a deadline, or a value")
			}
		})
	}
}

type key struct{}

// What ends first counts, the context or its parent, whenever somebody asks.
func TestBeneath(t *testing.T) {
	errParent := errors.New("the parent")
	for _, asked := range []bool{false, true} {
		for _, first := range []error{errTest, errParent} {
			parent, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, 7))
			var c Context
			if asked {
				c.Beneath(parent)
			}
			if first == errTest {
				c.End(errTest)
			}
			cancel(errParent)
			got := c.Beneath(parent)
			if err := context.Cause(got); err != first || got.Err() != context.Canceled || got.Value(key{}) != 7 {
				t.Errorf("asked %v: %v, want %v", asked, err, first)
			}
			c.End(errTest)
			if c.Beneath(parent) != got || context.Cause(got) != first {
				t.Errorf("asked %v: another, or because of %v", asked, context.Cause(got))
			}
		}
	}
}
