package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/radius"
	"golang.org/x/sys/unix"
)

// TestJournalOnAFullDisk: what the disk has no room for is not acknowledged to radclient, leaves no half of a line, and is
// taken when there is room again.
func TestJournalOnAFullDisk(t *testing.T) {
	t.Parallel()
	Need(t, "radclient:freeradius-utils")
	ns, dir := netns.New(t), t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	j := &radius.Journal{Name: filepath.Join(dir, "accounting.jsonl")}
	srv := &radius.Server{Clients: radius.Secrets{netip.MustParsePrefix("127.0.0.0/8"): "testing123"}.Find, Account: j.Account}
	go srv.Serve(listenUDP(t, ns, "127.0.0.1:1813"))
	t.Cleanup(func() {
		srv.Close()
		j.Close()
	})
	acknowledged := func(n int) bool {
		out, _ := Radclient(ns, "127.0.0.1:1813", "acct", "testing123", fmt.Sprintf(`User-Name = "%s", Acct-Session-Id = "s%d", Acct-Status-Type = Start`, strings.Repeat("a", 200), n))
		return strings.Contains(out, "Accounting-Response")
	}
	if !acknowledged(0) {
		t.Fatal("no answer while there is room")
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	// The page that the file has takes some more.
	last := 0
	for n := 1; acknowledged(n); n++ {
		if last = n; n > 50 {
			t.Fatal("a full disk takes everything")
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if !acknowledged(last + 1) {
		t.Error("no answer though there is room again")
	}
	b, err := os.ReadFile(j.Name)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	for n, line := range lines {
		var x struct{ Session string }
		if err := json.Unmarshal(line, &x); err != nil || x.Session != fmt.Sprintf("s%d", n) {
			t.Errorf("line %d: %v: %s", n+1, err, line)
		}
	}
	if len(lines) != last+2 {
		t.Errorf("%d lines of %d records", len(lines), last+2)
	}
}
