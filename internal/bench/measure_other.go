//go:build !linux

package main

import (
	"errors"
	"fmt"
	"runtime"
)

const roleArg = "role"

func runRole([]string) error { return measure(nil) }

func measure(*config) error {
	return fmt.Errorf("network namespaces are Linux's, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func delay(c *config) error { return measure(c) }
