package hostdns

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A state is what is set, written down as <device>.json in the directory of states.
type state struct {
	How    string `json:"how"`
	Device string `json:"device"`
	Index  int    `json:"index"` // of the device, when it was set: another one may have its name by now
	PID    int    `json:"pid"`
	Start  string `json:"start"` // of the process, as the system counts: another one may have its number by now
}

func newState(how, device string) *state {
	pid := os.Getpid()
	return &state{How: how, Device: device, Index: indexOf(device), PID: pid, Start: startOf(pid)}
}

func dirOf(dir string) string {
	if dir == "" {
		return DefaultDir
	}
	return dir
}

func (s *state) file(dir string) string { return filepath.Join(dirOf(dir), s.Device+".json") }

// write writes it down, all at once: what is read is always whole.
func (s *state) write(dir string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dirOf(dir), 0o700); err != nil {
		return fmt.Errorf("hostdns: %w", err)
	}
	f, err := os.CreateTemp(dirOf(dir), ".new")
	if err != nil {
		return fmt.Errorf("hostdns: %w", err)
	}
	_, err = f.Write(b)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), s.file(dir))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("hostdns: %w", err)
	}
	return nil
}

func (s *state) remove(dir string) { os.Remove(s.file(dir)) }

// readStates returns what is written down. What cannot be read is not ours.
func readStates(dir string) (list []*state) {
	files, _ := filepath.Glob(filepath.Join(dirOf(dir), "*.json"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		s := new(state)
		if json.Unmarshal(b, s) != nil || s.Device+".json" != filepath.Base(f) || checkDevice(s.Device) != nil {
			continue
		}
		list = append(list, s)
	}
	return list
}

// alive reports whether the process that set it still runs.
func (s *state) alive() bool {
	p, err := os.FindProcess(s.PID)
	if err != nil {
		return false
	}
	if err := p.Signal(syscall.Signal(0)); err != nil && err != os.ErrPermission {
		return false
	}
	return startOf(s.PID) == s.Start
}

// startOf returns when a process was started, where the system says so: field 22 of its stat, behind the name, which may
// have anything in it.
func startOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	text := string(b)
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(f) < 20 {
		return ""
	}
	return f[19]
}
