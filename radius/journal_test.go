package radius

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func lines(t *testing.T, name string) (list []map[string]any) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		m := map[string]any{}
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			t.Fatalf("%s: %v", s.Text(), err)
		}
		list = append(list, m)
	}
	return list
}

func stop(session string) *Record {
	p := record(statusStop, session)
	p.addUint32(AcctSessionTime, 3600)
	p.addUint32(AcctInputOctets, 5)
	p.addUint32(AcctInputGigawords, 1)
	p.addUint32(AcctOutputPackets, 20)
	p.addUint32(AcctTerminateCause, 1)
	p.addUint32(EventTimestamp, 1000000000)
	p.addUint32(NASPort, 7)
	p.Add(Class, []byte("ac"))
	p.Add(FramedIPAddress, []byte{10, 8, 0, 5})
	p.addText(CallingStationID, "198.51.100.7\n\"")
	p.addText(ProxyState, "x")
	return newRecord(p, netip.AddrPort{})
}

func TestJournalLine(t *testing.T) {
	j := &Journal{Name: filepath.Join(t.TempDir(), "acct")}
	defer j.Close()
	if err := j.Account(t.Context(), stop("s1")); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(j.Name)
	const want = `{"at":"2001-09-09T01:46:40Z","status":"Stop","session":"s1","user":"alice","nas":"nas","addr":"10.8.0.5","seconds":3600,` +
		`"rxBytes":4294967301,"txPackets":20,"cause":"User-Request","calling":"198.51.100.7\n\"","class":["6163"],` +
		`"other":[{"type":32,"value":"6e6173"},{"type":55,"value":"3b9aca00"},{"type":5,"value":"00000007"}]}` + "\n"
	if err != nil || string(b) != want {
		t.Errorf("%v\n%s\n%s", err, b, want)
	}
	if info, _ := os.Stat(j.Name); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// Records come from many goroutines while the file is renamed, removed and reopened: each is in one file, whole.
func TestJournalRotation(t *testing.T) {
	for _, nosync := range []bool{false, true} {
		dir := t.TempDir()
		j := &Journal{Name: filepath.Join(dir, "acct"), Mode: 0o640, NoSync: nosync}
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				for k := range 20 {
					if err := j.Account(t.Context(), stop(fmt.Sprintf("%d-%d", i, k))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			for n := range 5 {
				os.Rename(j.Name, fmt.Sprintf("%s.%d", j.Name, n))
				if n == 2 {
					if err := j.Reopen(); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(time.Millisecond)
			}
		})
		wg.Wait()
		seen := map[any]int{}
		files, _ := filepath.Glob(filepath.Join(dir, "acct*"))
		for _, f := range files {
			for _, m := range lines(t, f) {
				seen[m["session"]]++
			}
		}
		if len(seen) != 320 || len(files) < 2 {
			t.Errorf("%d sessions in %d files", len(seen), len(files))
		}
		for s, n := range seen {
			if n != 1 {
				t.Errorf("%v: %d lines", s, n)
			}
		}
		j.Close()
		if err := j.Account(t.Context(), stop("late")); !errors.Is(err, errJournalClosed) {
			t.Error(err)
		}
		if err := j.Reopen(); !errors.Is(err, errJournalClosed) {
			t.Error(err)
		}
	}
}

// What cannot be written is not acknowledged, and comes again.
func TestJournalThatCannotWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	synctest.Test(t, func(t *testing.T) {
		j := &Journal{Name: filepath.Join(dir, "acct"), NoSync: true}
		defer j.Close()
		_, c := pair(t, &Server{Account: j.Account})
		c.Targets[0].Acct = serverA
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if reply, err := c.Exchange(ctx, record(statusStart, "s1")); err == nil {
			t.Fatalf("acknowledged: %v", reply)
		}
		time.AfterFunc(5*time.Second, func() { os.Mkdir(dir, 0o700) })
		if _, err := c.Exchange(t.Context(), record(statusStart, "s1")); err != nil {
			t.Error(err)
		}
		if l := lines(t, j.Name); len(l) != 1 || l[0]["session"] != "s1" {
			t.Errorf("%v", l)
		}
	})
	if _, err := os.Stat("/dev/full"); err != nil {
		return
	}
	j := &Journal{Name: "/dev/full"}
	defer j.Close()
	if err := j.Account(t.Context(), stop("s1")); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Errorf("a full disk: %v", err)
	}
}
