package radius

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dialway/dialway/internal/durable"
)

// A Journal keeps accounting in a file, a line of JSON for each record; its Account is a Server's. Set Name. It must not be
// copied once it is used.
//
// Account returns nil when the line is on the disk, and an error when it is not: then the Server does not answer, and the
// access server sends the record again. What was written of such a line is taken back. Records that come together share
// one sync.
//
// A file that was renamed or removed is left, and a new one begun: rotation needs no signal, and loses nothing. A record may
// be there twice, where the answer was lost on its way and came too late for the Server's memory; Session, Status and At
// are then the same.
//
//	{"at":"2026-11-26T20:00:00Z","status":"Stop","session":"5f3a","user":"alice","nas":"vpn1","addr":"10.8.0.5","seconds":3600,
//	 "rxBytes":1000,"rxPackets":10,"txBytes":2000,"txPackets":20,"cause":"User-Request","called":"vpn.example.com",
//	 "calling":"198.51.100.7","class":["6163"],"other":[{"type":6,"value":"00000002"},{"type":26,"value":"000001372f0600000002"}]}
//
// rx is from the far side, which RADIUS calls input. Class is hexadecimal, as are the values of the attributes that have no
// field; what is empty is left out.
type Journal struct {
	Name   string      // of the file
	Mode   fs.FileMode // of files that it makes; 0 means 0600
	NoSync bool        // answers when the system has the line, before the disk has: what it loses is lost with the machine's power

	mu     sync.Mutex
	file   *journalFile
	closed bool
}

// A journalFile is one that lines are written to. Journal.mu guards it.
type journalFile struct {
	*os.File
	next  *flush // the sync that the next lines wait for; nil: none
	syncs int    // to be done, or under way
	left  bool   // the last sync closes it
}

// A flush is a sync that several records wait for.
type flush struct {
	done chan struct{}
	err  error
}

var errJournalClosed = errors.New("radius: the Journal is closed")

// Account appends a record. It fits Server.Account.
func (j *Journal) Account(ctx context.Context, r *Record) error {
	line, err := json.Marshal(entryOf(r))
	if err != nil {
		return fmt.Errorf("radius: journal: %w", err)
	}
	f, file, err := j.write(append(line, '\n'))
	if err != nil {
		return fmt.Errorf("radius: journal: %w", err)
	}
	if f == nil {
		return nil
	}
	if file != nil {
		j.sync(f, file)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if f.err != nil {
		return fmt.Errorf("radius: journal: %w", f.err)
	}
	return nil
}

// write appends a line and returns the sync to wait for, and the file if it is the caller who does it.
func (j *Journal) write(line []byte) (f *flush, lead *journalFile, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.open(); err != nil {
		return nil, nil, err
	}
	info, err := j.file.Stat()
	if err != nil {
		return nil, nil, err
	}
	if _, err := j.file.Write(line); err != nil {
		// Half a line would spoil the next one.
		return nil, nil, errors.Join(err, j.file.Truncate(info.Size()))
	}
	if j.NoSync {
		return nil, nil, nil
	}
	if j.file.next == nil {
		j.file.next = &flush{done: make(chan struct{})}
		j.file.syncs++
		lead = j.file
	}
	return j.file.next, lead, nil
}

// sync has the disk take what is written.
func (j *Journal) sync(f *flush, file *journalFile) {
	j.mu.Lock()
	file.next = nil // whoever wrote meanwhile is in this sync, whoever writes from now on in another
	j.mu.Unlock()
	f.err = file.Sync()
	close(f.done)
	j.mu.Lock()
	defer j.mu.Unlock()
	if file.syncs--; file.syncs == 0 && file.left {
		file.Close()
	}
}

// open opens the file that has the name now.
func (j *Journal) open() error {
	if j.closed {
		return errJournalClosed
	}
	if j.file != nil {
		named, err := os.Stat(j.Name)
		mine, err2 := j.file.Stat()
		if err == nil && err2 == nil && os.SameFile(named, mine) {
			return nil
		}
	}
	mode := j.Mode
	if mode == 0 {
		mode = 0o600
	}
	f, err := os.OpenFile(j.Name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, mode)
	if err != nil {
		return err // the old one, if there is one, would be read by nobody
	}
	if !j.NoSync {
		if err := durable.Dir(filepath.Dir(j.Name)); err != nil { // or lines on the disk are of a file that has no name there
			f.Close()
			return err
		}
	}
	j.leave()
	j.file = &journalFile{File: f}
	return nil
}

// leave closes the file, as soon as it is synced.
func (j *Journal) leave() {
	if f := j.file; f == nil {
		return
	} else if f.left = true; f.syncs == 0 {
		f.Close()
	}
	j.file = nil
}

// Reopen leaves the file and opens the one that has the name now, as after a signal. Account does so by itself when the
// name leads elsewhere.
func (j *Journal) Reopen() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.leave()
	return j.open()
}

// Close closes the file. Account fails from then on.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.leave()
	j.closed = true
	return nil
}

// An entry is a line.
type entry struct {
	At        time.Time  `json:"at"`
	Status    string     `json:"status,omitempty"`
	Session   string     `json:"session,omitempty"`
	User      string     `json:"user,omitempty"`
	NAS       string     `json:"nas,omitempty"`
	Addr      netip.Addr `json:"addr,omitzero"`
	Seconds   int64      `json:"seconds,omitempty"`
	RxBytes   uint64     `json:"rxBytes,omitempty"`
	RxPackets uint64     `json:"rxPackets,omitempty"`
	TxBytes   uint64     `json:"txBytes,omitempty"`
	TxPackets uint64     `json:"txPackets,omitempty"`
	Cause     string     `json:"cause,omitempty"`
	Called    string     `json:"called,omitempty"`
	Calling   string     `json:"calling,omitempty"`
	Class     []string   `json:"class,omitempty"`
	Other     []other    `json:"other,omitempty"`
}

type other struct {
	Type  Attr   `json:"type"`
	Value string `json:"value"`
}

func entryOf(r *Record) *entry {
	e := &entry{
		At: r.At.UTC(), Status: r.Status, Session: r.Session, User: r.User, NAS: r.NAS, Addr: r.Addr, Seconds: int64(r.Time / time.Second),
		RxBytes: r.Stats.RxBytes, RxPackets: r.Stats.RxPackets, TxBytes: r.Stats.TxBytes, TxPackets: r.Stats.TxPackets,
	}
	if r.Cause != 0 {
		e.Cause = r.Cause.String()
	}
	if r.Packet == nil {
		return e
	}
	e.Called, e.Calling = r.Packet.text(CalledStationID), r.Packet.text(CallingStationID)
	for a, v := range r.Packet.All() {
		switch a {
		case AcctStatusType, AcctSessionID, UserName, AcctSessionTime, AcctInputOctets, AcctOutputOctets, AcctInputPackets, AcctOutputPackets,
			AcctInputGigawords, AcctOutputGigawords, AcctTerminateCause, CalledStationID, CallingStationID, FramedIPAddress, MessageAuthenticator, ProxyState:
		case Class:
			e.Class = append(e.Class, hex.EncodeToString(v))
		default:
			e.Other = append(e.Other, other{a, hex.EncodeToString(v)})
		}
	}
	return e
}
