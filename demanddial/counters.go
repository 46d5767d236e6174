package demanddial

import "sync/atomic"

// Counters count since the Interface was made.
type Counters struct {
	Dials, Failed, Answered uint64 // calls of Dial, those that failed, calls of the far side that were taken

	RxPackets, RxBytes, TxPackets, TxBytes uint64 // over the link

	Held     uint64 // packets that waited for a link
	Filtered uint64 // dropped by In, Out, or Demand while there was no link
	Rejected uint64 // could not be delivered: unreachable, or the dial failed
	Dropped  uint64 // more than Hold, or not taken by the link
}

type counters struct {
	dials, failed, answered                atomic.Uint64
	rxPackets, rxBytes, txPackets, txBytes atomic.Uint64
	held, filtered, rejected, dropped      atomic.Uint64
}

func (n *counters) load() Counters {
	return Counters{
		Dials: n.dials.Load(), Failed: n.failed.Load(), Answered: n.answered.Load(),
		RxPackets: n.rxPackets.Load(), RxBytes: n.rxBytes.Load(), TxPackets: n.txPackets.Load(), TxBytes: n.txBytes.Load(),
		Held: n.held.Load(), Filtered: n.filtered.Load(), Rejected: n.rejected.Load(), Dropped: n.dropped.Load(),
	}
}

// sum counts a run of packets in one direction.
func sum(packets, bytes *atomic.Uint64, bufs [][]byte, offset int) {
	var n uint64
	for _, b := range bufs {
		n += uint64(len(b) - offset)
	}
	packets.Add(uint64(len(bufs)))
	bytes.Add(n)
}
