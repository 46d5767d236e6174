package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dialway/dialway/internal/bench/crowd"
)

const usage = `bench measures dialway beside other tunnels. It needs root, iperf3 and openvpn.

  go run ./internal/bench            everything; writes internal/bench/results
  go run ./internal/bench -short     what CI guards: five rounds, compared with internal/bench/results

Each system runs between two network namespaces, joined by veth or by an emulated line. In each round every system is
measured in turn: compare within a run, by the ratios, and not from one run to another. Both ends, the load and the system's
own work share the processors, which are kept awake meanwhile: see -sleep. What seems to have fallen, with -short, is
measured again beside the build whose results are committed, where the repository has it.

-only delay measures a ping beside a bulk transfer, and how two of those share, over a line that -line describes. Words that
may follow say less: up, down, both, cubic, bbr (inside the tunnel). -short leaves out how they share.
Scenarios of many sessions over loopback, without root, each by -only NAME: scale, storm, fair, stall, routes; and -soak 10m.
With -short they take seconds and few sessions.`

// control is the congestion control of every connection, inside and outside of tunnels, where a row does not say another.
const control = "cubic"

// shortLine has a delay that is all queue.
const shortLine = "20,1ms,300ms"

// A config is the command line.
type config struct {
	short   bool
	only    string
	out     string
	rounds  int
	seconds time.Duration
	profile string
	other   string
	line    string
	soak    time.Duration
	sleep   bool

	committed bool // the committed build is measured beside this one
}

func parse(args []string, stderr io.Writer) (*config, error) {
	c := new(config)
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprintln(stderr, usage); fmt.Fprintln(stderr); fs.PrintDefaults() }
	fs.BoolVar(&c.short, "short", false, "five short rounds of what is promised; fails when a ratio has fallen by a third")
	fs.StringVar(&c.only, "only", "", "`WORDS`, separated by commas: systems, loads and wires (veth, narrow, lossy) to measure, as sstp,wireguard,down")
	fs.StringVar(&c.out, "out", "", "`DIR` to write results to; without, internal/bench/results, if everything was measured")
	fs.IntVar(&c.rounds, "rounds", 0, "how often each is measured at full speed; 0 means 3, with -short 5")
	fs.DurationVar(&c.seconds, "t", 0, "how long each measurement at full speed takes; 0 means 1.5 s, with -short 1 s")
	fs.StringVar(&c.profile, "profile", "", "`DIR` to write to where the cycles of both ends go, kernel and program, by perf under one more load each")
	fs.DurationVar(&c.soak, "soak", 0, "instead of all else, have sessions come and go for so long, and look whether everything comes back; no root")
	fs.BoolVar(&c.sleep, "sleep", false, "let the processors sleep between two packets, as most machines do; without, they wait awake, where root asks for it on Linux")
	fs.StringVar(&c.other, "other", "", "`DIR` with sstpd and sstpc of another build, or scripts that start one in another way, to be measured beside this one's")
	fs.StringVar(&c.line, "line", shortLine, "for -only delay, the line: `RATE,RTT,QUEUE` are its rate in Mbit/s, or several in turn, as 20/5/20; its round trip, and how long a packet may wait; then, where there are any, the loss in per cent, and outside, for a transfer beside the tunnel")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("%q: there are only flags", fs.Arg(0))
	}
	if c.rounds == 0 {
		c.rounds = 3
		if c.short {
			c.rounds = 5
		}
	}
	if c.seconds == 0 && c.about("delay") {
		c.seconds = 8 * time.Second
	}
	if c.seconds == 0 {
		c.seconds = 1500 * time.Millisecond
		if c.short {
			c.seconds = time.Second
		}
	}
	return c, nil
}

// wants reports whether -only leaves something that has one of several names: each word must be about something else, or
// be one of them.
func (c *config) wants(kinds []string, name string) bool {
	if c.only == "" {
		return true
	}
	about := false
	for _, word := range strings.Split(c.only, ",") {
		for _, k := range kinds {
			if k == word {
				about = true
				if word == name {
					return true
				}
			}
		}
	}
	return !about
}

// about reports whether -only has a word.
func (c *config) about(word string) bool { return slices.Contains(strings.Split(c.only, ","), word) }

func main() {
	if len(os.Args) > 2 && os.Args[1] == roleArg {
		fail(runRole(os.Args[2:]))
		return
	}
	if len(os.Args) == 5 && os.Args[1] == crowd.RoleArg {
		fail(crowd.Serve(os.Args[2], os.Args[3], os.Args[4], os.Stdin, os.Stdout))
		return
	}
	c, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	fail(err)
	defer c.stayAwake()()
	if names := c.scenarios(); len(names) > 0 {
		for _, name := range names {
			fail(crowd.Run(name, crowd.Options{Host: c.sleeping(), Short: c.short, Out: os.Stdout, Dir: c.out, Soak: c.soak}))
		}
		return
	}
	if c.about("delay") {
		fail(delay(c))
		return
	}
	fail(measure(c))
}

// stayAwake keeps the processors from sleeping, unless -sleep says not to, or who runs this may not.
func (c *config) stayAwake() (end func()) {
	if c.sleep {
		return func() {}
	}
	held, err := stayAwake()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: the processors will sleep between two packets, which costs a tunnel more than a copy:", err)
		c.sleep = true
		return func() {}
	}
	return func() { held.Close() }
}

// sleeping says whether the processors do.
func (c *config) sleeping() string {
	if c.sleep {
		return "processors that sleep"
	}
	return "processors kept awake"
}

// scenarios are the scenarios of many sessions that were asked for.
func (c *config) scenarios() (names []string) {
	if c.soak > 0 {
		return []string{"soak"}
	}
	for _, word := range strings.Split(c.only, ",") {
		if word != "soak" && slices.Contains(crowd.Names, word) {
			names = append(names, word)
		}
	}
	return names
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
