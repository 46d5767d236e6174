// Package eap implements EAP, RFC 3748, as authenticator and as peer, with the methods EAP-MSCHAPv2 ([MS-CHAP]), EAP-TLS
// (RFC 5216 with TLS 1.2, RFC 9190 with TLS 1.3) and PEAP version 0 ([MS-PEAP]); others are written as a [Method] and a
// [PeerMethod], each a straight list of rounds.
//
// A server of package sstp, or any ppp.Config, has an Authenticator as its own:
//
//	cfg := &ppp.Config{
//		Auth: []ppp.AuthProtocol{ppp.EAP, ppp.MSCHAPv2},
//		Authenticator: &eap.Authenticator{
//			Methods: []eap.Method{&eap.TLS{Config: certificates}, &eap.MSCHAPv2{}},
//			Next:    accounts,
//		},
//	}
//
// Next knows the accounts. MSCHAPv2 asks it as MS-CHAPv2 does without EAP; TLS asks it whether the name in a certificate
// may connect (AuthRequest.Proved).
//
// A client:
//
//	peer := &eap.Peer{Methods: []eap.PeerMethod{&eap.MSCHAPv2{User: "alice", Password: "secret"}}}
//	dialer := &sstp.Dialer{PPP: &ppp.Config{EAP: peer.Respond}}
//
// # What is bounded
//
// A conversation ends after 5 minutes, 200 rounds or 256 KiB, a TLS message after 64 KiB, counted as its fragments
// arrive. Nothing runs beside a conversation: crypto/tls is called on the goroutine of the one who called, and its reads
// and writes are EAP's rounds. When ctx ends, so does the conversation.
package eap
