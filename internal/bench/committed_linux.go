package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// buildCommitted builds, into dir, the programs as they were when the results in a directory were last committed. What this
// library has lost since then is told from what this machine does not give.
func buildCommitted(results, dir string) error {
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", append([]string{"-C", results}, args...)...).Output()
		if e := (*exec.ExitError)(nil); errors.As(err, &e) {
			err = fmt.Errorf("git %s: %w: %s", args[0], err, e.Stderr)
		}
		return strings.TrimSpace(string(out)), err
	}
	if shallow, err := git("rev-parse", "--is-shallow-repository"); err != nil || shallow != "false" {
		return errors.Join(err, errors.New("the repository does not reach back to it"))
	}
	commit, err := git("log", "-1", "--format=%H", "--", "results.json")
	if err == nil && commit == "" {
		err = errors.New("no results are committed")
	}
	if err != nil {
		return err
	}
	top, err := git("rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	source, err := os.MkdirTemp("", "dialway-committed")
	if err != nil {
		return err
	}
	defer os.RemoveAll(source)
	fmt.Println("building the committed build:", commit)
	unpack := exec.Command("sh", "-c", `git -C "$1" archive --format=tar "$2": | tar -x -C "$3"`, "sh", top, commit, source)
	if out, err := unpack.CombinedOutput(); err != nil {
		return fmt.Errorf("git archive: %w: %s", err, out)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return build(source, dir, "github.com/dialway/dialway/internal/bench")
}
