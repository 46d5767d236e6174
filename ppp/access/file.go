package access

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dialway/dialway/internal/durable"
	"github.com/dialway/dialway/ppp"
)

// A File is a Store in a file: a line for each account, a JSON object with the fields
//
//	user secret groups disabled expires passwordExpires mustChange hours dialin callerID callback
//	addr pool prefixes dns nbns maxSessions replace sessionTimeout idleTimeout rateIn rateOut message
//
// of which user must be there. Empty lines and lines that begin with # are left out; Save does not keep them. The file
// holds secrets: it must not be readable by others (0600).
type File struct {
	Memory
	name string
	save sync.Mutex
}

// OpenFile returns the Store that a file holds. An error names every line that is wrong.
func OpenFile(name string) (*File, error) {
	f := &File{name: name}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Reload reads the file again; an error keeps what was there.
func (f *File) Reload() error {
	info, err := os.Stat(f.name)
	if err != nil {
		return fmt.Errorf("access: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("access: %s is mode %04o: it holds secrets, make it 0600", f.name, info.Mode().Perm())
	}
	b, err := os.ReadFile(f.name)
	if err != nil {
		return fmt.Errorf("access: %w", err)
	}
	list, err := parseAccounts(b)
	if err != nil {
		return fmt.Errorf("access: %s: %w", f.name, err)
	}
	f.replace(list)
	return nil
}

// SetSecret changes a secret and saves.
func (f *File) SetSecret(ctx context.Context, user string, s ppp.Secret) error {
	f.save.Lock()
	defer f.save.Unlock()
	old, _ := f.Account(ctx, user)
	if err := f.Memory.SetSecret(ctx, user, s); err != nil {
		return err
	}
	if err := f.write(); err != nil {
		f.Put(old) // what is not on disk is not changed
		return err
	}
	return nil
}

// Save writes the file whole, by rename: who reads it sees the old one or the new one.
func (f *File) Save() error {
	f.save.Lock()
	defer f.save.Unlock()
	return f.write()
}

// write is not by durable.Replace, whose callers take turns: a server and the tool that keeps its accounts do not.
func (f *File) write() error {
	var b bytes.Buffer
	for a := range f.All() {
		line, err := json.Marshal(toRecord(a))
		if err != nil {
			return fmt.Errorf("access: %s: %w", a.User, err)
		}
		b.Write(append(line, '\n'))
	}
	tmp, err := os.CreateTemp(filepath.Dir(f.name), "."+filepath.Base(f.name)+"-") // 0600
	if err != nil {
		return fmt.Errorf("access: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b.Bytes())
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), f.name)
	}
	if err == nil {
		err = durable.Dir(filepath.Dir(f.name))
	}
	if err != nil {
		return fmt.Errorf("access: save %s: %w", f.name, err)
	}
	return nil
}

// A record is an account as a line.
type record struct {
	User            string         `json:"user"`
	Secret          string         `json:"secret,omitempty"`
	Groups          []string       `json:"groups,omitempty"`
	Disabled        bool           `json:"disabled,omitempty"`
	Expires         time.Time      `json:"expires,omitzero"`
	PasswordExpires time.Time      `json:"passwordExpires,omitzero"`
	MustChange      bool           `json:"mustChange,omitempty"`
	Hours           string         `json:"hours,omitempty"`
	Dialin          string         `json:"dialin,omitempty"`
	CallerID        []netip.Prefix `json:"callerID,omitempty"`
	Callback        string         `json:"callback,omitempty"`
	Addr            netip.Addr     `json:"addr,omitzero"`
	Pool            string         `json:"pool,omitempty"`
	Prefixes        []netip.Prefix `json:"prefixes,omitempty"`
	DNS             []netip.Addr   `json:"dns,omitempty"`
	NBNS            []netip.Addr   `json:"nbns,omitempty"`
	MaxSessions     int            `json:"maxSessions,omitempty"`
	Replace         bool           `json:"replace,omitempty"`
	SessionTimeout  string         `json:"sessionTimeout,omitempty"`
	IdleTimeout     string         `json:"idleTimeout,omitempty"`
	RateIn          uint64         `json:"rateIn,omitempty"`  // bits per second
	RateOut         uint64         `json:"rateOut,omitempty"` // bits per second
	Message         string         `json:"message,omitempty"`
}

func toRecord(a *Account) record {
	r := record{
		User: a.User, Secret: string(a.Secret), Groups: a.Groups, Disabled: a.Disabled, Expires: a.Expires,
		PasswordExpires: a.PasswordExpires, MustChange: a.MustChange, Hours: a.HoursText, CallerID: a.CallerID, Callback: a.Callback,
		Addr: a.Grant.Addr, Pool: a.Grant.Pool, Prefixes: a.Grant.Prefixes, DNS: a.Grant.DNS, NBNS: a.Grant.NBNS,
		MaxSessions: a.Grant.MaxSessions, Replace: a.Grant.Replace,
		RateIn: a.Grant.RateIn.Bits, RateOut: a.Grant.RateOut.Bits, Message: a.Grant.Message,
	}
	if a.Dialin != ByPolicy {
		r.Dialin = a.Dialin.String()
	}
	if a.Grant.SessionTimeout > 0 {
		r.SessionTimeout = a.Grant.SessionTimeout.String()
	}
	if a.Grant.IdleTimeout > 0 {
		r.IdleTimeout = a.Grant.IdleTimeout.String()
	}
	return r
}

// account checks a record; every problem is in the error.
func (r *record) account() (*Account, error) {
	a := &Account{
		User: r.User, Secret: ppp.Secret(r.Secret), Groups: r.Groups, Disabled: r.Disabled, Expires: r.Expires,
		PasswordExpires: r.PasswordExpires, MustChange: r.MustChange, HoursText: r.Hours, CallerID: r.CallerID, Callback: r.Callback,
		Grant: ppp.Grant{
			Addr: r.Addr, Pool: r.Pool, Prefixes: r.Prefixes, DNS: r.DNS, NBNS: r.NBNS, MaxSessions: r.MaxSessions, Replace: r.Replace,
			RateIn: ppp.Rate{Bits: r.RateIn}, RateOut: ppp.Rate{Bits: r.RateOut}, Message: r.Message,
		},
	}
	var errs []error
	if r.User == "" {
		errs = append(errs, errors.New("no user"))
	}
	if err := CheckForm(a.Secret); err != nil {
		errs = append(errs, err)
	}
	if r.Addr.IsValid() && !r.Addr.Is4() {
		errs = append(errs, fmt.Errorf("addr %v is not IPv4", r.Addr))
	}
	switch r.Dialin {
	case "", "policy":
	case "allow":
		a.Dialin = Allow
	case "deny":
		a.Dialin = Deny
	default:
		errs = append(errs, fmt.Errorf("dialin %q is not allow, deny or policy", r.Dialin))
	}
	var err error
	if r.Hours != "" {
		if a.Hours, err = ParseHours(r.Hours); err != nil {
			errs = append(errs, err)
		}
	}
	for _, d := range []struct {
		name, text string
		to         *time.Duration
	}{{"sessionTimeout", r.SessionTimeout, &a.Grant.SessionTimeout}, {"idleTimeout", r.IdleTimeout, &a.Grant.IdleTimeout}} {
		if d.text == "" {
			continue
		}
		if *d.to, err = time.ParseDuration(d.text); err != nil || *d.to <= 0 {
			errs = append(errs, fmt.Errorf("%s %q is no time such as 8h or 30m", d.name, d.text))
		}
	}
	return a, errors.Join(errs...)
}

// parseAccounts reads a file; every line that is wrong is in the error, with its number.
func parseAccounts(b []byte) (list []*Account, err error) {
	var errs []error
	seen := make(map[string]int)
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, 1<<20)
	for n := 1; s.Scan(); n++ {
		line := bytes.TrimSpace(s.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		var r record
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&r); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		if d.More() {
			errs = append(errs, fmt.Errorf("line %d: something stands behind the account", n))
			continue
		}
		a, err := r.account()
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		key := strings.ToLower(a.User)
		if first, ok := seen[key]; ok {
			errs = append(errs, fmt.Errorf("line %d: %s stands in line %d already", n, a.User, first))
			continue
		}
		seen[key] = n
		list = append(list, a)
	}
	if err := s.Err(); err != nil {
		errs = append(errs, err)
	}
	return list, errors.Join(errs...)
}

// Create makes an empty file of mode 0600, unless there is one.
func Create(name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("access: %w", err)
	}
	return f.Close()
}
