package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/bench/emu"
	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/tunnel/tun"
)

// A lab is two network namespaces and what joins them. It is the testing.TB of package netns: what fails in it ends it, by
// a panic that runLab catches.
type lab struct {
	testing.TB
	dir      string // of certificates and programs
	client   *netns.NS
	server   *netns.NS
	line     *emu.Line // nil: veth
	cleanups []func()
}

// A failure is a lab's end.
type failure struct{ error }

func (l *lab) Helper()                   {}
func (l *lab) Cleanup(f func())          { l.cleanups = append(l.cleanups, f) }
func (l *lab) Fatal(args ...any)         { panic(failure{fmt.Errorf("%s", fmt.Sprint(args...))}) }
func (l *lab) Fatalf(s string, a ...any) { panic(failure{fmt.Errorf(s, a...)}) }
func (l *lab) FailNow()                  { l.Fatal("failed") }
func (l *lab) Skip(args ...any)          { l.Fatal(args...) }

// close undoes what was done, last first.
func (l *lab) close() {
	for _, f := range slices.Backward(l.cleanups) {
		f()
	}
	l.cleanups = nil
}

// attempt turns a failure inside f into an error.
func attempt(f func()) (err error) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case failure:
			err = e.error
		default:
			panic(e)
		}
	}()
	f()
	return nil
}

const (
	outerClient = "10.77.0.1"
	outerServer = "10.77.0.2"
)

// newLab makes two namespaces whose connections have a congestion control, joined by a wire.
func newLab(dir string, w wire, control string) *lab {
	l := &lab{dir: dir}
	l.client, l.server = netns.New(l), netns.New(l)
	for _, ns := range []*netns.NS{l.client, l.server} {
		var err error
		ns.Do(func() { err = os.WriteFile(sysctl+"tcp_congestion_control", []byte(control), 0o644) })
		if err != nil {
			l.Fatalf("congestion control %s: %v", control, err)
		}
	}
	if w.line == nil {
		netns.Join(l.client, "wire0", outerClient+"/24", l.server, "wire0", outerServer+"/24")
		return l
	}
	// Without offload, so that a packet of the line is a packet.
	var ends [2]*tun.Device
	for i, ns := range []*netns.NS{l.client, l.server} {
		var err error
		ns.Do(func() { ends[i], err = tun.Open(tun.Config{Name: "wire0", MTU: 1500, NoOffload: true}) })
		if err != nil {
			l.Fatal(err)
		}
		ns.Run("ip", "addr", "add", []string{outerClient, outerServer}[i]+"/24", "dev", "wire0")
	}
	l.line = emu.Join(ends[0], ends[1], *w.line)
	l.Cleanup(l.line.Close)
	return l
}

// reach waits until an address answers from the client's side.
func (l *lab) reach(addr string, ends ...*process) {
	l.Helper()
	for range 50 {
		if _, err := l.client.Try("ping", "-n", "-c", "1", "-W", "1", addr); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	var said strings.Builder
	for _, p := range ends {
		fmt.Fprintf(&said, "\n%s: %s", p.name, p.text())
	}
	l.Fatalf("%s does not answer%s", addr, said.String())
}

const sysctl = "/proc/sys/net/ipv4/"

// allowControls lets namespaces have any congestion control that the system has; the func it returns takes that back.
func allowControls() (restore func(), err error) {
	const allowed = sysctl + "tcp_allowed_congestion_control"
	was, err := os.ReadFile(allowed)
	if err != nil {
		return nil, err
	}
	all, err := os.ReadFile(sysctl + "tcp_available_congestion_control")
	if err != nil {
		return nil, err
	}
	return func() { os.WriteFile(allowed, was, 0o644) }, os.WriteFile(allowed, all, 0o644)
}
