package sstp

import (
	"strings"
	"testing"
)

// The tables of [MS-SSTP] sections 3.2.5.3.2 to 3.2.5.3.8 and 3.3.5.2.2 to 3.3.5.2.8, written as the sections are: one
// line a message, one word a state.
const (
	wantClient = `
		.               Request_Sent Ack_Received Connected AbortPending AbortTimeout DisconnectAck DisconnectTimeout Disconnected
		ACK             check        Abort!       Abort!    -            -            -             -                 -
		NAK             resend       Abort!       Abort!    -            -            -             -                 -
		ABORT           Abort+T2     Abort+T2     Abort+T2  T2           -            Abort+T2      -                 -
		DISCONNECT      Ack+T2       Ack+T2       Ack+T2    -            -            Ack+T2        -                 -
		DISCONNECT_ACK  Abort!       Abort!       Abort!    -            -            cleanup       -                 -
		ECHO_REQUEST    Abort!       Abort!       reply     -            -            -             -                 -
		ECHO_RESPONSE   Abort!       Abort!       hello     -            -            -             -                 -
		REQUEST         Abort!       Abort!       Abort!    -            -            -             -                 -
		CONNECTED       Abort!       Abort!       Abort!    -            -            -             -                 -
		10              Abort!       Abort!       Abort!    -            -            -             -                 -
		0               Abort!       Abort!       Abort!    -            -            -             -                 -`
	wantServer = `
		.               Request_Pending Connected_Pending held      Connected AbortPending AbortTimeout DisconnectAck DisconnectTimeout Disconnected
		REQUEST         validate        Abort!            Abort!    Abort!    -            -            -             -                 -
		CONNECTED       Abort!          validate2         Abort!    Abort!    -            -            -             -                 -
		ABORT           Abort+T2        Abort+T2          Abort+T2  Abort+T2  T2           -            Abort+T2      -                 -
		DISCONNECT      Ack+T2          Ack+T2            Ack+T2    Ack+T2    -            -            Ack+T2        -                 -
		DISCONNECT_ACK  Abort!          Abort!            Abort!    Abort!    -            -            cleanup       -                 -
		ECHO_REQUEST    Abort!          Abort!            reply     reply     -            -            -             -                 -
		ECHO_RESPONSE   Abort!          Abort!            hello     hello     -            -            -             -                 -
		ACK             Abort!          Abort!            Abort!    Abort!    -            -            -             -                 -
		NAK             Abort!          Abort!            Abort!    Abort!    -            -            -             -                 -
		10              Abort!          Abort!            Abort!    Abort!    -            -            -             -                 -
		65535           Abort!          Abort!            Abort!    Abort!    -            -            -             -                 -`
)

func TestEveryCell(t *testing.T) {
	states := map[string]state{
		"Request_Sent": connecting, "Request_Pending": connecting,
		"Ack_Received": authenticating, "Connected_Pending": authenticating, "held": held, "Connected": open,
		"AbortPending": abortSent, "AbortTimeout": abortDone, "DisconnectAck": disconnectSent,
		"DisconnectTimeout": disconnectDone, "Disconnected": down,
	}
	messages := map[string]message{
		"REQUEST": 1, "ACK": 2, "NAK": 3, "CONNECTED": 4, "ABORT": 5, "DISCONNECT": 6, "DISCONNECT_ACK": 7,
		"ECHO_REQUEST": 8, "ECHO_RESPONSE": 9, "0": 0, "10": 10, "65535": 65535,
	}
	actions := map[string]action{
		"-": ignore, "Abort!": abort, "check": takeAck, "resend": takeNak, "validate": takeRequest,
		"validate2": takeConnected, "Abort+T2": replyAbort, "T2": crossAbort, "Ack+T2": replyDisconnect,
		"cleanup": over, "reply": echo, "hello": heard,
	}
	for _, tt := range []struct {
		server bool
		table  string
		cells  int
	}{{false, wantClient, 11 * 8}, {true, wantServer, 11 * 9}} {
		lines := strings.Split(strings.TrimSpace(tt.table), "\n")
		columns := strings.Fields(lines[0])[1:]
		cells := 0
		for _, line := range lines[1:] {
			words := strings.Fields(line)
			m, ok := messages[words[0]]
			if !ok {
				t.Fatal(words[0])
			}
			for i, w := range words[1:] {
				s, okS := states[columns[i]]
				want, okA := actions[w]
				if !okS || !okA {
					t.Fatal(columns[i], w)
				}
				if got := step(tt.server, s, m); got != want {
					t.Errorf("server %v, %v in %v: action %d, want %s", tt.server, m, s, got, w)
				}
				cells++
			}
		}
		if cells != tt.cells {
			t.Errorf("%d cells looked at, want %d", cells, tt.cells)
		}
	}
}
