//go:build !linux

package tlsconn

import (
	"errors"
	"fmt"
)

// SetCongestion is Linux's.
func SetCongestion(c any, name string) error {
	if name == "" {
		return nil
	}
	return fmt.Errorf("congestion control %q: %w", name, errors.ErrUnsupported)
}
