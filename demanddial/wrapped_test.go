package demanddial

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/dialway/dialway/tunnel"
)

// wrapped is a link in a link, as package ipv6conf and dhcpinform make them.
type wrapped struct{ linkType }

func (w wrapped) Unwrap() tunnel.Link { return w.linkType }

// TestAWrappedLinkIsTold: what an Interface tells a session it tells one that is wrapped.
func TestAWrappedLinkIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := serve(t, nil)
		l, e := newLink("99999999")
		done := make(chan error, 1)
		go func() { done <- b.Interface.Answer(context.Background(), wrapped{l}) }()
		synctest.Wait()
		b.want(Up, 0)
		if !slices.Contains(l.expect, newYork) {
			t.Errorf("expects %v", l.expect)
		}
		e.Close()
		<-done
	})
}
