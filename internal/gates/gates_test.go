package gates

import (
	"encoding/json"
	"fmt"
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

// TestWithoutItsGateATestFails opens one gate after the other. A package is built once, with gates that the environment
// opens.
func TestWithoutItsGateATestFails(t *testing.T) {
	if !full() {
		t.Skip("takes minutes: set DIALWAY_GATES=1, as CI does")
	}
	gates := map[string][]gate{}
	for _, g := range find(t) {
		gates[g.pkg] = append(gates[g.pkg], g)
	}
	dir := t.TempDir()
	for pkg, gates := range gates {
		t.Run(pkg, func(t *testing.T) {
			t.Parallel()
			bin := build(t, dir, gates)
			var tops []string
			for _, g := range gates {
				for _, name := range g.tests {
					top, _, _ := strings.Cut(name, "/")
					tops = append(tops, top)
				}
			}
			// With every gate closed they pass: or a failure below would show nothing.
			closed := run(t, pkg, bin, "^("+strings.Join(tops, "|")+")$", "")
			for _, g := range gates {
				t.Run(g.name, func(t *testing.T) {
					t.Parallel()
					for _, name := range g.tests {
						if !strings.Contains(closed, "--- PASS: "+name+" ") {
							t.Errorf("%s does not pass with the gate closed", name)
							continue
						}
						out := run(t, pkg, bin, pattern(name), g.String())
						switch {
						case strings.Contains(out, "--- FAIL: "+name+" "):
						case strings.Contains(out, "panic: test timed out"): // it waits for a refusal that does not come
						default:
							t.Errorf("%s does not fail with the gate open:\n%s", name, out[max(0, len(out)-4000):])
						}
					}
				})
			}
		})
	}
}

// opens is the variable that names the gate that lets everybody through.
const opens = "DIALWAY_OPEN_GATE"

// build builds the tests of a package whose gates can be opened, by a go build overlay. What opens a gate stands before the
// old body, so that what that used is still used.
func build(t *testing.T, dir string, gates []gate) string {
	t.Helper()
	name := strings.ReplaceAll(gates[0].pkg, "/", "_")
	replace := map[string]string{}
	put := func(file, text string) {
		path, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, fmt.Sprintf("%s_%d.go", name, len(replace)))
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		replace[path] = to
	}
	byFile := map[string][]gate{}
	for _, g := range gates {
		byFile[g.file] = append(byFile[g.file], g)
	}
	for file, gates := range byFile {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(gates, func(a, b gate) int { return b.lbrac - a.lbrac }) // from behind: offsets stay true
		for _, g := range gates {
			src = slices.Insert(src, g.lbrac, fmt.Appendf(nil, " if openGate == %q { %s }; ", g, g.open)...)
		}
		put(file, string(src))
	}
	put(filepath.Join(root, gates[0].pkg, "open_gate.go"),
		fmt.Sprintf("package %s\n\nimport \"os\"\n\nvar openGate = os.Getenv(%q)\n", gates[0].in, opens))
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay, bin := filepath.Join(dir, name+".json"), filepath.Join(dir, name+".test")
	if err := os.WriteFile(overlay, b, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", bin, "./"+gates[0].pkg)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("with gates that can be opened the package does not build: %v\n%s", err, out)
	}
	return bin
}

// pattern is what -run takes for one test.
func pattern(name string) string {
	var p []string
	for part := range strings.SplitSeq(name, "/") {
		p = append(p, "^"+regexp.QuoteMeta(part)+"$")
	}
	return strings.Join(p, "/")
}

// run runs tests of a package with one gate open, or none, and returns what they printed.
func run(t *testing.T, pkg, bin, pattern, gate string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, "-test.v", "-test.timeout=30s", "-test.run", pattern)
	cmd.Dir = filepath.Join(root, pkg)
	cmd.Env = append(os.Environ(), opens+"="+gate)
	out, err := cmd.CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		t.Fatal(err)
	}
	return string(out)
}
