package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dialway/dialway/internal/netns"
)

// A process is one end of a tunnel, or a load, in a namespace.
type process struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader // nil: what it prints is in said

	mu   sync.Mutex
	said bytes.Buffer
	over chan struct{}
}

// spawn starts a program in a namespace; it ends when the lab does. With talk its standard streams are for ask.
func (l *lab) spawn(ns *netns.NS, talk bool, name string, args ...string) *process {
	l.Helper()
	p := &process{name: name, cmd: exec.Command(name, args...), over: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C is for this program, which ends the others
	p.cmd.Stderr = p
	if talk {
		var err error
		if p.in, err = p.cmd.StdinPipe(); err != nil {
			l.Fatal(err)
		}
		r, err := p.cmd.StdoutPipe()
		if err != nil {
			l.Fatal(err)
		}
		p.out = bufio.NewReader(r)
	} else {
		p.cmd.Stdout = p
	}
	if err := ns.Start(p.cmd); err != nil {
		l.Fatalf("%s: %v", name, err)
	}
	children.add(p.cmd.Process)
	go func() {
		p.cmd.Wait()
		children.remove(p.cmd.Process)
		close(p.over)
	}()
	l.Cleanup(p.stop)
	return p
}

// self starts this program in another role.
func (l *lab) self(ns *netns.NS, role string, args ...string) *process {
	l.Helper()
	return l.role(l.dir, ns, role, args...)
}

// role starts the bench that is built into a directory in another role.
func (l *lab) role(dir string, ns *netns.NS, role string, args ...string) *process {
	l.Helper()
	p := l.spawn(ns, true, filepath.Join(dir, "bench"), append([]string{roleArg, role}, args...)...)
	p.name = role
	return p
}

// Write keeps what the program says.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// line reads a line that the process prints.
func (p *process) line() (string, error) {
	s, err := p.out.ReadString('\n')
	if err != nil {
		time.Sleep(100 * time.Millisecond) // its last words
		return "", fmt.Errorf("%s: %w\n%s", p.name, err, p.text())
	}
	return strings.TrimSpace(s), nil
}

// ready waits for the line that says so.
func (p *process) ready() error {
	s, err := p.line()
	if err == nil && s != "ready" {
		err = fmt.Errorf("%s: %q", p.name, s)
	}
	return err
}

// load has the process load its connections.
func (p *process) load(way string, streams int, d time.Duration) (n int64, took time.Duration, err error) {
	if _, err := fmt.Fprintln(p.in, way, streams, d); err != nil {
		return 0, 0, err
	}
	s, err := p.line()
	if err != nil {
		return 0, 0, err
	}
	var t string
	if _, err := fmt.Sscan(s, &n, &t); err != nil {
		return 0, 0, fmt.Errorf("%s: %q: %w", p.name, s, err)
	}
	took, err = time.ParseDuration(t)
	return n, took, err
}

// cpu is the processor time that the process has used.
func (p *process) cpu() time.Duration {
	if p == nil {
		return 0
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name may hold blanks
	var ticks int64
	for _, f := range strings.Fields(rest)[11:13] { // utime, stime
		n, _ := strconv.ParseInt(f, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ
}

// stop ends the process: politely, so that it can say goodbye, then not.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.over:
		return
	case <-time.After(2 * time.Second):
	}
	p.cmd.Process.Kill()
	<-p.over
}

// A family is the processes that run, which end with this one.
type family struct {
	mu   sync.Mutex
	list map[*os.Process]struct{}
}

var children family

func (f *family) add(p *os.Process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.list == nil {
		f.list = make(map[*os.Process]struct{})
	}
	f.list[p] = struct{}{}
}

func (f *family) remove(p *os.Process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.list, p)
}

// kill ends them all, for a program that has been told to end. No new one is added any more.
func (f *family) kill() {
	f.mu.Lock() // for good
	for p := range f.list {
		p.Kill()
	}
}
