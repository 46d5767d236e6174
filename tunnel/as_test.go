package tunnel_test

import (
	"testing"

	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

type wrapper struct{ tunnel.Link }

func (w wrapper) Unwrap() tunnel.Link { return w.Link }

type named struct {
	tunnel.Link
	name string
}

func (n named) Name() string { return n.name }

func TestAsLooksThroughWrappers(t *testing.T) {
	l, _ := tunneltest.Pipe(pfx("10.8.0.1/32"), pfx("10.8.0.2/32"))
	type namer interface{ Name() string }
	for _, w := range []tunnel.PacketWriter{nil, l, wrapper{l}, wrapper{}, struct{ tunnel.Link }{named{l, "hidden"}}} {
		if _, ok := tunnel.As[namer](w); ok {
			t.Errorf("%T has a name", w)
		}
	}
	for _, w := range []tunnel.PacketWriter{named{l, "x"}, wrapper{named{l, "x"}}, wrapper{wrapper{named{l, "x"}}}, wrapper{named{named{l, "y"}, "x"}}} {
		if n, ok := tunnel.As[namer](w); !ok || n.Name() != "x" {
			t.Errorf("%T: %v", w, n)
		}
	}
}
