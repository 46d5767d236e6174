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
		host, n, err := split(s, "1812")
		if err == nil && n == 65535 {
			err = fmt.Errorf("%q: there is no port behind it for accounting", s)
		}
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		targets = append(targets, radius.Target{
			Addr: net.JoinHostPort(host, strconv.Itoa(n)), Acct: net.JoinHostPort(host, strconv.Itoa(n+1)), Secret: secret,
		})
	}
	return targets, errors.Join(wrong...)
}

// split reads HOST or HOST:PORT.
func split(s, without string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		host, text = strings.Trim(s, "[]"), without
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if host == "" || strings.ContainsAny(host, " /") || err != nil || n == 0 {
		return "", 0, fmt.Errorf("%q is no server such as 10.0.0.5, radius.example.com:%s or [2001:db8::5]:%s", s, without, without)
	}
	return host, int(n), nil
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
