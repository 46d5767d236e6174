package dhcpinform

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"github.com/dialway/dialway/internal/durable"
)

// A leaseFile remembers leases, one JSON object a line. It is written anew, beside the old one, which it then replaces, a
// second after a change at the latest. The first line says which process has it.
type leaseFile struct {
	owner   string
	dirty   bool
	written time.Time
	until   time.Time // until then what was in use is kept
	taken   bool
}

const (
	maxLeaseFile  = 16 << 20
	leaseFileWait = time.Second
	keptTime      = 30 * time.Second
)

// A leaseRecord is a line.
type leaseRecord struct {
	Slot   int            `json:"slot"`
	Addr   netip.Addr     `json:"addr"`
	Server netip.Addr     `json:"server"`
	From   netip.AddrPort `json:"from"`
	Ends   time.Time      `json:"ends"` // zero: never
	User   string         `json:"user,omitempty"`
	Used   bool           `json:"used,omitempty"`
}

// load reads the file, and sees whether it can be written.
func (f *leaseFile) load(p *LeasePool) error {
	if p.File == "" {
		return nil
	}
	now := time.Now()
	file, err := os.Open(p.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("dhcpinform: %w", err)
	}
	if err == nil {
		defer file.Close()
		if fi, err := file.Stat(); err == nil && fi.Size() > maxLeaseFile {
			return fmt.Errorf("dhcpinform: %s has %d bytes, and is no state file of a pool of leases (remove it to go on without)", p.File, fi.Size())
		}
		f.until = now.Add(keptTime)
		for r := range leaseRecords(io.LimitReader(file, maxLeaseFile)) {
			f.restore(p, r, now)
		}
	}
	return f.write(p, now)
}

// leaseRecords reads lines, and skips those that make no sense.
func leaseRecords(r io.Reader) func(yield func(leaseRecord) bool) {
	return func(yield func(leaseRecord) bool) {
		s := bufio.NewScanner(r)
		s.Buffer(make([]byte, 4<<10), 64<<10)
		for s.Scan() {
			var x leaseRecord
			if json.Unmarshal(s.Bytes(), &x) == nil && !yield(x) {
				return
			}
		}
	}
}

// restore makes a lease of a record, whose server is asked whether it still is one.
func (f *leaseFile) restore(p *LeasePool, r leaseRecord, now time.Time) {
	if r.Slot < 0 || r.Slot >= p.max() || !isHostAddr(r.Addr) || !r.Server.Is4() || p.byAddr[r.Addr] != nil ||
		r.Slot < len(p.slots) && p.slots[r.Slot] != nil || !r.Ends.IsZero() && !r.Ends.After(now) {
		return
	}
	l := p.enter(r.Slot, leaseRebooting)
	l.addr, l.server, l.ends, l.user, l.kept = r.Addr, r.Server, r.Ends, r.User, r.Used
	if r.From.Addr().Is4() {
		l.to = r.From
	}
	if l.ends.IsZero() {
		l.ends = now.Add(time.Hour) // it has no end, but should no server remember it, this has
	}
	p.byAddr[l.addr] = l
}

// keeps reports whether l is still kept for who had it when an earlier process ended.
func (f *leaseFile) keeps(l *lease, now time.Time) bool { return l.kept && now.Before(f.until) }

func (f *leaseFile) keeping(p *LeasePool, now time.Time) bool {
	if !now.Before(f.until) {
		return false
	}
	for _, l := range p.slots {
		if l != nil && l.kept {
			return true
		}
	}
	return false
}

// turn hands out what is no longer kept, and writes.
func (f *leaseFile) turn(p *LeasePool, now time.Time) {
	if !f.until.IsZero() && !now.Before(f.until) {
		f.until = time.Time{}
		for _, l := range p.slots {
			if l == nil || !l.kept {
				continue
			}
			l.kept = false
			if _, used := p.used[l.addr]; l.holds() && !used && l.place == nil {
				p.hand(l)
			}
		}
	}
	if f.dirty && p.File != "" && now.Sub(f.written) >= leaseFileWait {
		if err := f.write(p, now); err != nil {
			p.counts.Unsaved++
			p.log().Warn("leases not saved", "err", err)
		}
	}
}

// next is how long there is nothing to do for turn.
func (f *leaseFile) next(p *LeasePool, now time.Time) time.Duration {
	next := time.Hour
	if !f.until.IsZero() {
		next = min(next, f.until.Sub(now))
	}
	if f.dirty && p.File != "" && !f.taken {
		next = min(next, max(leaseFileWait-now.Sub(f.written), 0))
	}
	return next
}

// isTaken reports whether another process has the file by now.
func (f *leaseFile) isTaken(p *LeasePool) bool {
	if p.File == "" || f.owner == "" || f.taken {
		return f.taken
	}
	file, err := os.Open(p.File)
	if err != nil {
		return false
	}
	defer file.Close()
	first := make([]byte, len(f.owner))
	_, err = file.ReadAt(first, 0)
	f.taken = err == nil && string(first) != f.owner
	return f.taken
}

// write replaces the file.
func (f *leaseFile) write(p *LeasePool, now time.Time) (err error) {
	f.dirty, f.written = false, now
	if p.File == "" || f.isTaken(p) {
		return nil
	}
	if f.owner == "" {
		f.owner = fmt.Sprintf("{\"process\":%q}\n", rand.Text())
	}
	err = durable.Replace(p.File, func(file io.Writer) error {
		w := bufio.NewWriter(file)
		w.WriteString(f.owner)
		enc := json.NewEncoder(w)
		for _, l := range p.slots {
			if l == nil || !l.holds() && l.state != leaseRebooting {
				continue
			}
			_, used := p.used[l.addr]
			enc.Encode(leaseRecord{l.slot, l.addr, l.server, l.to, l.ends, l.user, used || f.keeps(l, now)}) // an error stays in w
		}
		return w.Flush()
	})
	if err != nil {
		f.dirty = true
		return fmt.Errorf("dhcpinform: %w", err)
	}
	return nil
}
