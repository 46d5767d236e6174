package ppp

// The automaton of RFC 1661 section 4: the table is the RFC's (section 4.1), held as data. step is pure.
//
//	            Up                    Open
//	 Initial ────────▶ Closed ──────────────────▶ Req-Sent ◀─────────────┐
//	    │ Open            ▲                        │      │              │ RCR-, RCN, RTA
//	    ▼        Up       │ TO-, RTA           RCA │      │ RCR+         │
//	 Starting ──────▶ Req-Sent                     ▼      ▼              │
//	                      │                  Ack-Rcvd    Ack-Sent        │
//	               Close  ▼                        │      │              │
//	 Closed ◀───────── Closing ◀──── Close    RCR+ └──▶ ◀─┘ RCA          │
//	 Stopped ◀──────── Stopping ◀─── RTR ──────────  Opened ─────────────┘

type fsmState uint8

const (
	stateInitial  fsmState = iota // lower layer down, no Open
	stateStarting                 // lower layer down, Open
	stateClosed                   // lower layer up, no Open
	stateStopped                  // Open, gave up or was terminated
	stateClosing                  // Terminate-Request sent, on Close
	stateStopping                 // Terminate-Request sent or acked, Open
	stateReqSent
	stateAckRcvd
	stateAckSent
	stateOpened
	numStates
)

func (s fsmState) String() string {
	return [...]string{"Initial", "Starting", "Closed", "Stopped", "Closing", "Stopping", "Req-Sent", "Ack-Rcvd", "Ack-Sent", "Opened"}[s]
}

type fsmEvent uint8

const (
	evUp           fsmEvent = iota // lower layer is up
	evDown                         // lower layer is down
	evOpen                         // administrative Open
	evClose                        // administrative Close
	evTimeout                      // TO+: restart timer, counter above zero
	evTimeoutFinal                 // TO-: restart timer, counter expired
	evRequestGood                  // RCR+
	evRequestBad                   // RCR-
	evAck                          // RCA
	evNak                          // RCN: Configure-Nak or -Reject
	evTerminate                    // RTR
	evTerminateAck                 // RTA
	evUnknown                      // RUC
	evRejectOK                     // RXJ+: a Code- or Protocol-Reject that can be lived with
	evRejectFatal                  // RXJ-
	evEcho                         // RXR: Echo-Request, Echo-Reply, Discard-Request
	numEvents
)

// fsmActions is the set of actions of a transition, to be taken in the order of the bits.
type fsmActions uint16

const (
	actLayerDown      fsmActions = 1 << iota // tld
	actLayerStarted                          // tls
	actInitCounter                           // irc
	actZeroCounter                           // zrc
	actSendRequest                           // scr
	actSendAck                               // sca
	actSendNak                               // scn
	actSendTerminate                         // str
	actSendTermAck                           // sta
	actSendCodeReject                        // scj
	actSendEchoReply                         // ser
	actLayerUp                               // tlu: after the Ack is sent, so that nothing of the layer overtakes it
	actLayerFinished                         // tlf
	actUndefined                             // "-": cannot happen; nothing is done
)

type fsmCell struct {
	actions fsmActions
	next    fsmState
}

const (
	tlu = actLayerUp
	tld = actLayerDown
	tst = actLayerStarted // tls; the name belongs to crypto/tls
	tlf = actLayerFinished
	irc = actInitCounter
	zrc = actZeroCounter
	scr = actSendRequest
	sca = actSendAck
	scn = actSendNak
	str = actSendTerminate
	sta = actSendTermAck
	scj = actSendCodeReject
	ser = actSendEchoReply
	und = actUndefined
)

// fsmTable is the table of RFC 1661 section 4.1, states 0 to 9 in each row. Its options "p" (passive) and "r" (restart)
// are not used.
var fsmTable = [numEvents][numStates]fsmCell{
	evUp:           {{0, 2}, {irc | scr, 6}, {und, 2}, {und, 3}, {und, 4}, {und, 5}, {und, 6}, {und, 7}, {und, 8}, {und, 9}},
	evDown:         {{und, 0}, {und, 1}, {0, 0}, {tst, 1}, {0, 0}, {0, 1}, {0, 1}, {0, 1}, {0, 1}, {tld, 1}},
	evOpen:         {{tst, 1}, {0, 1}, {irc | scr, 6}, {0, 3}, {0, 5}, {0, 5}, {0, 6}, {0, 7}, {0, 8}, {0, 9}},
	evClose:        {{0, 0}, {tlf, 0}, {0, 2}, {0, 2}, {0, 4}, {0, 4}, {irc | str, 4}, {irc | str, 4}, {irc | str, 4}, {tld | irc | str, 4}},
	evTimeout:      {{und, 0}, {und, 1}, {und, 2}, {und, 3}, {str, 4}, {str, 5}, {scr, 6}, {scr, 6}, {scr, 8}, {und, 9}},
	evTimeoutFinal: {{und, 0}, {und, 1}, {und, 2}, {und, 3}, {tlf, 2}, {tlf, 3}, {tlf, 3}, {tlf, 3}, {tlf, 3}, {und, 9}},
	evRequestGood:  {{und, 0}, {und, 1}, {sta, 2}, {irc | scr | sca, 8}, {0, 4}, {0, 5}, {sca, 8}, {sca | tlu, 9}, {sca, 8}, {tld | scr | sca, 8}},
	evRequestBad:   {{und, 0}, {und, 1}, {sta, 2}, {irc | scr | scn, 6}, {0, 4}, {0, 5}, {scn, 6}, {scn, 7}, {scn, 6}, {tld | scr | scn, 6}},
	evAck:          {{und, 0}, {und, 1}, {sta, 2}, {sta, 3}, {0, 4}, {0, 5}, {irc, 7}, {scr, 6}, {irc | tlu, 9}, {tld | scr, 6}},
	evNak:          {{und, 0}, {und, 1}, {sta, 2}, {sta, 3}, {0, 4}, {0, 5}, {irc | scr, 6}, {scr, 6}, {irc | scr, 8}, {tld | scr, 6}},
	evTerminate:    {{und, 0}, {und, 1}, {sta, 2}, {sta, 3}, {sta, 4}, {sta, 5}, {sta, 6}, {sta, 6}, {sta, 6}, {tld | zrc | sta, 5}},
	evTerminateAck: {{und, 0}, {und, 1}, {0, 2}, {0, 3}, {tlf, 2}, {tlf, 3}, {0, 6}, {0, 6}, {0, 8}, {tld | scr, 6}},
	evUnknown:      {{und, 0}, {und, 1}, {scj, 2}, {scj, 3}, {scj, 4}, {scj, 5}, {scj, 6}, {scj, 7}, {scj, 8}, {scj, 9}},
	evRejectOK:     {{und, 0}, {und, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}, {0, 6}, {0, 6}, {0, 8}, {0, 9}},
	evRejectFatal:  {{und, 0}, {und, 1}, {tlf, 2}, {tlf, 3}, {tlf, 2}, {tlf, 3}, {tlf, 3}, {tlf, 3}, {tlf, 3}, {tld | irc | str, 5}},
	evEcho:         {{und, 0}, {und, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}, {0, 6}, {0, 7}, {0, 8}, {ser, 9}},
}

// step returns what an event does in a state.
func step(s fsmState, e fsmEvent) (fsmActions, fsmState) {
	c := fsmTable[e][s]
	return c.actions, c.next
}
