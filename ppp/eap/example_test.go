package eap_test

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/eap"
	"github.com/dialway/dialway/sstp"
)

// A server that asks for a certificate, and takes a password inside of PEAP from those who have none.
func ExampleAuthenticator() {
	var (
		certificate tls.Certificate   // of this server
		clients     *x509.CertPool    // who signs the clients' certificates
		accounts    ppp.Authenticator // who may connect
	)
	certificates := &tls.Config{Certificates: []tls.Certificate{certificate}, ClientCAs: clients}
	_ = &sstp.Server{PPP: &ppp.Config{
		Auth: []ppp.AuthProtocol{ppp.EAP, ppp.MSCHAPv2},
		Authenticator: &eap.Authenticator{
			Methods: []eap.Method{
				&eap.TLS{Config: certificates},
				&eap.PEAP{Config: certificates, Inner: &eap.MSCHAPv2{}},
			},
			Next: accounts, // MS-CHAPv2 without EAP goes there, too
		},
	}}
}

// A client with a password, which only the right authentication server is told; its name is not seen outside.
func ExamplePeer() {
	var roots *x509.CertPool // of the authentication server, which need not be the server that is dialled
	peer := &eap.Peer{
		Identity: "@example.com",
		Methods: []eap.PeerMethod{&eap.PEAP{
			Config:    &tls.Config{ServerName: "radius.example.com", RootCAs: roots},
			InnerPeer: &eap.MSCHAPv2{User: "alice", Password: "secret"},
		}},
	}
	_ = &sstp.Dialer{PPP: &ppp.Config{EAP: peer.Respond}}
}
