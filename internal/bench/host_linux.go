package main

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
)

// stayAwake keeps this machine's processors from sleeping until it is closed, or this program ends: Documentation/power's
// pm_qos_interface.rst. A virtual processor that sleeps has to wait until its host gives it back, and a tunnel sleeps more often
// than a copy does.
func stayAwake() (io.Closer, error) {
	f, err := os.OpenFile("/dev/cpu_dma_latency", os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(binary.NativeEndian.AppendUint32(nil, 0)) // microseconds to wake
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ticks are what the processors have done since they started, in units of the clock.
type ticks struct{ idle, taken, all int64 }

// readTicks reads the first line of /proc/stat: proc_stat(5).
func readTicks() (t ticks) {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line) {
		n, _ := strconv.ParseInt(f, 10, 64) // the first is "cpu"
		switch i {
		case 4, 5: // idle, iowait
			t.idle += n
		case 8: // steal
			t.taken += n
		case 9, 10: // guests, which user has, too
			continue
		}
		t.all += n
	}
	return t
}

// since is what parts of the processors' time idled, and were taken by the host.
func (t ticks) since(before ticks) (idle, taken float64) {
	all := float64(max(t.all-before.all, 1))
	return float64(t.idle-before.idle) / all, float64(t.taken-before.taken) / all
}
