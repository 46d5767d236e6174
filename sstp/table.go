package sstp

// A call's states and what each message does in them, [MS-SSTP] sections 3.1.1, 3.2.1.1.1 and 3.3.1.1.1. The two roles
// have the same states under two names.
//
//	client                     server
//
//	HTTP 200                   HTTP 200
//	   | send Request             |
//	   v                          v
//	connecting  <--+ Nak:      connecting  <--+ bad Request:
//	(Request_      | send      (Connect_      | send Nak, three
//	 Sent)      ---+ Request    Request_   ---+ at most
//	   | Ack         again      Pending)
//	   |                          | Request: send Ack
//	   v                          v
//	authenticating             authenticating  ---- Connected, no keys yet ---> held
//	(Ack_Received)             (Connected_Pending)                               |
//	   | Bind:                    | Connected and Bind,                          | Bind: checked
//	   | send Connected           | checked                                      |
//	   v                          v                                              |
//	open  (Call_Connected)     open  <-------------------------------------------+
//
//	any of these --- Abort! --------> abortSent ------- Abort -----> abortDone ------- T2 ---> down
//	             --- Abort: reply -------------------------------> abortDone
//	             --- end the call --> disconnectSent -- Ack --------------------------------> down
//	                                  disconnectSent -- Disconnect: Ack -> disconnectDone
//	             --- Disconnect: Ack ----------------------------> disconnectDone - T2 ---> down
//	                                  abortSent, disconnectSent ---------- T1 --------------> down
//	             --- the connection is lost, or two silent Hello intervals -----------------> down
//
// Abort! sends a Call Abort with a status and waits for the far side's.
type state uint8

const (
	connecting     state = iota // Client_Connect_Request_Sent, Server_Connect_Request_Pending
	authenticating              // Client_Connect_Ack_Received, Server_Call_Connected_Pending
	held                        // a server's own: as authenticating, with a Call Connected that waits for the keys
	open                        // Client_Call_Connected, Server_Call_Connected
	abortSent                   // Call_Abort_Pending
	abortDone                   // Call_Abort_Timeout_Pending
	disconnectSent              // Call_Disconnect_Ack_Pending
	disconnectDone              // Call_Disconnect_Timeout_Pending
	down                        // Client_Call_Disconnected, Server_Call_Disconnected
	numStates      = iota
)

var stateNames = [numStates]string{
	"connecting", "authenticating", "held", "open",
	"abort sent", "abort done", "disconnect sent", "disconnect done", "down",
}

func (s state) String() string { return stateNames[s] }

// live says whether the call has not begun to end.
func (s state) live() bool { return s <= open }

// An action is what a message makes a call do.
type action uint8

const (
	ignore          action = iota
	abort                  // Abort! with status UNACCEPTED_FRAME_RECEIVED
	takeRequest            // check a Request; Ack, Nak or Abort!
	takeAck                // check an Ack, begin PPP
	takeNak                // send the Request again, or Abort!
	takeConnected          // check a Call Connected, or hold it
	echo                   // answer
	heard                  // nothing: that something came restarts the Hello timer already
	replyAbort             // send an Abort, start T2
	crossAbort             // the Abort that answers ours: start T2
	replyDisconnect        // send a Disconnect Ack, start T2
	over                   // the Ack to our Disconnect: over
)

// The tables, [MS-SSTP] sections 3.2.5.3 and 3.3.5.2. Columns are states, in their order.
//
// What the specification leaves open: a message that only the other role may send, and Ack and Nak at a server, are
// refused like others that are wrong for the state. A server that holds a Call Connected answers echoes, since the
// client is Connected from the moment it has sent it (section 3.2.7.1). A Disconnect that crosses our Abort is ignored,
// as 3.2.5.3.5 has it against 3.2.4.2.
var (
	clientTable = [numMessages + 1][numStates]action{
		//                  connecting       authenticating   held             open             abortSent   abortDone disconnectSent   disconnectDone down
		msgConnectRequest: {abort, abort, ignore, abort, ignore, ignore, ignore, ignore, ignore},
		msgConnectAck:     {takeAck, abort, ignore, abort, ignore, ignore, ignore, ignore, ignore},
		msgConnectNak:     {takeNak, abort, ignore, abort, ignore, ignore, ignore, ignore, ignore},
		msgConnected:      {abort, abort, ignore, abort, ignore, ignore, ignore, ignore, ignore},
		msgAbort:          {replyAbort, replyAbort, ignore, replyAbort, crossAbort, ignore, replyAbort, ignore, ignore},
		msgDisconnect:     {replyDisconnect, replyDisconnect, ignore, replyDisconnect, ignore, ignore, replyDisconnect, ignore, ignore},
		msgDisconnectAck:  {abort, abort, ignore, abort, ignore, ignore, over, ignore, ignore},
		msgEchoRequest:    {abort, abort, ignore, echo, ignore, ignore, ignore, ignore, ignore},
		msgEchoResponse:   {abort, abort, ignore, heard, ignore, ignore, ignore, ignore, ignore},
	}
	serverTable = [numMessages + 1][numStates]action{
		//                  connecting       authenticating   held             open             abortSent   abortDone disconnectSent   disconnectDone down
		msgConnectRequest: {takeRequest, abort, abort, abort, ignore, ignore, ignore, ignore, ignore},
		msgConnectAck:     {abort, abort, abort, abort, ignore, ignore, ignore, ignore, ignore},
		msgConnectNak:     {abort, abort, abort, abort, ignore, ignore, ignore, ignore, ignore},
		msgConnected:      {abort, takeConnected, abort, abort, ignore, ignore, ignore, ignore, ignore},
		msgAbort:          {replyAbort, replyAbort, replyAbort, replyAbort, crossAbort, ignore, replyAbort, ignore, ignore},
		msgDisconnect:     {replyDisconnect, replyDisconnect, replyDisconnect, replyDisconnect, ignore, ignore, replyDisconnect, ignore, ignore},
		msgDisconnectAck:  {abort, abort, abort, abort, ignore, ignore, over, ignore, ignore},
		msgEchoRequest:    {abort, abort, echo, echo, ignore, ignore, ignore, ignore, ignore},
		msgEchoResponse:   {abort, abort, heard, heard, ignore, ignore, ignore, ignore, ignore},
	}
)

// step returns what message m does to a call in state s.
func step(server bool, s state, m message) action {
	if !m.known() {
		if s.live() {
			return abort // with INVALID_FRAME_RECEIVED, section 2.2.8
		}
		return ignore
	}
	if server {
		return serverTable[m][s]
	}
	return clientTable[m][s]
}
