package ppp

import (
	"iter"
	"net/netip"
)

// A Sessions is the set of open links, by user, ID and address. The zero Sessions is empty and ready.
type Sessions struct{}

func (s *Sessions) All() iter.Seq[*Conn]             { return func(func(*Conn) bool) {} } // every open link
func (s *Sessions) User(name string) iter.Seq[*Conn] { return func(func(*Conn) bool) {} } // those of one Grant.User
func (s *Sessions) ID(id string) *Conn               { return nil }                       // by Call.ID; nil: none
func (s *Sessions) Addr(a netip.Addr) *Conn          { return nil }                       // by the far side's address; nil: none
func (s *Sessions) Len() int                         { return 0 }                         // how many

// add and remove are called by Conn: add when the link is open (it applies Grant.MaxSessions and Replace, and refuses
// with an *AuthError), remove once, when it ends.
func (s *Sessions) add(c *Conn) error { return nil }
func (s *Sessions) remove(c *Conn)    {}
