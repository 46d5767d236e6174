//go:build !linux

package tun

import (
	"errors"
	"fmt"
	"runtime"
)

// Open makes a device on Linux; elsewhere it returns an error that is errors.ErrUnsupported. Package netstack works
// everywhere.
func Open(c Config) (*Device, error) {
	return nil, unsupported("Open")
}

func unsupported(what string) error {
	return fmt.Errorf("tun: %s on %s: %w", what, runtime.GOOS, errors.ErrUnsupported)
}
