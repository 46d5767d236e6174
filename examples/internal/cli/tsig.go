package cli

import (
	"fmt"
	"os"

	"github.com/dialway/dialway/tunnel/register"
)

// ReadKey reads a TSIG key from a file. One that others can read is no secret any more.
func ReadKey(file string) (*register.Key, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	k, err := register.ParseKey(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if s, err := os.Stat(file); err == nil && s.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s: everybody on this machine can read it: chmod o= %s", file, file)
	}
	return k, nil
}
