package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAccountsFromNothingToNothing(t *testing.T) {
	dir := t.TempDir()
	file, pw := filepath.Join(dir, "accounts"), filepath.Join(dir, "pw")
	write := func(password string) {
		if err := os.WriteFile(pw, []byte(password+"\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	account := func(args ...string) (string, error) {
		var out, errs bytes.Buffer
		err := run(t.Context(), append([]string{"-file", file, "-password-file", pw}, args...), &out, &errs)
		return out.String(), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := account(args...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	write("first")
	must("-groups", "staff,admins", "-form", "argon2id", "add", "alice")
	must("-form", "clear", "-dialin", "deny", "add", "bob")
	if _, err := account("add", "ALICE"); err == nil {
		t.Error("added twice")
	}
	if out := must("test", "alice"); !strings.Contains(out, "staff, admins") {
		t.Error(out)
	}
	if _, err := account("test", "bob"); err == nil || !strings.Contains(err.Error(), "may not dial in") {
		t.Error(err)
	}
	if _, err := account("test", "carol"); err == nil {
		t.Error("a user who is not there")
	}
	write("second")
	if _, err := account("test", "alice"); err == nil {
		t.Error("a wrong password")
	}
	must("passwd", "alice")
	must("test", "alice")
	if out := must("list"); !strings.Contains(out, "MS-CHAPv2,PAP") || strings.Contains(out, "second") {
		t.Error(out)
	}
	must("delete", "alice")
	must("delete", "bob")
	if out := must("list"); strings.Count(out, "\n") != 1 {
		t.Error(out)
	}
}

func TestAllThatIsWrongIsTold(t *testing.T) {
	_, err := parse([]string{"-form", "x", "-dialin", "y", "-hours", "z", "frobnicate"}, &bytes.Buffer{})
	for _, want := range []string{"-file", "-form", "-dialin", "-hours", "frobnicate"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
