package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// profile says where the cycles of both ends go, kernel and program, under one more load: by perf, whose report of each end
// is a file in dir.
func profile(dir, system string, o load, p *path, s *stage) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for side, end := range map[string]*process{"client": p.client, "server": p.server} {
		if end == nil {
			continue
		}
		name := filepath.Join(dir, system+"-"+o.name()+"-"+side)
		perf := exec.Command("perf", "record", "-q", "-e", "cpu-clock", "-F", "997", "-g", "-p", strconv.Itoa(end.cmd.Process.Pid), "-o", name+".perf")
		perf.Stderr = os.Stderr
		if err := perf.Start(); err != nil {
			return fmt.Errorf("perf: %w", err)
		}
		time.Sleep(time.Second) // perf begins
		_, _, err := p.load(o.way, o.streams, 4*time.Second, s.inner)
		perf.Process.Signal(syscall.SIGINT)
		if e := perf.Wait(); err == nil && e != nil && !errors.As(e, new(*exec.ExitError)) {
			err = e
		}
		if err != nil {
			return err
		}
		out, err := exec.Command("perf", "report", "-i", name+".perf", "--stdio", "--no-children", "-g", "none", "--percent-limit", "0.4", "--sort", "symbol").Output()
		if err != nil {
			return fmt.Errorf("perf report: %w", err)
		}
		if err := os.WriteFile(name+".txt", out, 0o644); err != nil {
			return err
		}
	}
	return nil
}
