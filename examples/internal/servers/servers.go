// Package servers reads where RADIUS servers are and what is shared with them, as flags have it.
package servers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/dialway/dialway/radius"
)

// Targets reads HOST or HOST:PORT, separated by commas. Accounting is at the port behind PORT; without a port they are
// 1812 and 1813. All that is wrong is in the error.
func Targets(list string, secret radius.Secret) ([]radius.Target, error) {
	var targets []radius.Target
	var wrong []error
	for _, s := range strings.Split(list, ",") {
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			host, port = strings.Trim(s, "[]"), "1812"
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if host == "" || strings.ContainsAny(host, " /") || err != nil || n == 0 || n == 65535 {
			wrong = append(wrong, fmt.Errorf("%q is no server such as 10.0.0.5, radius.example.com:1812 or [2001:db8::5]:1812", s))
			continue
		}
		targets = append(targets, radius.Target{
			Addr: net.JoinHostPort(host, port), Acct: net.JoinHostPort(host, strconv.FormatUint(n+1, 10)), Secret: secret,
		})
	}
	return targets, errors.Join(wrong...)
}

// Secret reads the first line of a file that only its owner may read.
func Secret(file string) (radius.Secret, error) {
	if file == "" {
		return "", errors.New("missing: -radius needs it")
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s is mode %04o: it holds a secret, make it 0600", file, info.Mode().Perm())
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("%s has no first line", file)
	}
	return radius.Secret(line), nil
}
