package sstp

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Openers are used again while others are at work, few of them are kept, and none when nobody is. That they are gone is what the
// bubble's end says.
func TestOpeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o openers
		check := func(atWork, spare int) {
			t.Helper()
			synctest.Wait()
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.atWork != atWork || len(o.spare) != spare {
				t.Errorf("%d at work and %d spare, want %d and %d", o.atWork, len(o.spare), atWork, spare)
			}
		}
		var opened atomic.Int32
		ends := make(chan struct{})
		open := func() { <-ends; opened.Add(1) }
		for range 3 {
			o.run(open)
		}
		check(3, 0)
		ends <- struct{}{}
		check(2, 1)
		o.run(open)
		check(3, 0)
		for range 3 {
			ends <- struct{}{}
		}
		check(0, 0)
		for range 2 * maxSpare {
			o.run(open)
		}
		for range 2*maxSpare - 1 {
			ends <- struct{}{}
			synctest.Wait()
		}
		check(1, maxSpare)
		ends <- struct{}{}
		check(0, 0)
		if opened := opened.Load(); opened != 4+2*maxSpare {
			t.Errorf("%d opened", opened)
		}
	})
}

// Package ppp asks a conn where to compute: both ends have an answer, and a server's is one of its openers.
func TestConnGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o openers
		for atWork, c := range []*conn{{}, {openers: &o}} {
			ran := make(chan int)
			c.Go(func() {
				o.mu.Lock()
				defer o.mu.Unlock()
				ran <- o.atWork
			})
			if n := <-ran; n != atWork {
				t.Errorf("%d openers at work, want %d", n, atWork)
			}
		}
		synctest.Wait()
		if o.atWork != 0 || len(o.spare) != 0 {
			t.Errorf("%+v", &o)
		}
	})
}
