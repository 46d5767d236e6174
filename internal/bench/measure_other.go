//go:build !linux

package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
)

const roleArg = "role"

func runRole([]string) error { return measure(nil) }

func measure(*config) error {
	return fmt.Errorf("network namespaces are Linux's, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func stayAwake() (io.Closer, error) { return nil, errors.ErrUnsupported }

func delay(c *config) error { return measure(c) }
