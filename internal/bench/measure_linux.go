package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A load is one way to load a system.
type load struct {
	way     string // up, down, both; idle: pings alone
	streams int
	ping    bool // at the same time
}

func (o load) name() string { return fmt.Sprint(o.way, o.streams) }

// A stage is systems that run beside each other, each in a lab of its own, and are loaded one after the other.
type stage struct {
	wire    wire
	inner   string // congestion control of the load
	outer   string // of the tunnels
	systems []string
	loads   []load
	rounds  int
	length  time.Duration // of a load
	settle  time.Duration // from the beginning of a load to the first ping
}

var (
	allLoads   = []load{{"up", 1, false}, {"down", 1, false}, {"both", 1, false}, {"up", 8, false}, {"down", 8, false}, {"both", 8, false}}
	pingLoads  = []load{{"idle", 0, true}, {"up", 1, true}, {"down", 1, true}}
	lossLoads  = []load{{"up", 1, true}, {"down", 1, true}}
	shortLoads = allLoads[:2]
)

// stages is what is measured.
func stages(c *config) []stage {
	tunnels := []string{sysTLS, sysSSTP, sysWG}
	if c.other != "" {
		tunnels = append(tunnels, sysOther)
	}
	stacks := []string{sysStack, sysWGStack}
	single := []string{sysSingle, sysUndrained}
	if c.committed {
		tunnels = append(tunnels, committed(sysSSTP))
		stacks = append(stacks, committed(sysStack))
		single = append(single, committed(sysSingle), committed(sysUndrained))
	}
	if c.short {
		return []stage{
			{veth, control, control, append(tunnels, stacks...), shortLoads, c.rounds, c.seconds, 0},
			{veth, control, control, single, shortLoads[:1], c.rounds, c.seconds, 0},
		}
	}
	everything := append(append([]string{sysNone, sysOpenVPN}, tunnels...), stacks...)
	withPing := []string{sysNone, sysSSTP, sysWG, sysOpenVPN}
	overTCP := []string{sysSSTP, sysOpenVPN}
	return []stage{
		{veth, control, control, everything, allLoads, c.rounds, c.seconds, 0},
		{veth, control, control, single, shortLoads[:1], c.rounds, c.seconds, 0},
		{veth, "bbr", "bbr", []string{sysNone, sysTLS, sysSSTP, sysWG}, shortLoads[:1], c.rounds, c.seconds, 0},
		{veth, control, control, withPing, pingLoads[:2], 1, 2 * time.Second, 500 * time.Millisecond},
		{narrow, "cubic", "cubic", withPing, pingLoads, 1, 8 * time.Second, 2 * time.Second},
		{narrow, "cubic", "bbr", overTCP, pingLoads[1:], 1, 8 * time.Second, 2 * time.Second},
		{narrow, "bbr", "bbr", withPing, pingLoads[1:2], 1, 6 * time.Second, 2 * time.Second},
		{lossy, "cubic", "cubic", withPing, lossLoads, 1, 6 * time.Second, time.Second},
		{lossy, "cubic", "bbr", overTCP, lossLoads, 1, 6 * time.Second, time.Second},
	}
}

// withPrograms calls f with a directory that has the programs, and with every congestion control allowed. Told to end, it
// ends what was started and puts back what was changed.
func withPrograms(f func(dir string) error) error {
	if os.Getuid() != 0 {
		return errors.New("needs root, for network namespaces")
	}
	dir, err := os.MkdirTemp("", "dialway-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := setup(dir); err != nil {
		return err
	}
	restore, err := allowControls()
	if err != nil {
		return fmt.Errorf("congestion controls: %w", err)
	}
	defer restore()
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-told
		children.kill()
		restore()
		os.RemoveAll(dir)
		os.Exit(1)
	}()
	return f(dir)
}

// measure is the program.
func measure(c *config) error {
	return withPrograms(func(dir string) error { return measureIn(c, dir) })
}

func measureIn(c *config, dir string) error {
	otherBuild = c.other

	r := &result{Machine: machine() + ", " + c.sleeping(), When: time.Now().UTC().Format("2006-01-02")}
	more := func() error {
		for _, s := range stages(c) {
			if err := s.run(c, dir, r, os.Stderr); err != nil {
				return err
			}
		}
		r.Rounds += c.rounds
		r.finish()
		r.print(os.Stdout)
		return nil
	}
	if err := more(); err != nil {
		return err
	}
	return conclude(c, dir, r, more)
}

// results is where a whole run is kept.
func results() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/dialway/dialway/internal/bench").Output()
	return filepath.Join(strings.TrimSpace(string(out)), "results"), err
}

// conclude writes what is to be kept, and compares a short run. What seems to have fallen is measured again, twice at most,
// beside the committed build: these machines are shared and differ, so that the median of more rounds decides, and what the
// committed build reaches in the same rounds is asked for, if this machine does not let that reach what is committed.
func conclude(c *config, dir string, r *result, more func() error) error {
	kept, err := results()
	if err != nil {
		return fmt.Errorf("where the results are: %w", err)
	}
	out := c.out
	if out == "" && !c.short && c.only == "" {
		out = kept
	}
	if out != "" {
		if err := r.keep(out); err != nil {
			return err
		}
	}
	if !c.short {
		return nil
	}
	then, err := readResult(filepath.Join(kept, "results.json"))
	if err != nil {
		return err
	}
	for again := 0; ; again++ {
		fmt.Println()
		fallen := guard(r, then, os.Stdout)
		if fallen == nil || again == 2 {
			return fallen
		}
		if again == 0 {
			if err := buildCommitted(kept, filepath.Join(dir, ofCommitted)); err != nil {
				fmt.Printf("the committed build cannot be measured beside this one: %v\n", err)
			} else {
				c.committed = true
			}
		}
		if err := more(); err != nil {
			return err
		}
	}
}

