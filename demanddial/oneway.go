package demanddial

import "time"

const (
	oneWayAfter   = 30 * time.Second
	oneWayPackets = 5
)

// oneWay watches a call that was dialled for packets that go and never come back. A router whose user name is no
// interface's at the far side is a client there: its packets arrive, and nothing is routed back.
type oneWay struct {
	at     time.Time // when to look; zero: not at all
	tx, rx uint64    // when the call came into use
}

func (e *engine) watchOneWay(c *call, now time.Time) {
	e.oneWay = oneWay{}
	if c.dialled && len(e.Routes) > 0 && !e.Host {
		e.oneWay = oneWay{now.Add(oneWayAfter), e.n.txPackets.Load(), e.n.rxPackets.Load()}
	}
}

func (e *engine) lookOneWay(now time.Time) {
	w := &e.oneWay
	if w.at.IsZero() || now.Before(w.at) {
		return
	}
	switch {
	case e.current == nil, e.n.rxPackets.Load() > w.rx:
		w.at = time.Time{}
	case e.n.txPackets.Load()-w.tx < oneWayPackets:
		w.at = now.Add(oneWayAfter)
	default:
		w.at = time.Time{}
		_, user := splitDomain(e.User)
		e.log.Warn("packets go and none come back: the far side may take this router for a client",
			"to", e.current.to, "user", e.User, "fix", "the far side's interface for this router must be named "+user+", and be enabled")
	}
}
