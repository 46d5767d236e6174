package radius

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dialway/dialway/internal/durable"
)

// A spool is the records that no server has acknowledged, in their order. Accounting.mu guards it.
type spool struct {
	dir      string // empty: in memory
	opened   bool
	broken   error // why there is no directory, though there should be
	max      int
	seq      uint64
	queue    []*spooled
	interims map[string]*spooled // of a session, the one update that waits (RFC 2869 section 2.1)

	disk func(file string) error // durable.File; tests look on
}

// A spooled is one record. A file of a directory has it as an accounting request, unsigned.
type spooled struct {
	seq     uint64
	session string
	status  uint32
	packet  *Packet // nil: in the file
	busy    bool    // it is being sent
	gone    bool
	stale   bool // there is a newer one: it is not sent again
	synced  bool // it outlives the machine's power
	old     bool // of an earlier process
	tries   int
	next    time.Time // not before
}

// open finds what an earlier process has left. Where that fails, what was left stays as it is, and the error is returned
// each time: records are in memory alone.
func (s *spool) open(dir string, most int) error {
	if s.opened {
		return s.broken
	}
	s.opened, s.max, s.interims = true, most, make(map[string]*spooled)
	if s.disk == nil {
		s.disk = durable.File
	}
	if s.max == 0 {
		s.max = 10000
		if dir != "" {
			s.max = 100000
		}
	}
	if dir == "" {
		return nil
	}
	if err := s.load(dir); err != nil {
		s.dir, s.queue, s.seq = "", nil, 0
		clear(s.interims)
		s.broken = fmt.Errorf("radius: spool: %w", err)
	}
	return s.broken
}

// load reads a directory.
func (s *spool) load(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	s.dir = dir
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		base, unfinished := strings.CutSuffix(f.Name(), ".tmp")
		name, ok := strings.CutSuffix(base, ".rec")
		seq, err := strconv.ParseUint(name, 10, 64)
		if !ok || err != nil {
			continue
		}
		if unfinished {
			os.Remove(filepath.Join(dir, f.Name()))
			continue
		}
		r := &spooled{seq: seq, old: true, synced: true}
		p, err := s.read(r)
		switch {
		case errors.Is(err, errNotRecord):
			os.Remove(s.file(seq)) // it was being written when the machine went down, and promised to nobody
			continue
		case err != nil:
			s.opened = false // too many open files, or the like: what is there must not be passed over
			s.queue = nil
			return err
		}
		r.session = sessionOf(p)
		r.status, _ = p.uint32(AcctStatusType)
		s.queue = append(s.queue, r)
		if r.status == statusInterim {
			s.interims[r.session] = r
		}
		s.seq = max(s.seq, seq)
	}
	slices.SortFunc(s.queue, func(a, b *spooled) int { return cmp.Compare(a.seq, b.seq) })
	return nil
}

func (s *spool) file(seq uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%020d.rec", seq))
}

// sessionOf tells sessions apart: their ids are unique to an access server only.
func sessionOf(p *Packet) string {
	return p.text(NASIdentifier) + "\x00" + p.text(NASIPAddress) + "\x00" + p.text(NASIPv6Address) + "\x00" + p.text(AcctSessionID)
}

// put takes a record, in the place of an update that is older. It returns how many had to go for it, and an error where
// the record is in memory only.
func (s *spool) put(p *Packet) (dropped int, err error) {
	s.seq++
	r := &spooled{seq: s.seq, session: sessionOf(p), packet: p}
	r.status, _ = p.uint32(AcctStatusType)
	if old := s.interims[r.session]; old != nil && (r.status == statusInterim || r.status == statusStop) {
		if old.busy {
			old.stale = true
		} else {
			s.remove(old)
		}
	}
	for len(s.queue) >= s.max {
		s.remove(s.worst())
		dropped++
	}
	if s.dir != "" {
		if err = s.write(r); err == nil {
			r.packet = nil
		}
	}
	s.queue = append(s.queue, r)
	if r.status == statusInterim {
		s.interims[r.session] = r
	}
	return dropped, err
}

// accept takes a record whole, or not at all.
func (s *spool) accept(p *Packet) (*spooled, error) {
	if len(s.queue) >= s.max {
		return nil, errSpoolFull
	}
	_, err := s.put(p)
	r := s.queue[len(s.queue)-1]
	if err != nil {
		s.remove(r)
	}
	return r, err
}

// worst is the record to lose when there are too many: an update, which the next one or Stop makes up for, else the oldest.
func (s *spool) worst() *spooled {
	for _, r := range s.queue {
		if r.status == statusInterim {
			return r
		}
	}
	return s.queue[0]
}

// write puts a record in the directory, by rename: a file with a record's name is whole, unless the power fails before sync.
func (s *spool) write(r *spooled) error {
	b, err := r.packet.AppendBinary(nil)
	if err != nil {
		return err
	}
	tmp := s.file(r.seq) + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, s.file(r.seq))
}

// sync has the disk take a record. It is called without Accounting.mu: a disk takes its time.
func (s *spool) sync(r *spooled) error {
	if s.dir == "" {
		return nil
	}
	if err := s.disk(s.file(r.seq)); !errors.Is(err, fs.ErrNotExist) { // it has been sent
		return err
	}
	return nil
}

// errNotRecord is of a file that is not whole.
var errNotRecord = errors.New("radius: spool: not a record")

// read returns a record's request.
func (s *spool) read(r *spooled) (*Packet, error) {
	if r.packet != nil {
		return r.packet.clone(), nil
	}
	b, err := os.ReadFile(s.file(r.seq))
	if err != nil {
		return nil, err
	}
	p, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotRecord, err)
	}
	return p, nil
}

// remove takes a record out, which is sent or lost.
func (s *spool) remove(r *spooled) {
	if r.gone {
		return
	}
	r.gone = true
	if i := slices.Index(s.queue, r); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
	}
	if s.interims[r.session] == r {
		delete(s.interims, r.session)
	}
	if s.dir != "" {
		os.Remove(s.file(r.seq))
	}
}

// take returns records that may be sent now, so that no two of a session and at most so many are under way, and when
// there may be more; zero: nobody knows. On and Off end sessions at the server: nothing passes them, and they pass only
// what no server takes.
func (s *spool) take(now time.Time, most int) (batch []*spooled, next time.Time) {
	sessions := make(map[string]bool)
	busy := 0
	for _, r := range s.queue {
		if r.busy {
			busy++
		}
	}
	before := 0 // of what stands in front, what is under way or about to be
	for _, r := range s.queue {
		if busy+len(batch) >= most {
			break
		}
		alone := r.status == statusOn || r.status == statusOff
		waits := r.next.After(now)
		switch {
		case r.busy:
			before++
		case waits:
			if next.IsZero() || r.next.Before(next) {
				next = r.next
			}
		case !sessions[r.session] && (!alone || before == 0):
			batch = append(batch, r)
			before++
		}
		if alone {
			return batch, next
		}
		sessions[r.session] = true
	}
	return batch, next
}
