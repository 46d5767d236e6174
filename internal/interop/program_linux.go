package interop

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
)

var builds sync.Map // name -> func() (string, error)

// Build builds one of the examples of this tree, once for all tests, and returns the program's path.
func Build(t testing.TB, name string) string {
	t.Helper()
	f, _ := builds.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "interop")
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, name)
		out, err := exec.Command("go", "build", "-o", path, "github.com/dialway/dialway/examples/"+name).CombinedOutput()
		if err != nil {
			return string(out), err
		}
		return path, nil
	}))
	path, err := f.(func() (string, error))()
	if err != nil {
		t.Fatalf("interop: build %s: %v\n%s", name, err, path)
	}
	return path
}

// A Program runs in a namespace, and keeps what it prints. It ends with the test.
type Program struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

// StartProgram starts an example in ns.
func StartProgram(t testing.TB, ns *netns.NS, name string, args ...string) *Program {
	t.Helper()
	return startCommand(t, ns, name, exec.Command(Build(t, name), args...))
}

// startCommand starts any command in ns.
func startCommand(t testing.TB, ns *netns.NS, name string, cmd *exec.Cmd) *Program {
	t.Helper()
	p := &Program{t: t, name: name, cmd: cmd, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := ns.Start(p.cmd); err != nil {
		t.Fatalf("interop: start %s: %v", name, err)
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("--- %s\n%s", name, last(p.Output(), 6000))
		}
	})
	return p
}

// Write takes what the program prints.
func (p *Program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// Output is what the program has printed.
func (p *Program) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// Await waits until the program has printed text, n times in all, and fails the test if it does not.
func (p *Program) Await(timeout time.Duration, text string, n int) {
	p.t.Helper()
	for end := time.Now().Add(timeout); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if strings.Count(p.Output(), text) >= n {
			return
		}
	}
	p.t.Fatalf("interop: %s did not print %q within %v:\n%s", p.name, text, timeout, last(p.Output(), 3000))
}

// Signal sends a signal.
func (p *Program) Signal(s syscall.Signal) { p.cmd.Process.Signal(s) }

// Kill ends the program at once, as kill -9 does.
func (p *Program) Kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// Stop ends the program in good order and returns its status; what does not end within 15 s is killed.
func (p *Program) Stop() int {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		p.t.Errorf("interop: %s did not end within 15 s of SIGTERM", p.name)
		p.Kill()
	}
	return p.cmd.ProcessState.ExitCode()
}
