package radius

import (
	"net/netip"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A Record is one accounting request, read as RFC 2866 section 5 has it. What has no field is in Packet.
type Record struct {
	Status  string // "Start", "Interim", "Stop", "On", "Off"; empty for another
	Session string // unique to the access server and its boots only
	User    string
	NAS     string        // as it calls itself, or where it is
	Addr    netip.Addr    // the far side's
	At      time.Time     // when it happened
	Time    time.Duration // of the session so far
	Stats   ppp.Stats     // Rx is from the far side: RADIUS' input
	Cause   ppp.Cause
	Packet  *Packet // as it came
}

// Values of Acct-Status-Type, RFC 2866 section 5.1.
const (
	statusStart   = 1
	statusStop    = 2
	statusInterim = 3
	statusOn      = 7
	statusOff     = 8
)

var statusNames = map[uint32]string{statusStart: "Start", statusStop: "Stop", statusInterim: "Interim", statusOn: "On", statusOff: "Off"}

// newRecord reads a request. What is missing or malformed is zero: a record that is odd is still one to keep, and an access
// server that gets no answer sends it again for ever.
func newRecord(p *Packet, from netip.AddrPort) *Record {
	n := func(a Attr) uint64 {
		n, _ := p.uint32(a)
		return uint64(n)
	}
	r := &Record{
		Status:  statusNames[uint32(n(AcctStatusType))],
		Session: p.text(AcctSessionID), User: p.text(UserName), NAS: nasName(p, from),
		Time: time.Duration(n(AcctSessionTime)) * time.Second,
		Stats: ppp.Stats{
			RxPackets: n(AcctInputPackets), RxBytes: n(AcctInputGigawords)<<32 | n(AcctInputOctets),
			TxPackets: n(AcctOutputPackets), TxBytes: n(AcctOutputGigawords)<<32 | n(AcctOutputOctets),
		},
		Cause:  ppp.Cause(min(n(AcctTerminateCause), 255)),
		Packet: p,
	}
	v, _ := p.Get(FramedIPAddress)
	r.Addr, _ = netip.AddrFromSlice(v)
	// The access server's own clock, where it says; else from how long it says that it has tried (section 5.2).
	if t := n(EventTimestamp); t != 0 {
		r.At = time.Unix(int64(t), 0)
	} else {
		r.At = time.Now().Add(-time.Duration(n(AcctDelayTime)) * time.Second)
	}
	return r
}
