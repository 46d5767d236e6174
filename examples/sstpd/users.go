package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/dialway/dialway/ppp"
)

// users are passwords by name, in lower case: names do not differ by case, as in Windows.
type users map[string]ppp.Secret

// readUsers reads lines name:password. The first colon separates and nothing is trimmed, so a password may have any
// character but the end of a line. Everything that is wrong is told, without the passwords.
func readUsers(file string) (users, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	u := make(users)
	var wrong []error
	bad := func(line int, why string) {
		wrong = append(wrong, fmt.Errorf("%s line %d: %s", file, line+1, why))
	}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSuffix(line, "\r") // the end of a line in files that come from Windows
		if line == "" || line[0] == '#' {
			continue
		}
		name, password, ok := strings.Cut(line, ":")
		key := strings.ToLower(name)
		switch {
		case !ok:
			bad(i, "no colon between name and password")
		case name == "":
			bad(i, "no name")
		case strings.Contains(name, `\`):
			bad(i, fmt.Sprintf("%q: a name has no domain here; what clients put in front of \\ is left out", name))
		case password == "":
			bad(i, fmt.Sprintf("%q has no password", name))
		case u[key] != "":
			bad(i, fmt.Sprintf("%q is there already", name))
		default:
			u[key] = ppp.Secret(password)
		}
	}
	if len(u) == 0 && wrong == nil {
		wrong = append(wrong, fmt.Errorf("%s has no user", file))
	}
	return u, errors.Join(wrong...)
}

// password fits ppp.PasswordFunc. Windows puts a domain in front of the name.
func (u users) password(_ context.Context, name string) (ppp.Secret, error) {
	name = name[strings.LastIndexByte(name, '\\')+1:]
	if p, ok := u[strings.ToLower(name)]; ok {
		return p, nil
	}
	return "", ppp.ErrNoUser
}
