package access

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dialway/dialway/internal/hours"
	"github.com/dialway/dialway/ppp"
)

// Memory is a Store in memory. The zero Memory is empty and ready.
type Memory struct {
	mu       sync.RWMutex
	accounts map[string]*Account // by lower-case name
}

// Account finds an account; it must not be modified.
func (m *Memory) Account(ctx context.Context, user string) (*Account, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.accounts[strings.ToLower(user)], nil
}

// SetSecret changes a secret.
func (m *Memory) SetSecret(ctx context.Context, user string, s ppp.Secret) error {
	if err := CheckForm(s); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.accounts[strings.ToLower(user)]
	if old == nil {
		return fmt.Errorf("access: no account %q", user)
	}
	a := old.clone()
	a.Secret, a.MustChange, a.PasswordExpires = s, false, time.Time{}
	m.accounts[strings.ToLower(user)] = a
	return nil
}

// Put adds or replaces an account, as a copy.
func (m *Memory) Put(a *Account) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.accounts == nil {
		m.accounts = make(map[string]*Account)
	}
	m.accounts[strings.ToLower(a.User)] = a.clone()
}

// Delete removes an account.
func (m *Memory) Delete(user string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.accounts, strings.ToLower(user))
}

// All yields the accounts by name, as they are when it begins; they must not be modified.
func (m *Memory) All() iter.Seq[*Account] {
	return func(yield func(*Account) bool) {
		m.mu.RLock()
		list := make([]*Account, 0, len(m.accounts))
		for _, a := range m.accounts {
			list = append(list, a)
		}
		m.mu.RUnlock()
		slices.SortFunc(list, func(a, b *Account) int { return strings.Compare(strings.ToLower(a.User), strings.ToLower(b.User)) })
		for _, a := range list {
			if !yield(a) {
				return
			}
		}
	}
}

// replace takes another set of accounts.
func (m *Memory) replace(list []*Account) {
	accounts := make(map[string]*Account, len(list))
	for _, a := range list {
		accounts[strings.ToLower(a.User)] = a
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accounts = accounts
}

// ParseHours reads weekly windows such as "Mon-Fri 08:00-18:00, Sat 22:00-02:00 Europe/Berlin", for Account.Hours and
// Policy.Hours.
func ParseHours(s string) (func(time.Time) bool, error) {
	h, err := hours.Parse(s)
	if err != nil {
		return nil, err
	}
	return h.Contains, nil
}
