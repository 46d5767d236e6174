package radius

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A disk notes what it is told to take.
type disk struct {
	mu    sync.Mutex
	files []string
	err   error
}

func (d *disk) take(file string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := os.Stat(file); err != nil {
		return err
	}
	d.files = append(d.files, filepath.Base(file))
	return d.err
}

func (d *disk) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.files, " ")
}

const firstRecord = "00000000000000000001.rec"

// What Forward has taken is answered: it is on the disk before, or it is not taken.
func TestForwardedRecordIsOnTheDisk(t *testing.T) {
	dir := t.TempDir()
	var d disk
	a := &Accounting{Client: new(Client), Spool: dir, Relay: true}
	a.spool.disk = d.take
	if err := a.Forward(record(statusStart, "one")); err != nil || d.String() != firstRecord {
		t.Errorf("%v, on the disk: %s", err, d.String())
	}
	d.err = errors.New("the disk is broken")
	if err := a.Forward(record(statusStart, "two")); !errors.Is(err, d.err) || a.Pending() != 1 {
		t.Errorf("%v, %d wait", err, a.Pending())
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("%d files", len(list))
	}
}

// A record of its own is on the disk once it has to wait; one that is sent at once needs no disk.
func TestWaitingRecordIsOnTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := pair(t, &Server{})
		serve(t, &Server{Clients: anybody.Find, Account: func(context.Context, *Record) error { return nil }}, m.listen("10.0.0.5:1813"))
		var d disk
		a := &Accounting{Client: c, Spool: t.TempDir(), Relay: true}
		a.spool.disk = d.take
		stop := report(t, a)
		defer stop()
		a.put(record(statusStart, "one"))
		time.Sleep(time.Second)
		if d.String() != "" || a.Pending() != 0 {
			t.Errorf("sent, and on the disk: %s", d.String())
		}
		m.mu.Lock()
		m.pass = func(from, to netip.AddrPort, b []byte) [][]byte { return nil }
		m.mu.Unlock()
		a.put(record(statusStart, "two"))
		time.Sleep(time.Minute)
		if d.String() != "00000000000000000002.rec" || a.Pending() != 1 {
			t.Errorf("it waits, and on the disk: %s", d.String())
		}
	})
}

// Files of a spool that cannot be read now stay; those that never became a record go.
func TestSpoolOpensWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) { os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600) }
	p, _ := record(statusStart, "left").AppendBinary(nil)
	file("00000000000000000007.rec", string(p))
	file("00000000000000000008.rec", string(p[:len(p)-1]))
	file("00000000000000000009.rec", "")
	file("00000000000000000010.rec.tmp", string(p))
	file("notes", "somebody's")
	a := &Accounting{Client: new(Client), Spool: dir, Relay: true}
	if err := a.Forward(record(statusStart, "new")); err != nil || a.Pending() != 2 {
		t.Errorf("%v, %d wait", err, a.Pending())
	}
	var names []string
	list, _ := os.ReadDir(dir)
	for _, f := range list {
		names = append(names, f.Name())
	}
	if s := strings.Join(names, " "); s != "00000000000000000007.rec 00000000000000000008.rec notes" {
		t.Errorf("files: %s", s)
	}
	os.Mkdir(filepath.Join(dir, "00000000000000000009.rec"), 0o700) // it cannot be read
	a = &Accounting{Client: new(Client), Spool: dir, Relay: true}
	for range 2 {
		if err := a.Forward(record(statusStart, "newer")); err == nil {
			t.Error("taken, though the directory is not open")
		}
	}
	a.put(record(statusStart, "in memory"))
	if list, _ := os.ReadDir(dir); len(list) != 4 || a.Pending() != 1 {
		t.Errorf("%d files, %d wait", len(list), a.Pending())
	}
}
