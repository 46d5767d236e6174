package peer

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"time"
)

// Host is the name in the certificates.
const Host = "sstp.test"

// Certificate is valid for Host, in a bubble's year 2000 as now. It is the same each time.
var Certificate = sync.OnceValue(func() tls.Certificate {
	return issue(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), Host)
})

// RSACertificate is one with an RSA key, for peers that know nothing else.
var RSACertificate = sync.OnceValue(func() tls.Certificate {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("peer: " + err.Error()) // no random bytes
	}
	return issue(key, Host)
})

// issue makes a self-signed certificate.
func issue(key crypto.Signer, host string) tls.Certificate {
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: host},
		DNSNames:              []string{host},
		NotBefore:             time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic("peer: " + err.Error()) // of constants: it cannot
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic("peer: " + err.Error())
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Roots trusts certificates.
func Roots(list ...tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range list {
		pool.AddCert(c.Leaf)
	}
	return pool
}
