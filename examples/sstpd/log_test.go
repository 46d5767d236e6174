package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// A logBuffer may be written by the server while the test reads it.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// wait waits for a line.
func (l *logBuffer) wait(t *testing.T, text string) {
	t.Helper()
	l.waitFor(t, text, 1)
}

// waitFor waits for so many of a line.
func (l *logBuffer) waitFor(t *testing.T, text string, n int) {
	t.Helper()
	for range 2000 {
		if strings.Count(l.String(), text) >= n {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%q is not logged:\n%s", text, l)
}
