package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// steps prints what happens, as it happens.
type steps struct {
	mu    sync.Mutex
	w     io.Writer
	began time.Time
	bar   bool // a progress bar stands on the last line
}

// say prints a step.
func (s *steps) say(step, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.bar = false
	}
	fmt.Fprintf(s.w, "%6.3f s  %-14s %s\n", time.Since(s.began).Seconds(), step, fmt.Sprintf(format, args...))
}

// shown are the messages of the library's logs that are steps of the opening, by the end that logs them.
var shown = map[[2]string]string{
	{"client", "sstp: HTTP accepted"}:        "HTTP",
	{"client", "sstp: call accepted"}:        "SSTP",
	{"client", "ppp: LCP open"}:              "LCP",
	{"client", "ppp: authenticated"}:         "authentication",
	{"server", "sstp: crypto binding holds"}: "crypto binding",
	{"client", "ppp: IPCP open"}:             "IPCP",
}

// handler returns a slog.Handler that says those steps.
func (s *steps) handler(end string) slog.Handler { return &stepHandler{steps: s, end: end} }

type stepHandler struct {
	steps *steps
	end   string
}

// Enabled wants everything: the steps are logged at Debug.
func (h *stepHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle says the record, if it is a step.
func (h *stepHandler) Handle(_ context.Context, r slog.Record) error {
	step, ok := shown[[2]string{h.end, r.Message}]
	if !ok {
		return nil
	}
	var attrs []string
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "id" {
			attrs = append(attrs, a.String())
		}
		return true
	})
	if attrs == nil {
		_, text, _ := strings.Cut(r.Message, ": ")
		attrs = append(attrs, text)
	}
	h.steps.say(step, "%s", strings.Join(attrs, ", "))
	return nil
}

// WithAttrs and WithGroup leave out what they add: a step says enough by itself.
func (h *stepHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *stepHandler) WithGroup(string) slog.Handler      { return h }

// A progress counts what is written to it and draws a bar: on a terminal in place, elsewhere a line each quarter.
type progress struct {
	out         *steps
	size, n     int64
	drawn       time.Time
	quarter     int64
	checked, in bool // in place
}

// Write counts.
func (p *progress) Write(b []byte) (int, error) {
	p.n += int64(len(b))
	if !p.checked {
		f, ok := p.out.w.(*os.File)
		if ok {
			s, err := f.Stat()
			p.in = err == nil && s.Mode()&os.ModeCharDevice != 0
		}
		p.checked = true
	}
	switch q := p.n * 4 / p.size; {
	case p.in && (time.Since(p.drawn) > 50*time.Millisecond || p.n == p.size):
		p.drawn = time.Now()
		p.out.mu.Lock()
		p.out.bar = true
		const width = 40
		done := int(p.n * width / p.size)
		fmt.Fprintf(p.out.w, "\r%26s[%s%s] %3d %%", "", strings.Repeat("=", done), strings.Repeat(" ", width-done), p.n*100/p.size)
		p.out.mu.Unlock()
	case !p.in && q > p.quarter:
		p.quarter = q
		p.out.say("", "%3d %%", q*25)
	}
	return len(b), nil
}

// bytes prints a size.
func bytes(n int64) string {
	if n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}
