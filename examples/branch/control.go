package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/dialway/dialway/demanddial"
)

// The control socket takes one command a connection, in a line, and answers with "ok" or "error: why" in the first line
// and text in those that follow.

const (
	commandTime = 10 * time.Second // to send a command
	connectTime = 2 * time.Minute
)

// listenControl makes the socket. Who may open it may do what this program may: it is its user's alone, from the moment
// at which it has its name.
func listenControl(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("control socket %s: another program listens there", path)
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".control") // mode 0700
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s")})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(filepath.Join(dir, "s"), 0o600)
	if err == nil {
		err = os.Rename(filepath.Join(dir, "s"), path)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return controlSocket{l, path}, nil
}

// A controlSocket takes its name away when it is closed.
type controlSocket struct {
	*net.UnixListener
	path string
}

func (c controlSocket) Close() error {
	os.Remove(c.path)
	return c.UnixListener.Close()
}

// serveControl answers until ctx ends.
func (s *site) serveControl(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("control socket: %w", err)
		}
		all.Go(func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(commandTime))
			line, err := bufio.NewReader(io.LimitReader(c, 1024)).ReadString('\n')
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(connectTime + commandTime))
			text, err := s.command(ctx, line)
			if err != nil {
				fmt.Fprintf(c, "error: %v\n", err)
				return
			}
			fmt.Fprintf(c, "ok\n%s", text)
		})
	}
}

const commands = "list, connect NAME, disconnect NAME, redial NAME, enable NAME, disable NAME, explain ADDRESS[:PORT], pause, resume"

// command does what a line says.
func (s *site) command(ctx context.Context, line string) (text string, err error) {
	verb, name, _ := strings.Cut(strings.TrimSpace(line), " ")
	name = strings.TrimSpace(name) // which may have spaces
	switch verb {
	case "list", "pause", "resume":
		if name != "" {
			return "", fmt.Errorf("%s takes no name", verb)
		}
		if verb == "list" {
			return s.list(), nil
		}
		s.set.Pause(verb == "pause")
		return "", nil
	case "connect", "disconnect", "redial", "enable", "disable", "explain":
		if name == "" {
			return "", fmt.Errorf("%s what? want one of: %s", verb, commands)
		}
	default:
		return "", errors.New("want one of: " + commands)
	}
	if verb == "explain" {
		return explain(s.set, s.addr, name)
	}
	i := s.set.Find(name)
	if i == nil {
		return "", fmt.Errorf("there is no interface %s", name)
	}
	switch verb {
	case "connect":
		ctx, cancel := context.WithTimeout(ctx, connectTime)
		defer cancel()
		if err := i.Connect(ctx); err != nil {
			return "", err
		}
		if over := i.Status().ByHand; over != 0 {
			return fmt.Sprintf("%s is connected, although: %v\n", i.Name, over), nil
		}
		return i.Name + " is connected\n", nil
	case "disconnect":
		i.Disconnect()
	case "redial":
		i.Redial()
	case "enable", "disable":
		i.Enable(verb == "enable")
	}
	return "", nil
}

// list tells of all interfaces and clients.
func (s *site) list() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "INTERFACE\tSTATE\tSINCE\tADDRESS\tCALL\tIN\tOUT\tWHY")
	for i := range s.set.All() {
		st := i.Status()
		fmt.Fprintf(w, "%s\t%v\t%s\t%v\t%s\t%d\t%d\t%s\n", i.Name, st.State, since(st.Since), i.Addrs(), call(st), st.RxPackets, st.TxPackets, why(st))
	}
	for c := range s.sessions.All() {
		if i := c.Info(); s.set.Match(i.User) == nil {
			st := c.Stats()
			fmt.Fprintf(w, "client %s\t%v\t%s\t[%v]\tanswered\t%d\t%d\t\n", i.User, demanddial.Up, since(i.Opened), i.Peer, st.RxPackets, st.TxPackets)
		}
	}
	w.Flush()
	return b.String()
}

// call tells who called whom.
func call(st demanddial.Status) string {
	switch {
	case st.State != demanddial.Up:
		return "-"
	case st.Peer == "":
		return "answered"
	}
	return "dialled " + st.Peer
}

func since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("2006-01-02 15:04:05")
}

// why tells what an interface is waiting for.
func why(st demanddial.Status) string {
	var parts []string
	if st.State == demanddial.Unreachable {
		parts = append(parts, st.Reasons.String())
	}
	if st.Err != nil && st.State != demanddial.Up {
		parts = append(parts, "last: "+strings.ReplaceAll(st.Err.Error(), "\n", "; "))
	}
	if !st.Next.IsZero() {
		parts = append(parts, "next "+since(st.Next))
	}
	return strings.Join(parts, "; ")
}

// ask sends a command to a program that runs, and returns its answer.
func ask(path string, words []string) (string, error) {
	c, err := net.Dial("unix", path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("%w (it is for the user that runs branch)", err)
	case err != nil:
		return "", fmt.Errorf("%w (branch does not run, or has another control socket)", err)
	}
	defer c.Close()
	if _, err := fmt.Fprintln(c, strings.Join(words, " ")); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	if err != nil {
		return "", err
	}
	first, rest, _ := strings.Cut(string(b), "\n")
	if first != "ok" {
		if first == "" {
			first = "no answer"
		}
		return "", errors.New(strings.TrimPrefix(first, "error: "))
	}
	return rest, nil
}
