// Package sstptest has an SSTP server in memory, as net/http/httptest; it works under testing/synctest.
package sstptest

import (
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
)

// A Server is an sstp.Server on a network in memory, with a certificate that is valid at any time.
type Server struct {
	Config *sstp.Server
}

// NewServer starts s.
func NewServer(s *sstp.Server) *Server { return &Server{Config: s} }

// Dialer returns a Dialer that reaches and trusts the server.
func (s *Server) Dialer(c *ppp.Config) *sstp.Dialer { return nil }

// Addr is what to dial.
func (s *Server) Addr() string { return "" }

// Cut breaks every connection without a goodbye.
func (s *Server) Cut() {}

// Close shuts the server down and waits for it.
func (s *Server) Close() {}
