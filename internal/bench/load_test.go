package main

import (
	"context"
	"net"
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go serveLoad(l)
	dial := func(ctx context.Context) (halfCloser, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		return c.(*net.TCPConn), nil
	}
	for _, load := range []string{"up", "down", "both"} {
		n, took, err := loadFor(dial, load, 2, 50*time.Millisecond)
		if err != nil || n < 1<<20 || took < 50*time.Millisecond {
			t.Error(load, n, took, err)
		}
	}
	if _, _, err := loadFor(dial, "sideways", 1, time.Second); err == nil {
		t.Error("sideways")
	}
}
