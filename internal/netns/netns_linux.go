// Package netns makes network namespaces for tests that need root: what a test does in one is nobody else's business.
package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Require skips a test that needs root, or fails it where DIALWAY_INTEROP=require says that nothing may be skipped. Where it
// is skip, the test is skipped though it could run.
func Require(t testing.TB) {
	t.Helper()
	if os.Getenv("DIALWAY_INTEROP") == "skip" {
		t.Skip("DIALWAY_INTEROP=skip")
	}
	if os.Getuid() != 0 {
		Missing(t, "needs root, for network namespaces")
	}
	for _, need := range []string{"/dev/net/tun", "/proc/self/ns/net"} {
		if _, err := os.Stat(need); err != nil {
			Missing(t, "needs "+need)
		}
	}
	if _, err := exec.LookPath("ip"); err != nil {
		Missing(t, "needs ip, of iproute2")
	}
}

// Missing skips a test because something is not here, or fails it where DIALWAY_INTEROP=require.
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("DIALWAY_INTEROP") == "require" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// An NS is a network namespace with a loopback that is up. It ends with the test.
type NS struct {
	fd int
	tb testing.TB
}

// New makes a namespace.
func New(t testing.TB) *NS {
	t.Helper()
	Require(t)
	ns := &NS{tb: t}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		fd, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		ns.fd = fd
		return err
	})
	if errors.Is(err, unix.EPERM) {
		Missing(t, "needs CAP_SYS_ADMIN, for network namespaces")
	}
	if err != nil {
		t.Fatalf("netns: %v", err)
	}
	t.Cleanup(func() { unix.Close(ns.fd) })
	ns.Run("ip", "link", "set", "lo", "up")
	return ns
}

// onThread runs f on a thread of its own that ends with it, so that its namespace is nobody else's.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends
		err := errFailed
		defer func() { done <- err }() // also when f fails the test, which ends the goroutine
		err = f()
	}()
	return <-done
}

var errFailed = errors.New("failed")

// Do runs f in the namespace: on its thread, not on goroutines that f starts. Sockets and devices that f opens stay in
// the namespace; processes that f starts live in it.
func (n *NS) Do(f func()) {
	n.tb.Helper()
	if err := onThread(func() error {
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			return err
		}
		f()
		return nil
	}); err == errFailed {
		n.tb.FailNow()
	} else if err != nil {
		n.tb.Fatalf("netns: %v", err)
	}
}

// Run runs a command in the namespace and fails the test if it fails. It returns what it printed.
func (n *NS) Run(name string, args ...string) string {
	n.tb.Helper()
	out, err := n.Try(name, args...)
	if err != nil {
		n.tb.Fatalf("netns: %s %v: %v\n%s", name, args, err, out)
	}
	return out
}

// Try runs a command in the namespace.
func (n *NS) Try(name string, args ...string) (out string, err error) {
	n.Do(func() {
		var b []byte
		b, err = exec.Command(name, args...).CombinedOutput()
		out = string(b)
	})
	return out, err
}

// Start starts a command in the namespace.
func (n *NS) Start(cmd *exec.Cmd) (err error) {
	n.Do(func() { err = cmd.Start() })
	return err
}

// Path is a name for the namespace that other programs can open while this process lives.
func (n *NS) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.fd) }

// Join lays a cable between two namespaces: a device of a name with an address at each end.
func Join(a *NS, nameA, addrA string, b *NS, nameB, addrB string) {
	a.tb.Helper()
	a.Run("ip", "link", "add", nameA, "type", "veth", "peer", "name", nameB, "netns", b.Path())
	a.Run("ip", "addr", "add", addrA, "dev", nameA)
	a.Run("ip", "link", "set", nameA, "up")
	b.Run("ip", "addr", "add", addrB, "dev", nameB)
	b.Run("ip", "link", "set", nameB, "up")
}
