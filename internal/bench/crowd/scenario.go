package crowd

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"
)

// Options are how a scenario is run.
type Options struct {
	Host  string        // what is to be known of this machine's state
	Short bool          // some hundred sessions instead of ten thousand, and fails where something is far off
	Out   io.Writer     // of what is measured
	Dir   string        // to write NAME.json and, of curves, NAME.svg to; empty: none
	Soak  time.Duration // of the soak
}

var scenarios = map[string]func(*run) error{
	"scale": scale, "storm": storm, "fair": fair, "stall": stall, "routes": routes, "soak": soak,
}

// Names are the scenarios' names, in the order of the report.
var Names = []string{"scale", "storm", "fair", "stall", "routes", "soak"}

// Run runs a scenario.
func Run(name string, o Options) error {
	f := scenarios[name]
	if f == nil {
		return fmt.Errorf("no such scenario: %s", name)
	}
	dir, err := os.MkdirTemp("", "dialway-crowd")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := &run{Options: o, dir: dir, kept: kept{Figures: make(map[string]float64)}}
	r.say("%s: %d processors, %s, %s, both ends and the load on them", name, runtime.NumCPU(), runtime.Version(), o.Host)
	began := time.Now()
	r.Machine, r.When = fmt.Sprintf("%d processors, %s, %s", runtime.NumCPU(), runtime.Version(), o.Host), began.UTC().Format("2006-01-02")
	if err := f(r); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.say("%s: %v", name, time.Since(began).Round(time.Second))
	if o.Dir == "" {
		return nil
	}
	return r.keep(filepath.Join(o.Dir, name))
}

// keep writes what was measured, as numbers and as pictures.
func (r *run) keep(file string) error {
	b, err := json.MarshalIndent(r.kept, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".json", append(b, '\n'), 0o644); err != nil || len(r.Curves) == 0 {
		return err
	}
	return drawCurves(r.Curves, file+".svg")
}

// A run is one scenario under way.
type run struct {
	Options
	dir string
	kept
}

// kept is what remains of a run.
type kept struct {
	Machine string             `json:"machine"`
	When    string             `json:"when"`
	Figures map[string]float64 `json:"figures"`
	Curves  []curve            `json:"curves,omitempty"`
}

func (r *run) say(format string, args ...any) { fmt.Fprintf(r.Out, format+"\n", args...) }

// note keeps a figure.
func (r *run) note(v float64, format string, args ...any) {
	r.Figures[fmt.Sprintf(format, args...)] = v
}

// pick is the amount of a long run, or of a short one.
func pick[T any](r *run, long, short T) T {
	if r.Short {
		return short
	}
	return long
}

// start starts a server and clients.
func (r *run) start() (*server, *fleet, error) {
	s, err := startServer(r.dir, nil, clients)
	if err != nil {
		return nil, nil, err
	}
	return s, newFleet(s), nil
}

// tidy lets this process give memory back, so that the clients' does not press on the server's.
func tidy() { debug.FreeOSMemory() }

const kib = 1 << 10

func mbit(bytes float64, d time.Duration) float64 { return bytes * 8 / d.Seconds() / 1e6 }
