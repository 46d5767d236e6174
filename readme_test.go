package dialway_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestReadmePrograms type-checks each program of the README.
func TestReadmePrograms(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(b), "```go\n")[1:]
	if len(parts) < 2 {
		t.Fatalf("%d programs, want one for the client and one for the server", len(parts))
	}
	for i, p := range parts {
		text, _, ok := strings.Cut(p, "```")
		if !ok {
			t.Fatal("a program without end")
		}
		file := filepath.Join(t.TempDir(), "program"+strconv.Itoa(i)+".go")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
			t.Errorf("program %d: %v\n%s", i+1, err, out)
		}
		if out, err := exec.Command("gofmt", "-l", file).Output(); err != nil || len(out) != 0 {
			t.Errorf("program %d is not formatted: %v %s", i+1, err, out)
		}
	}
}

// TestReadmeCommands: the two commands that the README begins with are those that CI runs.
func TestReadmeCommands(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	ci, err := os.ReadFile(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"go run ./examples/quickstart", "go test work"} {
		if !strings.Contains(string(readme), "\n    "+command+" ") || !strings.Contains(string(ci), command) {
			t.Errorf("%q is not in both", command)
		}
	}
}
