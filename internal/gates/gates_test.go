package gates

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// full says whether gates are opened, which takes minutes.
func full() bool { return os.Getenv("DIALWAY_GATES") != "" }

// TestEveryGateNamesItsTest needs no building: each gate names a test that exists.
func TestEveryGateNamesItsTest(t *testing.T) {
	tests := map[string][]string{}
	for _, g := range find(t) {
		if tests[g.pkg] == nil {
			tests[g.pkg] = testsOf(t, g.pkg)
		}
		for _, name := range g.tests {
			if top, _, _ := strings.Cut(name, "/"); !slices.Contains(tests[g.pkg], top) {
				t.Errorf("%v: there is no %s in %s", g, top, g.pkg)
			}
		}
	}
}

// TestWithoutItsGateATestFails opens one gate after the other.
func TestWithoutItsGateATestFails(t *testing.T) {
	if !full() {
		t.Skip("takes minutes: set DIALWAY_GATES=1, as CI does")
	}
	gates := find(t)
	byPkg := map[string][]string{}
	for _, g := range gates {
		byPkg[g.pkg] = append(byPkg[g.pkg], g.tests...)
	}
	passed := map[string]bool{} // pkg/test, with every gate closed: or a failure below would show nothing
	for pkg, tests := range byPkg {
		var tops []string
		for _, name := range tests {
			top, _, _ := strings.Cut(name, "/")
			tops = append(tops, top)
		}
		out := run(t, pkg, "^("+strings.Join(tops, "|")+")$", "")
		for _, name := range tests {
			passed[pkg+" "+name] = strings.Contains(out, "--- PASS: "+name+" ")
		}
	}
	for _, g := range gates {
		t.Run(g.String(), func(t *testing.T) {
			t.Parallel()
			file := overlay(t, g)
			for _, name := range g.tests {
				if !passed[g.pkg+" "+name] {
					t.Errorf("%s does not pass with the gate closed", name)
					continue
				}
				out := run(t, g.pkg, pattern(name), file)
				switch {
				case strings.Contains(out, "--- FAIL: "+name+" "):
				case strings.Contains(out, "panic: test timed out"): // it waits for a refusal that does not come
				case strings.Contains(out, "[build failed]"):
					t.Errorf("the package does not build with the gate open:\n%s", out)
				default:
					t.Errorf("%s does not fail with the gate open:\n%s", name, out[max(0, len(out)-4000):])
				}
			}
		})
	}
}

// overlay writes a go build overlay in which g lets everybody through. The old body stays below, so that what it used
// is still used.
func overlay(t *testing.T, g gate) string {
	t.Helper()
	src, err := os.ReadFile(g.file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	opened := filepath.Join(dir, "opened.go")
	if err := os.WriteFile(opened, slices.Concat(src[:g.lbrac], []byte(" "+g.open+"; "), src[g.lbrac:]), 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := filepath.Abs(g.file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": {file: opened}})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// pattern is what go test -run takes for one test.
func pattern(name string) string {
	var p []string
	for part := range strings.SplitSeq(name, "/") {
		p = append(p, "^"+regexp.QuoteMeta(part)+"$")
	}
	return strings.Join(p, "/")
}

// run runs tests of a package and returns what go test printed.
func run(t *testing.T, pkg, pattern, overlay string) string {
	t.Helper()
	args := []string{"test", "-count=1", "-v", "-vet=off", "-timeout=30s", "-run", pattern}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(t.Context(), "go", append(args, "./"+pkg)...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		t.Fatal(err)
	}
	return string(out)
}
