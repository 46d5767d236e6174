package ppp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A poolFile remembers who had which address: one line for each, "10.8.0.7/32 \"alice\"", the latest last. A line is
// appended when an address gets another user; when most lines are outdated, the file is written anew beside the old one
// and takes its place. A line that is not whole, as after a crash, is skipped.
type poolFile struct {
	lines int
	stale bool // an append failed: the next one writes the file anew
	named map[netip.Prefix]string
}

// maxPoolFile bounds what is read: more than maxFree addresses of both families with names that are not absurd.
const maxPoolFile = 16 << 20

// load reads the file and writes it anew, so that one that cannot be written is known at once.
func (f *poolFile) load(p *Pool) error {
	if p.File == "" {
		return nil
	}
	f.named = make(map[netip.Prefix]string)
	file, err := os.Open(p.File)
	if errors.Is(err, fs.ErrNotExist) {
		return f.rewrite(p)
	}
	if err != nil {
		return fmt.Errorf("ppp: address pool: %w", err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxPoolFile))
	if err != nil {
		return fmt.Errorf("ppp: address pool: %w", err)
	}
	// The latest line of an address counts; order is the order of use.
	var order []netip.Prefix
	for line := range bytes.Lines(b) {
		a, user, ok := parsePoolLine(string(line))
		if !ok {
			continue
		}
		if f.named[a] == "" {
			order = append(order, a)
		}
		f.named[a] = user
	}
	for _, a := range order {
		p.give(a, f.named[a])
	}
	return f.rewrite(p)
}

// parsePoolLine reads a line that ends; the user is a key of poolUser.
func parsePoolLine(line string) (a netip.Prefix, user string, ok bool) {
	line, whole := strings.CutSuffix(line, "\n")
	addr, quoted, _ := strings.Cut(line, " ")
	a, err := netip.ParsePrefix(addr)
	if err != nil || !whole {
		return a, "", false
	}
	user, err = strconv.Unquote(quoted)
	user = poolUser(user)
	return a, user, err == nil && user != ""
}

func appendPoolLine(b []byte, a netip.Prefix, user string) []byte {
	b = append(a.AppendTo(b), ' ')
	return append(strconv.AppendQuoteToASCII(b, user), '\n')
}

// note remembers what user was given. That it cannot be written does not refuse a session: the address is good, and the
// next note tries again.
func (f *poolFile) note(p *Pool, user string, list []netip.Prefix) {
	if p.File == "" || user == "" {
		return
	}
	var b []byte
	for _, a := range list {
		if f.named[a] != user {
			f.named[a] = user
			b = appendPoolLine(b, a, user)
			f.lines++
		}
	}
	switch {
	case b == nil && !f.stale:
	case f.stale || f.lines > 2*len(f.named)+1024:
		f.stale = f.rewrite(p) != nil
	default:
		f.stale = appendFile(p.File, b) != nil
	}
}

func appendFile(name string, b []byte) error {
	file, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(b)
	return errors.Join(err, file.Close())
}

// rewrite replaces the file by what the pool knows, those who are connected last. Who may read it sees who uses the
// service: it is its owner's alone.
func (f *poolFile) rewrite(p *Pool) (err error) {
	file, err := os.CreateTemp(filepath.Dir(p.File), filepath.Base(p.File)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("ppp: address pool: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
			err = fmt.Errorf("ppp: address pool: %w", err)
		}
	}()
	w := bufio.NewWriter(file)
	f.lines = 0
	named := make(map[netip.Prefix]string)
	var line []byte
	write := func(e *poolEntry) {
		if e.user != "" {
			named[e.prefix()] = e.user
			line = appendPoolLine(line[:0], e.prefix(), e.user)
			w.Write(line) // an error stays in w
			f.lines++
		}
	}
	for _, l := range []*lruPool{&p.v4, &p.v6} {
		if l.total == 0 {
			continue
		}
		for x := l.free.Front(); x != nil; x = x.Next() {
			write(x.Value.(*poolEntry))
		}
		for _, e := range l.entries {
			if e.used {
				write(e)
			}
		}
	}
	f.named = named
	if err = errors.Join(w.Flush(), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), p.File)
}
