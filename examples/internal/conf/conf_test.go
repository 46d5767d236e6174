package conf

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/ppp"
)

func parse(t testing.TB, text string) (*Table, error) {
	file := filepath.Join(t.TempDir(), "x.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Read(file)
}

func TestValues(t *testing.T) {
	x, err := parse(t, `text = "a"
truth = true
number = 7
list = ["a", "b"]
one = "a"
time = "5m"
never = "never"
prefixes = ["10.0.0.0/8", "10.0.0.7"]
auth = ["EAP", "mschapv2", "CHAP-MD5", "pap"]
name = "file"
absolute = "/file"
filter = { only = ["tcp"] }
[[sub]]
[[sub.sub]]
key = 1
`)
	if err != nil {
		t.Fatal(err)
	}
	prefixes, auth := List(x, "prefixes", Prefix), List(x, "auth", Auth)
	if x.Str("text", "") != "a" || !x.Bool("truth", false) || x.Number("number", 1, 9) != 7 || len(x.Texts("list")) != 2 || len(x.Texts("one")) != 1 ||
		x.Duration("time", "") != 5*time.Minute || x.Duration("never", "never") != -1 || x.Str("none", "else") != "else" ||
		prefixes[1] != netip.MustParsePrefix("10.0.0.7/32") || !slices.Equal(auth, []ppp.AuthProtocol{ppp.EAP, ppp.MSCHAPv2, ppp.CHAP, ppp.PAP}) ||
		x.Name(x.Str("name", "")) == "file" || x.Name(x.Str("absolute", "")) != "/file" {
		t.Error("a value is another")
	}
	f := x.Sub("filter")
	if got := f.Filter(x, "filter"); got == nil || len(got.Rules) != 1 || got.Except {
		t.Errorf("%+v", got)
	}
	sub := x.Tables("sub")[0].Tables("sub")[0]
	sub.Bad("key", "is wrong")
	sub.Bad("key", "is wrong") // once is enough
	sub.Rest()
	x.Rest()
	if err := x.Err(); err == nil || !strings.HasSuffix(err.Error(), "x.toml:15: key: is wrong\n"+strings.Split(err.Error(), "\n")[1]) || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("%v", err)
	}
}

func TestWhatIsNoTOML(t *testing.T) {
	if _, err := parse(t, "a = 1\nb = [\n"); !errors.As(err, new(Problems)) || !strings.Contains(err.Error(), "x.toml:") {
		t.Error(err)
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A line is found for whatever there is, or a line of what it stands in.
func FuzzKeyLines(f *testing.F) {
	f.Add("[[a]]\n[[a.b]]\nc = 1\n[d]\n\"e\" = 2\n[[a]]\n", "a.0.b.0.c")
	f.Add("x", "")
	f.Fuzz(func(t *testing.T, text, path string) {
		s := &Source{file: "x", lines: keyLines(text)}
		if n := s.at(path); n < 0 || n > strings.Count(text, "\n")+1 {
			t.Errorf("%q is on line %d", path, n)
		}
		s.Bad(path, "wrong")
		if s.Err() == nil {
			t.Error("nothing is wrong")
		}
	})
}
