package hostdns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
)

// resolvconf runs resolvconf(8), which makes one resolv.conf of what each device's record says. Debian's and openresolv's
// take the same words. A record outlives the device and whoever made it.
type resolvconf struct{ command string }

func (r *resolvconf) find() (string, error) {
	if r.command != "" {
		return r.command, nil
	}
	if path, err := exec.LookPath("resolvconf"); err == nil {
		return path, nil
	}
	for _, path := range []string{"/sbin/resolvconf", "/usr/sbin/resolvconf"} { // which are in the PATH of root only
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("hostdns: no resolvconf: %w", errors.ErrUnsupported)
}

func (r *resolvconf) run(ctx context.Context, input string, args ...string) error {
	path, err := r.find()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("hostdns: no resolvconf: %w", errors.ErrUnsupported)
		}
		return fmt.Errorf("hostdns: %s %s: %w: %s", path, strings.Join(args, " "), err, strings.TrimSpace(out.String()))
	}
	return nil
}

// record is the name of a record: the device, and the program whose it is.
func record(s *state) string { return s.Device + ".dialway" }

func (r *resolvconf) set(ctx context.Context, s *state, servers []netip.Addr, domains []string) error {
	var b strings.Builder
	if len(domains) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(domains, " "))
	}
	for _, a := range servers {
		fmt.Fprintf(&b, "nameserver %v\n", a)
	}
	return r.run(ctx, b.String(), "-a", record(s))
}

func (r *resolvconf) undo(ctx context.Context, s *state) error {
	err := r.run(ctx, "", "-d", record(s))
	switch {
	case err == nil:
	case errors.Is(err, errors.ErrUnsupported):
		return nil // it has been taken off the system, and its records with it
	default:
		// openresolv's fails if there is no record, as after a crash just before it was made. What fails after it has been
		// made fails for another reason.
		if r.run(ctx, "# nothing\n", "-a", record(s)) == nil {
			err = r.run(ctx, "", "-d", record(s))
		}
	}
	return err
}
