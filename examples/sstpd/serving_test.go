package main

import (
	"context"
	"net"
	"testing"

	"github.com/dialway/dialway/tunnel/netstack"
)

// serving serves s behind a stack of its own, and returns where; stop ends it, and returns why it has ended.
func serving(t *testing.T, s *server) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx, new(netstack.Stack), l) }()
	return l.Addr().String(), func() error { cancel(); return <-served }
}
