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
	for range 2000 {
		if strings.Contains(l.String(), text) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%q is not logged:\n%s", text, l)
}
