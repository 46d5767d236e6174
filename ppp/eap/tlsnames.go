package eap

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
)

var (
	oidAltNames = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidUPN      = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3} // Microsoft's user principal name
)

// certificateNames returns the names of a certificate's subject, the best first: UPNs, e-mail addresses, DNS names, common
// name (RFC 5216 section 5.2 has the alternative names first).
func certificateNames(c *x509.Certificate) []string {
	names := principalNames(c)
	names = append(names, c.EmailAddresses...)
	names = append(names, c.DNSNames...)
	if c.Subject.CommonName != "" {
		names = append(names, c.Subject.CommonName)
	}
	return names
}

// principalNames returns the UPNs in the alternative names, which crypto/x509 leaves out: RFC 5280 section 4.2.1.6, an
// otherName.
func principalNames(c *x509.Certificate) (names []string) {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidAltNames) {
			continue
		}
		var list asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &list); err != nil || len(rest) > 0 || !list.IsCompound {
			return nil
		}
		for b := list.Bytes; len(b) > 0; {
			var name asn1.RawValue
			var err error
			if b, err = asn1.Unmarshal(b, &name); err != nil {
				return names
			}
			if name.Class == asn1.ClassContextSpecific && name.Tag == 0 {
				if n := principalName(name.Bytes); n != "" {
					names = append(names, n)
				}
			}
		}
	}
	return names
}

// principalName reads an otherName: a type, and a value in an explicit tag. It is empty for another type.
func principalName(b []byte) string {
	var id asn1.ObjectIdentifier
	rest, err := asn1.Unmarshal(b, &id)
	if err != nil || !id.Equal(oidUPN) {
		return ""
	}
	var tagged, text asn1.RawValue
	if _, err = asn1.Unmarshal(rest, &tagged); err != nil || tagged.Class != asn1.ClassContextSpecific || tagged.Tag != 0 {
		return ""
	}
	if _, err = asn1.Unmarshal(tagged.Bytes, &text); err != nil || text.Tag != asn1.TagUTF8String {
		return ""
	}
	return string(text.Bytes)
}

// sameName compares names of accounts as certificates and Windows do: ASCII letters without their case.
func sameName(a, b string) bool { return strings.EqualFold(a, b) }
