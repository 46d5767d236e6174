package layers

import (
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// inlined are functions that every packet passes, or every few: a call of each would be felt. One that grows beyond what
// the compiler inlines is a line here that fails.
var inlined = map[string][]string{
	"internal/packet": {
		"Fold", "fold", "HasPorts", "IPv4.Dst", "IPv4.HeaderLen", "IPv4.Payload", "IPv4.Proto", "IPv4.Src", "IPv4.TTL", "IPv4.DecrementTTL",
		"IPv6.Dst", "IPv6.HopLimit", "IPv6.Src", "ParseIPv4", "ParseIPv6", "UpdateChecksum", "mix",
	},
	"internal/offload": {"(*Header).Decode", "(*Header).Encode", "(*Joiner).Len", "(*Splitter).More", "(*segment).payload"},
	"internal/tlsconn": {"(*records).limit", "(*records).pass", "(*sock).waits", "(*sock).backlog", "(*Conn).Backlog"},
	"internal/rawio":   {"(*Reader).Paused", "(*Reader).long"},
	"ppp":              {"parseFrame", "covers", "(*flowQueue).shift", "(*flowQueue).take", "(*flowList).push", "(*flowList).pop", "(*Stream).mustWait", "(*Stream).mayWrite"},
	"sstp":             {"framing.AppendFrame", "framing.MaxFrame"},
	"tunnel":           {"(*batch).fits", "(*batch).add", "mtuOf", "forwards", "(*from).receiver"},
	"tunnel/tun":       {"bySource", "isCut", "(*refusals).taken"},
}

func TestInlining(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Log("the list is for amd64 and arm64")
		return
	}
	for pkg, want := range inlined {
		if pkg == "tunnel/tun" && runtime.GOOS != "linux" {
			continue
		}
		out, err := exec.Command("go", "build", "-gcflags=-m", root+"/"+pkg).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%.2000s", err, out)
		}
		var can []string
		for line := range strings.Lines(string(out)) {
			if _, name, ok := strings.Cut(strings.TrimSpace(line), ": can inline "); ok {
				can = append(can, name)
			}
		}
		for _, name := range want {
			if !slices.Contains(can, name) {
				t.Errorf("%s: %s is not inlined", pkg, name)
			}
		}
	}
}
