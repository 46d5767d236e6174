//go:build !linux

// Package netns makes network namespaces for tests, on Linux.
package netns
