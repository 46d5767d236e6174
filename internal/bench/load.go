package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Bulk TCP for what iperf3 cannot drive: a plain TLS copy, and stacks inside a program. A client says by the first byte of
// a connection which way it goes. Upwards the server counts, and says how much when all has come.
const (
	loadUp   = 'u'
	loadDown = 'd'

	loadChunk = 16 << 10 // of a write: a TLS record
)

// A halfCloser is a connection that can end one direction: all that are loaded here.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// serveLoad takes connections until l is closed.
func serveLoad(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			way := make([]byte, 1)
			if _, err := io.ReadFull(c, way); err != nil {
				return
			}
			if way[0] == loadDown {
				send(c, nil)
				return
			}
			n := receive(c)
			c.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
		}()
	}
}

// send writes until stop closes or the far side has had enough.
func send(c net.Conn, stop <-chan struct{}) {
	b := make([]byte, loadChunk)
	for {
		select {
		case <-stop:
			return
		default:
		}
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// receive reads to the end and counts.
func receive(c net.Conn) (n int64) {
	b := make([]byte, 128<<10)
	for {
		k, err := c.Read(b)
		n += int64(k)
		if err != nil {
			return n
		}
	}
}

// A dialer makes a connection to a load server.
type dialer func(ctx context.Context) (halfCloser, error)

// loadFor loads so many connections for a time, each way that load has, and says how many bytes came through and how long
// that took.
func loadFor(dial dialer, load string, streams int, d time.Duration) (bytes int64, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), d+10*time.Second)
	defer cancel()
	ways := map[string]string{"up": "u", "down": "d", "both": "ud"}[load]
	if ways == "" {
		return 0, 0, fmt.Errorf("%q is no load", load)
	}
	var conns []halfCloser
	var kinds []byte
	for range streams {
		for i := range len(ways) {
			c, err := dial(ctx)
			if err != nil {
				return 0, 0, err
			}
			defer c.Close()
			conns, kinds = append(conns, c), append(kinds, ways[i])
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := time.Now()
	stop := make(chan struct{})
	time.AfterFunc(d, func() { close(stop) })
	for i, c := range conns {
		wg.Go(func() {
			n, e := loadOne(c, kinds[i], stop, start.Add(d))
			mu.Lock()
			defer mu.Unlock()
			bytes += n
			if e != nil {
				err = e
			}
		})
	}
	wg.Wait()
	return bytes, time.Since(start), err
}

func loadOne(c halfCloser, way byte, stop <-chan struct{}, end time.Time) (int64, error) {
	if _, err := c.Write([]byte{way}); err != nil {
		return 0, err
	}
	if way == loadDown {
		c.SetReadDeadline(end)
		return receive(c), nil
	}
	send(c, stop)
	if err := c.CloseWrite(); err != nil {
		return 0, err
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	var n [8]byte
	if _, err := io.ReadFull(c, n[:]); err != nil {
		return 0, fmt.Errorf("the far side's count: %w", err)
	}
	return int64(binary.BigEndian.Uint64(n[:])), nil
}

// obeyLoads loads as the lines of standard input say, "up 8 2s", and prints bytes and duration of each.
func obeyLoads(dial dialer) error {
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var load, length string
		var streams int
		if _, err := fmt.Sscan(in.Text(), &load, &streams, &length); err != nil {
			return fmt.Errorf("%q: %w", in.Text(), err)
		}
		d, err := time.ParseDuration(length)
		if err != nil {
			return err
		}
		bytes, took, err := loadFor(dial, load, streams, d)
		if err != nil {
			return err
		}
		fmt.Println(bytes, took)
	}
	return nil
}
