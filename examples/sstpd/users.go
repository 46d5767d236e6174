package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/dialway/dialway/examples/internal/policies"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/access"
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

// who answers logins: the lines of -users, the accounts of -accounts, the servers of -radius.
type who interface {
	ppp.Authenticator
	reload() error
	count() int // negative: nobody knows
}

// A userList is -users.
type userList struct {
	file string
	now  atomic.Pointer[users]
}

func (f *userList) reload() error {
	u, err := readUsers(f.file)
	if err == nil {
		f.now.Store(&u)
	}
	return err
}

func (f *userList) count() int { return len(*f.now.Load()) }

// Authenticate is ppp.Authenticator's.
func (f *userList) Authenticate(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
	return ppp.PasswordFunc(f.now.Load().password).Authenticate(ctx, req)
}

// An accountsFile is -accounts. One Accounts lives as long as the server: it remembers who has guessed too often.
type accountsFile struct {
	access.Accounts
	file *access.File
}

func (f *accountsFile) reload() error { return f.file.Reload() }

func (f *accountsFile) count() (n int) {
	for range f.file.All() {
		n++
	}
	return n
}

// accountsFile is -accounts', which is open.
func (s *server) accountsFile() *access.File {
	w := s.who
	if p, ok := w.(*policed); ok {
		w = p.who
	}
	return w.(*accountsFile).file
}

// openWho opens what the command line names.
func (s *server) openWho() error {
	var w who
	var err error
	var p *policed
	if s.policies != "" {
		p = &policed{file: s.policies}
	}
	switch {
	case s.accounts != "":
		var file *access.File
		file, err = access.OpenFile(s.accounts)
		w = &accountsFile{access.Accounts{Store: file}, file}
	case s.users != "":
		w = &userList{file: s.users}
		err = w.reload()
	default:
		var filter func(string) (func([]byte) bool, error)
		if p != nil {
			filter = p.Filter
		}
		s.aaa = newAAA(&s.radius, s.sessions, filter, s.log)
		w, err = s.aaa, s.aaa.reload()
	}
	if err == nil && p != nil {
		p.Next, p.who = w, w
		w, err = p, p.reload()
	}
	if err == nil {
		s.who = w
	}
	return err
}

// A policed is what decides about whom another has let in: -policies.
type policed struct {
	policies.Policies
	who  who
	file string
}

// reload takes both or, where one is wrong, neither.
func (p *policed) reload() error {
	set, err := policies.Read(p.file)
	if err == nil {
		err = p.who.reload()
	}
	if err == nil {
		p.Use(set)
	}
	return err
}

func (p *policed) count() int { return p.who.count() }
