package ppp

import (
	"bufio"
	"container/list"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dialway/dialway/internal/durable"
)

// A poolFile remembers who had which address, and whether he has it: one line for each change, the latest last. " +" says
// that the address was given, none that it came back.
//
//	10.8.0.7/32 "alice" +
//	10.8.0.7/32 "alice"
//
// A change is a line appended by one write: a process that is killed loses none. When most lines are outdated the file is
// written anew beside the old one, synced, and takes its place. A line that is not whole, as after a crash of the machine,
// is skipped; then there is no session either that could have had the address. The first line says which process has the
// file: one that finds another in the place of itself has a successor, and writes no more.
type poolFile struct {
	owner   string // the first line
	lines   int
	stale   bool // an append failed: the next one writes the file anew
	taken   bool
	unsaved uint64
}

var errPoolTaken = errors.New("another process has the file by now")

const (
	maxPoolFile    = 256 << 20 // bytes that are read: many times what is ever written
	maxPoolLine    = 4 << 10   // a name of maxPoolUser bytes, each of them escaped, fits
	maxPoolRecords = 1 << 19   // addresses that are remembered while the file is read
	restartRest    = 30 * time.Second
)

// A poolRecord is what a file says of an address.
type poolRecord struct {
	addr netip.Prefix
	user string
	used bool
	line int // the last that says so
}

// load reads the file and writes it anew, so that one that cannot be written is known at once.
func (f *poolFile) load(p *Pool) error {
	if p.File == "" {
		return nil
	}
	file, err := os.Open(p.File)
	if errors.Is(err, fs.ErrNotExist) {
		return f.rewrite(p)
	}
	if err != nil {
		return fmt.Errorf("ppp: address pool: %w", err)
	}
	defer file.Close()
	if fi, err := file.Stat(); err == nil && fi.Size() > maxPoolFile {
		return fmt.Errorf("ppp: address pool: %s has %d bytes, and is no state file of a pool (remove it to go on without)", p.File, fi.Size())
	}
	records, err := readPool(io.LimitReader(file, maxPoolFile))
	if err != nil {
		return fmt.Errorf("ppp: address pool: %w", err)
	}
	// Whoever was connected when the last process ended may still be, for the moments that it takes to end.
	until := time.Now().Add(max(restartRest-p.Rest, 0))
	for _, r := range records {
		for _, l := range p.kinds() {
			if r.used {
				l.restore(r.addr, r.user, until)
			} else {
				l.restore(r.addr, r.user, time.Time{})
			}
		}
	}
	return f.rewrite(p)
}

// readPool returns what the lines say in the end, the latest last.
func readPool(from io.Reader) ([]poolRecord, error) {
	records := make(map[netip.Prefix]poolRecord)
	r := bufio.NewReaderSize(from, maxPoolLine)
	for n := 0; ; n++ {
		line, err := r.ReadSlice('\n')
		whole := true
		for errors.Is(err, bufio.ErrBufferFull) { // nobody's line
			whole = false
			_, err = r.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if a, user, used, ok := parsePoolLine(string(line)); ok && whole {
			_, known := records[a]
			switch {
			case user == "" && !used:
				delete(records, a) // nobody had it
			case known || len(records) < maxPoolRecords:
				records[a] = poolRecord{a, user, used, n}
			}
		}
		if err != nil {
			break
		}
	}
	list := make([]poolRecord, 0, len(records))
	for _, r := range records {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b poolRecord) int { return a.line - b.line })
	return list, nil
}

// parsePoolLine reads a line that ends; the user is a key of poolUser.
func parsePoolLine(line string) (a netip.Prefix, user string, used, ok bool) {
	line, whole := strings.CutSuffix(line, "\n")
	line, used = strings.CutSuffix(line, " +")
	addr, quoted, _ := strings.Cut(line, " ")
	a, err := netip.ParsePrefix(addr)
	if err != nil || !whole {
		return a, "", false, false
	}
	user, err = strconv.Unquote(quoted)
	return a, poolUser(user), used, err == nil
}

func appendPoolLine(b []byte, a netip.Prefix, user string, used bool) []byte {
	b = append(a.AppendTo(b), ' ')
	b = strconv.AppendQuoteToASCII(b, user)
	if used {
		b = append(b, " +"...)
	}
	return append(b, '\n')
}

// note remembers what was given or came back. That it cannot be written does not refuse a session: the address is good,
// and the next note tries again.
func (f *poolFile) note(p *Pool, list []*poolEntry, used bool) {
	if p.File == "" || f.taken {
		return
	}
	var b []byte
	for _, e := range list {
		if !e.fixed { // nobody else gets it anyway
			b = appendPoolLine(b, e.prefix(), e.user, used)
			f.lines++
		}
	}
	if b == nil {
		return
	}
	known := 0
	for _, l := range p.kinds() {
		known += len(l.entries)
	}
	err := f.append(p.File, b, f.stale || f.lines > 2*known+1024)
	switch {
	case errors.Is(err, errPoolTaken):
		f.taken = true
	case err != nil || f.stale || f.lines > 2*known+1024:
		err = f.rewrite(p)
	}
	if f.stale = err != nil; f.stale {
		f.unsaved++
	}
}

// append appends to the file, unless that is another process's by now, or is to be written anew.
func (f *poolFile) append(name string, b []byte, anew bool) error {
	file, err := os.OpenFile(name, os.O_APPEND|os.O_RDWR, 0)
	if err != nil {
		return err
	}
	first := make([]byte, len(f.owner))
	if _, err = file.ReadAt(first, 0); err == nil && string(first) != f.owner {
		err = errPoolTaken
	}
	if err == nil && !anew {
		_, err = file.Write(b)
	}
	return errors.Join(err, file.Close())
}

// rewrite replaces the file by what the pool knows, those who are connected last. Who may read it sees who uses the
// service: it is its owner's alone.
func (f *poolFile) rewrite(p *Pool) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("ppp: address pool: %w", err)
		}
	}()
	if f.owner == "" {
		f.owner = "process " + rand.Text() + "\n"
	}
	f.lines = 0
	return durable.Replace(p.File, func(file io.Writer) error {
		w := bufio.NewWriter(file)
		w.WriteString(f.owner)
		f.write(w, p)
		return w.Flush()
	})
}

// write writes all that is known; an error stays in w.
func (f *poolFile) write(w *bufio.Writer, p *Pool) {
	now := time.Now()
	var line []byte
	put := func(e *poolEntry) {
		if used := e.users > 0 || now.Before(e.since); !e.fixed && (used || e.user != "") {
			line = appendPoolLine(line[:0], e.prefix(), e.user, used)
			w.Write(line)
			f.lines++
		}
	}
	each := func(x *list.List) {
		for x := x.Front(); x != nil; x = x.Next() {
			put(x.Value.(*poolEntry))
		}
	}
	for _, l := range p.kinds() {
		if l.entries == nil {
			continue
		}
		for _, x := range l.lists() {
			each(x)
		}
		for _, e := range l.entries {
			if e.users > 0 {
				put(e)
			}
		}
	}
}
