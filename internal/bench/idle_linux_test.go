package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel"
)

// TestMain runs a server instead of the tests in the process that BenchmarkIdleSession starts: its memory is measured,
// and the clients' is not.
func TestMain(m *testing.M) {
	if os.Getenv("BENCH_SERVER") != "" {
		serveForBench()
		return
	}
	os.Exit(m.Run())
}

// serveForBench prints its certificate and address, and its memory for each line it reads.
func serveForBench() {
	var tb exitTB
	cert, _ := certificate(&tb)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	srv := serverFor(cert, &tunnel.Router{Uplink: new(sink), Routes: new(tunnel.Table)})
	srv.Hello = time.Hour // idle means idle
	go srv.Serve(l)
	pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	fmt.Println(l.Addr())
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		for range 4 { // a stack shrinks by half at each collection
			debug.FreeOSMemory()
		}
		fmt.Println(resident(), srv.Stats().Sessions)
	}
}

// An exitTB is a testing.TB for a process that is no test.
type exitTB struct{ testing.TB }

func (exitTB) Helper()           {}
func (exitTB) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// resident is this process's resident memory.
func resident() int {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(v)[0])
			return n << 10
		}
	}
	return 0
}

// BenchmarkIdleSession opens 1,000 sessions over loopback TCP and measures the server process's resident memory for
// each, fresh and after a burst of 256 KiB from the client.
func BenchmarkIdleSession(b *testing.B) {
	const sessions = 1000
	for b.Loop() {
		fresh, burst := idleSession(b, sessions)
		b.ReportMetric(float64(fresh)/1024, "KiB/fresh")
		b.ReportMetric(float64(burst)/1024, "KiB/burst")
	}
}

func idleSession(b *testing.B, sessions int) (fresh, burst int) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BENCH_SERVER=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	out := bufio.NewScanner(pipe)
	var text strings.Builder
	for out.Scan() && !strings.Contains(out.Text(), "127.0.0.1") {
		text.WriteString(out.Text() + "\n")
	}
	addr := out.Text()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(text.String()))
	ask := func(want int) (rss int) {
		for range 100 {
			var n int
			fmt.Fprintln(in)
			out.Scan()
			if fmt.Sscan(out.Text(), &rss, &n); n == want {
				return rss
			}
			time.Sleep(50 * time.Millisecond)
		}
		b.Fatalf("%s: wanted %d sessions", out.Text(), want)
		return 0
	}

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	dial := func(n int) (conns []*ppp.Conn) {
		d := &sstp.Dialer{TLSConfig: &tls.Config{RootCAs: roots}, PPP: &ppp.Config{User: "alice", Password: "secret", Echo: -1}, Hello: time.Hour}
		var mu sync.Mutex
		work := make(chan struct{}, n)
		for range n {
			work <- struct{}{}
		}
		close(work)
		var dials sync.WaitGroup
		for range 8 {
			dials.Go(func() {
				for range work {
					c, err := d.DialContext(ctx, addr)
					if err != nil {
						b.Error(err)
						return
					}
					mu.Lock()
					conns = append(conns, c)
					mu.Unlock()
					wg.Go(func() {
						c.Serve(ctx, func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
					})
				}
			})
		}
		dials.Wait()
		return conns
	}
	dial(100) // what every process needs once
	base := ask(100)
	conns := dial(sessions)
	fresh = (ask(100+sessions) - base) / sessions
	for _, c := range conns {
		p := newFlow(c.Info().Local, serverAddr, 1400, nil).packet
		bufs := make([][]byte, 187) // 256 KiB
		for i := range bufs {
			bufs[i] = p
		}
		c.Write(bufs, 0)
	}
	time.Sleep(time.Second)
	burst = (ask(100+sessions) - base) / sessions
	return fresh, burst
}