// keep writes a result as numbers, as text and as a picture.
func (r *result) keep(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := os.Create(filepath.Join(dir, "results.txt"))
	if err != nil {
		return err
	}
	r.print(text)
	return errors.Join(text.Close(), r.write(filepath.Join(dir, "results.json")), r.draw(filepath.Join(dir, "results.svg")))
}

// A running system is in a lab of its own.
type running struct {
	name string
	lab  *lab
	path *path
}

// run starts the systems of a stage, and measures them in turns; over a line that is much slower than this machine, all at
// the same time.
func (s *stage) run(c *config, dir string, r *result, progress io.Writer) error {
	if !c.wants([]string{veth.word, narrow.word, lossy.word}, s.wire.word) {
		return nil
	}
	var names []string
	for _, x := range systems {
		names = append(names, x.name)
	}
	var loads []load
	for _, o := range s.loads {
		if c.wants([]string{"up", "down", "both", "idle"}, o.way) {
			loads = append(loads, o)
		}
	}
	var all []running
	defer func() {
		for _, x := range all {
			x.lab.close()
		}
	}()
	for _, x := range systems {
		if !slices.Contains(s.systems, x.name) || !c.wants(names, strings.TrimSuffix(x.name, ofCommitted)) || len(loads) == 0 {
			continue
		}
		if x.need != "" {
			if _, err := exec.LookPath(x.need); err != nil {
				return fmt.Errorf("%s: needs %s", x.name, x.need)
			}
		}
		var l *lab
		var p *path
		err := attempt(func() { l = newLab(dir, s.wire, s.outer); p = x.start(l) })
		if l != nil {
			all = append(all, running{x.name, l, p})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
	}
	for round := range s.rounds {
		for _, o := range loads {
			readings, err := s.measure(all, o)
			if err != nil {
				return err
			}
			for i, x := range all {
				what := readings[i]
				what.Round = r.Rounds + round + 1
				r.add(s.key(x.name, o), what)
				fmt.Fprintf(progress, "%s, round %d, %s %s: %.0f Mbit/s, CPU %.2f + %.2f s/GiB, idle %s, taken %s, ping %.1f/%.1f ms\n",
					s.wire.Name, what.Round, x.name, o.name(), what.Mbit, what.Client, what.Server, percent(what.Idle), percent(what.Taken), what.P50, what.P99)
			}
			if c.profile != "" {
				for _, x := range all {
					if err := profile(c.profile, x.name, o, x.path, s); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// key is the row of a system under a load.
func (s *stage) key(system string, o load) row {
	key := row{System: system, Wire: s.wire.Name, Load: o.way, Streams: o.streams, Inner: s.inner, Outer: s.outer}
	if o.ping && s.wire.line == nil {
		key.Wire += ", pinged" // which costs it something
	}
	switch system {
	case sysNone, sysWG, sysWGStack:
		key.Outer = "" // it has no connections
	case sysTLS:
		key.Inner = "" // it carries none
	}
	return key
}

// measure loads each system once.
func (s *stage) measure(all []running, o load) ([]reading, error) {
	readings, errs := make([]reading, len(all)), make([]error, len(all))
	var wg sync.WaitGroup
	for i, x := range all {
		one := func() {
			var err error
			if readings[i], err = s.one(x.lab, x.path, o); err != nil {
				errs[i] = fmt.Errorf("%s, %s: %w", x.name, o.name(), err)
			}
		}
		if s.wire.line != nil {
			wg.Go(one)
		} else {
			one()
		}
	}
	wg.Wait()
	return readings, errors.Join(errs...)
}

// one is one measurement.
func (s *stage) one(l *lab, p *path, o load) (what reading, err error) {
	if o.way == "idle" {
		list, err := l.ping(p.target, int(s.length/(40*time.Millisecond)))
		return reading{P50: percentile(list, 50), P99: percentile(list, 99)}, err
	}
	pinged := make(chan error, 1)
	if o.ping {
		go func() {
			time.Sleep(s.settle)
			list, err := l.ping(p.target, int((s.length-s.settle)/(20*time.Millisecond))-5)
			what.P50, what.P99 = percentile(list, 50), percentile(list, 99)
			pinged <- err
		}()
	} else {
		pinged <- nil
	}
	client, server, before := p.client.cpu(), p.server.cpu(), readTicks()
	bytes, took, err := p.load(o.way, o.streams, s.length, s.inner)
	client, server = p.client.cpu()-client, p.server.cpu()-server
	if err := errors.Join(err, <-pinged); err != nil {
		return what, err
	}
	what.Idle, what.Taken = readTicks().since(before)
	what.Mbit = float64(bytes) * 8 / took.Seconds() / 1e6
	if gib := float64(bytes) / (1 << 30); gib > 1.0/32 { // the clock of processor time is a coarse one
		what.Client, what.Server = client.Seconds()/gib, server.Seconds()/gib
	}
	return what, nil
}
