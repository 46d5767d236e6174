package ppp

import (
	"strings"
	"testing"
)

// rfc1661Table is the table of RFC 1661 section 4.1, both halves side by side: actions, a slash, the next state. "-" cannot
// happen. The footnotes p, r and x are left out.
const rfc1661Table = `
Up     2     irc,scr/6  -      -              -      -      -          -        -          -
Down   -     -          0      tls/1          0      1      1          1        1          tld/1
Open   tls/1 1          irc,scr/6 3           5      5      6          7        8          9
Close  0     tlf/0      2      2              4      4      irc,str/4  irc,str/4 irc,str/4 tld,irc,str/4
TO+    -     -          -      -              str/4  str/5  scr/6      scr/6    scr/8      -
TO-    -     -          -      -              tlf/2  tlf/3  tlf/3      tlf/3    tlf/3      -
RCR+   -     -          sta/2  irc,scr,sca/8  4      5      sca/8      sca,tlu/9 sca/8     tld,scr,sca/8
RCR-   -     -          sta/2  irc,scr,scn/6  4      5      scn/6      scn/7    scn/6      tld,scr,scn/6
RCA    -     -          sta/2  sta/3          4      5      irc/7      scr/6    irc,tlu/9  tld,scr/6
RCN    -     -          sta/2  sta/3          4      5      irc,scr/6  scr/6    irc,scr/8  tld,scr/6
RTR    -     -          sta/2  sta/3          sta/4  sta/5  sta/6      sta/6    sta/6      tld,zrc,sta/5
RTA    -     -          2      3              tlf/2  tlf/3  6          6        8          tld,scr/6
RUC    -     -          scj/2  scj/3          scj/4  scj/5  scj/6      scj/7    scj/8      scj/9
RXJ+   -     -          2      3              4      5      6          6        8          9
RXJ-   -     -          tlf/2  tlf/3          tlf/2  tlf/3  tlf/3      tlf/3    tlf/3      tld,irc,str/5
RXR    -     -          2      3              4      5      6          7        8          ser/9
`

func TestStepIsTheTableOfRFC1661(t *testing.T) {
	events := map[string]fsmEvent{
		"Up": evUp, "Down": evDown, "Open": evOpen, "Close": evClose, "TO+": evTimeout, "TO-": evTimeoutFinal,
		"RCR+": evRequestGood, "RCR-": evRequestBad, "RCA": evAck, "RCN": evNak, "RTR": evTerminate, "RTA": evTerminateAck,
		"RUC": evUnknown, "RXJ+": evRejectOK, "RXJ-": evRejectFatal, "RXR": evEcho,
	}
	actions := map[string]fsmActions{
		"tlu": actLayerUp, "tld": actLayerDown, "tls": actLayerStarted, "tlf": actLayerFinished, "irc": actInitCounter,
		"zrc": actZeroCounter, "scr": actSendRequest, "sca": actSendAck, "scn": actSendNak, "str": actSendTerminate,
		"sta": actSendTermAck, "scj": actSendCodeReject, "ser": actSendEchoReply,
	}
	seen := 0
	for line := range strings.Lines(strings.TrimSpace(rfc1661Table)) {
		cells := strings.Fields(line)
		e, ok := events[cells[0]]
		if !ok || len(cells) != 1+int(numStates) {
			t.Fatalf("bad line %q", line)
		}
		for s, cell := range cells[1:] {
			seen++
			got, next := step(fsmState(s), e)
			if cell == "-" {
				if got != actUndefined || next != fsmState(s) {
					t.Errorf("%s in %v: %b, %v; it cannot happen", cells[0], fsmState(s), got, next)
				}
				continue
			}
			list, state, found := strings.Cut(cell, "/")
			if !found {
				list, state = "", list
			}
			var want fsmActions
			for name := range strings.SplitSeq(list, ",") {
				a, ok := actions[name]
				if !ok && name != "" {
					t.Fatalf("no action %q", name)
				}
				want |= a
			}
			if got != want || next != fsmState(state[0]-'0') {
				t.Errorf("%s in %v: actions %013b to %v, want %013b to %s", cells[0], fsmState(s), got, next, want, state)
			}
		}
	}
	if seen != int(numEvents)*int(numStates) {
		t.Errorf("%d cells", seen)
	}
}

func TestStatesHaveNames(t *testing.T) {
	for s := range numStates {
		if s.String() == "" {
			t.Errorf("state %d", s)
		}
	}
}
