// Package durable has files be on the disk before somebody relies on them: what was written and renamed is lost with the
// machine's power until the file and its directory are synced.
package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// File has the disk take a file that was written, and its name.
func File(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0) // Windows flushes only what may be written to
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return Dir(filepath.Dir(name))
}

// Dir has the disk take a directory's names: of files that were made, renamed or removed. Systems and file systems that
// have no such call keep names by themselves.
func Dir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// Replace puts what write writes in the place of a file, whole: who reads it sees the old one or the new one, also after
// the power has failed. The new one is its owner's alone. It is made under one name beside the old one, so that what a crash
// leaves is not left many times: callers take turns.
func Replace(name string, write func(w io.Writer) error) (err error) {
	tmp := name + ".new"
	os.Remove(tmp)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp)
		}
	}()
	if err = errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp, name); err != nil {
		return err
	}
	return Dir(filepath.Dir(name))
}
