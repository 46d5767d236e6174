// Package peer plays the far side of an SSTP connection in tests: byte by byte, as foreign programs do, and as no
// program should. It knows the protocols by itself and uses nothing of packages sstp and ppp, so that both ends are not
// wrong in the same way.
//
//   - A [Peer] is a scripted client or server over TLS: the test says what it sends and what it waits for. Everything
//     that comes to it is held against what strict peers demand of the bytes (see [Packet.Check]).
//   - A [Relay] stands between two real ends, ends TLS on both sides, and passes packets on: with noise between any two
//     of them, without some, or while it writes them down.
//   - A [Transcript] is what a Relay wrote down, as a file that can be read, played again and renewed by -update.
//
// Making the Nth read or write fail is internal/memnet's.
package peer
