package layers

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/tunnel"
)

// A session is a Link, though ppp does not know the word.
var _ tunnel.Link = (*ppp.Conn)(nil)

// A pkg is what go list tells.
type pkg struct {
	ImportPath, Dir, Name   string
	GoFiles, IgnoredGoFiles []string
	Deps                    []string
}

// list runs go list, once, over every module of the workspace.
var list = sync.OnceValues(func() ([]pkg, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			return nil, errors.New("no go.work above the test")
		}
		dir = filepath.Dir(dir)
	}
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Name,GoFiles,IgnoredGoFiles,Deps", "work")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 5 {
		t.Fatalf("go list found %d packages", len(all))
	}
	return all
}

// imports returns what p imports on any system, without its tests.
func imports(t *testing.T, p pkg) []string {
	t.Helper()
	var all []string
	for _, name := range slices.Concat(p.GoFiles, p.IgnoredGoFiles) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, path)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestNoPackageImportsWhatItMayNot(t *testing.T) {
	for _, p := range packages(t) {
		name, ok := relative(p.ImportPath)
		if !ok {
			t.Errorf("%s is in the workspace", p.ImportPath)
			continue
		}
		for _, imp := range append(imports(t, p), "errors") { // at least one, so that each package needs a rule
			if wrong := allowed(name, imp); wrong != "" {
				t.Errorf("%s %s", name, wrong)
			}
		}
		for _, never := range lean[name] {
			for _, d := range p.Deps {
				if d == strings.TrimSuffix(never, "/") || strings.HasPrefix(d, strings.TrimSuffix(never, "/")+"/") {
					t.Errorf("%s links %s", name, d)
				}
			}
		}
	}
}

// TestRulesForbid shows that the rules have teeth: each edge here is one that the design forbids.
func TestRulesForbid(t *testing.T) {
	for _, e := range [][2]string{
		{"ppp", root + "/tunnel"}, {"sstp", root + "/tunnel"}, {"tunnel", root + "/ppp"}, {"ppp", root + "/sstp"}, {"sstp", root + "/radius"},
		{"ppp/eap", root + "/ppp/access"}, {"tunnel/tun", root + "/tunnel/netstack"}, {"tunnel/netstack", root + "/tunnel/tun"},
		{"demanddial", root + "/ppp"}, {"dhcpinform", root + "/ppp"}, {"radius", root + "/sstp"}, {"internal/packet", root + "/tunnel"},
		{"internal/memnet", root + "/ppp"}, {"sstp", root + "/internal/memnet"}, {"tunnel", root}, {"ppp", "github.com/gaissmai/bart"},
		{"tunnel", "gvisor.dev/gvisor/pkg/tcpip"}, {"radius", "github.com/layeh/other"}, {"nowhere", "errors"},
	} {
		if allowed(e[0], e[1]) == "" {
			t.Errorf("%s may import %s", e[0], e[1])
		}
	}
	for _, e := range [][2]string{
		{"tunnel", "net/netip"}, {"tunnel", root + "/internal/packet"}, {"sstp/sstptest", root + "/internal/memnet"}, {"sstp", root + "/ppp"},
		{"examples/sstpd", root + "/tunnel/tun"}, {"examples/sstpd", "github.com/pires/go-proxyproto"}, {"internal/packet", root + "/internal/secret"},
	} {
		if wrong := allowed(e[0], e[1]); wrong != "" {
			t.Errorf("%s %s", e[0], wrong)
		}
	}
}
