// Package cli is what the example programs share: signals, logs, flags of more than one of them, certificates, and errors
// told with what to do about them.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// A Command is a program without its process: it returns when its work is done or ctx ends.
type Command func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// Main runs a Command until SIGINT or SIGTERM and exits: 0 when it is done or was asked to end, 2 when it was called
// wrongly, 1 for anything else. A second signal ends it at once.
func Main(run Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) || ctx.Err() != nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, Explain(err))
	var usage UsageError
	if errors.As(err, &usage) {
		os.Exit(2)
	}
	os.Exit(1)
}

// A UsageError says everything that is wrong with a command line.
type UsageError []error

// Error returns one line for each.
func (e UsageError) Error() string {
	var b strings.Builder
	b.WriteString("wrong arguments:")
	for _, err := range e {
		fmt.Fprintf(&b, "\n  %v", err)
	}
	b.WriteString("\n-h tells what there is")
	return b.String()
}

// Problems collects what is wrong, so that all of it is told at once.
type Problems struct{ list UsageError }

// Add notes err, unless it is nil, as a fault of the named flag.
func (p *Problems) Add(name string, err error) {
	if err != nil {
		p.list = append(p.list, fmt.Errorf("%s: %w", name, err))
	}
}

// Err returns nil if there is nothing wrong.
func (p *Problems) Err() error {
	if len(p.list) == 0 {
		return nil
	}
	return p.list
}

// Flags returns a set for a program whose -h is usage and then the flags. Arguments beside flags are wrong.
func Flags(name, usage string, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprintf(stderr, "%s\n\nFlags:\n", strings.TrimSpace(usage))
		fs.PrintDefaults()
	}
	return fs
}

// Parse parses args.
func Parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return UsageError{err}
	}
	if fs.NArg() > 0 {
		return UsageError{fmt.Errorf("%q is no flag", fs.Arg(0))}
	}
	return nil
}

// Logger writes text lines, with verbose also what is of interest when something does not work.
func Logger(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
