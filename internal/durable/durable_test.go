package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	put := func(text string, err error) error {
		return Replace(name, func(w io.Writer) error {
			io.WriteString(w, text)
			return err
		})
	}
	want := func(text string) {
		t.Helper()
		if b, err := os.ReadFile(name); err != nil || string(b) != text {
			t.Errorf("%q, %v", b, err)
		}
		if list, _ := os.ReadDir(dir); len(list) != 1 {
			t.Errorf("%d files", len(list))
		}
	}
	os.WriteFile(name+".new", []byte("what a crash has left"), 0o644)
	if err := put("one", nil); err != nil {
		t.Fatal(err)
	}
	want("one")
	if info, _ := os.Stat(name); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	broken := errors.New("broken")
	if err := put("half of tw", broken); !errors.Is(err, broken) {
		t.Error(err)
	}
	want("one")
	if err := Replace(filepath.Join(dir, "none", "file"), func(io.Writer) error { return nil }); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := File(name); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	os.WriteFile(name, []byte("x"), 0o600)
	if err := File(name); err != nil {
		t.Error(err)
	}
	if err := Dir(filepath.Join(name, "none")); err == nil {
		t.Error("a directory that is none")
	}
}
