package netstack

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/dialway/dialway/internal/offload/offloadtest"
	"github.com/dialway/dialway/internal/packet"
)

// streamTo is a run of segments from 10.0.0.1 to 10.0.0.2.
func streamTo() [][]byte {
	list := offloadtest.Stream()
	for _, p := range list {
		p[15], p[19] = 1, 2
		v4 := packet.IPv4(p)
		v4.SetChecksum()
		t := v4.Payload()
		t[16], t[17] = 0, 0
		binary.BigEndian.PutUint16(t[16:], packet.Checksum(t, packet.PseudoSum(v4.Src(), v4.Dst(), packet.ProtoTCP, len(t))))
	}
	return list
}

// A run of segments is one packet to the stack; what cannot be joined is delivered as it is, in its place.
func TestRunsReachTheStackAsOne(t *testing.T) {
	for name, c := range map[string]struct {
		change func(list [][]byte) [][]byte
		want   uint64
	}{
		"a run":        {func(list [][]byte) [][]byte { return list }, 1},
		"a hole":       {func(list [][]byte) [][]byte { return append(list[:20:20], list[21:]...) }, 2},
		"bad checksum": {func(list [][]byte) [][]byte { list[20][60]++; return list }, 3},
		"single":       {func(list [][]byte) [][]byte { return list[:1] }, 1},
	} {
		s := new(Stack)
		if err := s.SetAddrs(netip.MustParseAddr("10.0.0.2")); err != nil {
			t.Fatal(err)
		}
		list := c.change(streamTo())
		if n, err := s.Write(list, 0); n != len(list) || err != nil {
			t.Error(name, n, err)
		}
		if got := s.core.Load().gv.Stats().IP.PacketsReceived.Value(); got != c.want {
			t.Errorf("%s: %d packets, want %d", name, got, c.want)
		}
		s.Close()
	}
}
