package eap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"sync"
	"testing"
	"time"
)

// An authority makes certificates, for tests. They are valid in a bubble's year 2000, too.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var (
	notBefore = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC)
)

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: notBefore, NotAfter: notAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// issue makes a certificate. edit may change the template.
func (a *authority) issue(t testing.TB, serial int64, name string, edit func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if edit != nil {
		edit(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// crl makes a revocation list.
func (a *authority) crl(t testing.TB, thisUpdate, nextUpdate time.Time, serials ...int64) *x509.RevocationList {
	t.Helper()
	tmpl := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: thisUpdate, NextUpdate: nextUpdate}
	for _, s := range serials {
		tmpl.RevokedCertificateEntries = append(tmpl.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: notBefore})
	}
	der, err := x509.CreateRevocationList(rand.Reader, tmpl, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// upn is an extension with a user principal name, an e-mail address and a DNS name.
func upn(t testing.TB, name, email, dns string) pkix.Extension {
	t.Helper()
	type other struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	must := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	utf8 := must(asn1.MarshalWithParams(name, "utf8"))
	inner := must(asn1.Marshal(other{oidUPN, asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: utf8}}))
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(inner, &outer); err != nil {
		t.Fatal(err)
	}
	list := []asn1.RawValue{{Class: 2, Tag: 0, IsCompound: true, Bytes: outer.Bytes}}
	if email != "" {
		list = append(list, asn1.RawValue{Class: 2, Tag: 1, Bytes: []byte(email)})
	}
	if dns != "" {
		list = append(list, asn1.RawValue{Class: 2, Tag: 2, Bytes: []byte(dns)})
	}
	return pkix.Extension{Id: oidAltNames, Value: must(asn1.Marshal(list))}
}

// pki is what most tests need, made once.
type pki struct {
	ca, other     *authority
	server, alice tls.Certificate
}

var testPKI = sync.OnceValue(func() pki {
	t := new(testing.T)
	p := pki{ca: newAuthority(t, "CA"), other: newAuthority(t, "Other CA")}
	p.server = p.ca.issue(t, 2, "radius.example.com", func(c *x509.Certificate) { c.DNSNames = []string{"radius.example.com"} })
	p.alice = p.ca.issue(t, 3, "alice", nil)
	return p
})

// serverTLS and clientTLS are configurations that work.
func (p pki) serverTLS(version uint16) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{p.server}, ClientCAs: p.ca.pool(), MaxVersion: version}
}

func (p pki) clientTLS(version uint16) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{p.alice}, RootCAs: p.ca.pool(), ServerName: "radius.example.com", MaxVersion: version}
}
