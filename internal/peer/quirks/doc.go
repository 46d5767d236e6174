// Package quirks plays foreign peers that cannot run in a test: Windows' client and server, RouterOS, SoftEther, accel-ppp,
// sstp-client, sorz/sstp-server, Open-SSTP-Client, edgetunnel. Each row of the table in rows_test.go is one thing that such
// a peer does or does not take, with its source; its script is a peer of internal/peer that does just that to this
// library's Server or Dialer, in memory. A row without a script fails, unless it says why there can be none.
//
// SoftEther and sstp-client run for real in internal/interop; what stands here holds without them.
package quirks
