package access

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/ppp"
)

const sample = `# accounts
{"user":"alice","secret":"clear:secret","groups":["staff"],"hours":"Mon-Fri 08:00-18:00 UTC","addr":"10.8.0.9","sessionTimeout":"8h"}

{"user":"DD_NewYork","secret":"nt:8846f7eaee8fb117ad06bdd830b7586c","dialin":"allow","prefixes":["172.16.2.0/24"],"callerID":["192.0.2.0/24"]}
`

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "accounts")
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFile(t *testing.T) {
	name := write(t, sample, 0o600)
	f, err := OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := f.Account(t.Context(), "ALICE")
	if a == nil || a.Grant.Addr != netip.MustParseAddr("10.8.0.9") || a.Grant.SessionTimeout != 8*time.Hour ||
		a.Hours(time.Date(2026, 1, 3, 12, 0, 0, 0, time.UTC)) || !a.Hours(time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)) {
		t.Fatalf("%+v", a)
	}
	if err := f.SetSecret(t.Context(), "alice", ClearSecret("new")); err != nil {
		t.Fatal(err)
	}
	again, err := OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var users []string
	for x := range again.All() {
		y, _ := f.Account(t.Context(), x.User)
		rx, ry := toRecord(x), toRecord(y)
		if !reflect.DeepEqual(rx, ry) {
			t.Errorf("%+v\n%+v", rx, ry)
		}
		users = append(users, x.User)
	}
	if strings.Join(users, " ") != "alice DD_NewYork" {
		t.Error(users)
	}
	if info, _ := os.Stat(name); info.Mode().Perm() != 0o600 {
		t.Errorf("saved with mode %v", info.Mode())
	}
	// A bad file keeps what was there.
	if err := os.WriteFile(name, []byte(`{"user":"bob","secret":"nonsense"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := again.Reload(); !errors.Is(err, ErrSecretForm) {
		t.Error(err)
	}
	if a, _ := again.Account(t.Context(), "alice"); a == nil || a.Secret != ClearSecret("new") {
		t.Error("a bad file has replaced the accounts")
	}
}

func TestFileThatOthersCanRead(t *testing.T) {
	if _, err := OpenFile(write(t, sample, 0o644)); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Error(err)
	}
}

func TestFileNamesEveryBadLine(t *testing.T) {
	_, err := OpenFile(write(t, `{"user":"a","secret":"x"}
{"user":""}
{"usr":"b"}
{"user":"c","dialin":"maybe","hours":"Mon 99:00-18:00","idleTimeout":"soon","addr":"::1"}
{"user":"d"} {"user":"e"}
{"user":"f"}
{"user":"F"}
`, 0o600))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"line 1:", "line 2: no user", "line 3:", "line 4:", "maybe", "soon", "::1", "99:00", "line 5:", "line 7: F stands in line 6"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "line 6:") {
		t.Error(err)
	}
}

// A change that cannot be stored has not happened.
func TestSecretThatCannotBeSaved(t *testing.T) {
	name := write(t, sample, 0o600)
	f, err := OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f.name = filepath.Join(filepath.Dir(name), "gone", "accounts")
	if err := f.SetSecret(t.Context(), "alice", ClearSecret("new")); err == nil {
		t.Fatal("no error")
	}
	if a, _ := f.Account(t.Context(), "alice"); a.Secret != ClearSecret("secret") {
		t.Error("changed in memory only")
	}
}

func FuzzAccounts(f *testing.F) {
	f.Add([]byte(sample))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseAccounts(b)
		if err != nil {
			return
		}
		for _, a := range list {
			if err := CheckForm(a.Secret); err != nil || a.User == "" {
				t.Errorf("%+v", a)
			}
			checkSecretOfFuzz(a.Secret)
		}
	})
}

// checkSecretOfFuzz: no secret that a file may hold makes a check panic; slow ones would only take long.
func checkSecretOfFuzz(s ppp.Secret) {
	if !slow(s) {
		checkSecret(&ppp.AuthRequest{Protocol: ppp.PAP, Password: "x"}, s)
	}
}
