package conf

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/tunnel"
)

// Filter reads only = [...] or except = [...] of a table. A filter of nothing, or of both, is a problem of key in t.
func (x *Table) Filter(t *Table, key string) *tunnel.Filter {
	only, except := List(x, "only", tunnel.ParseRule), List(x, "except", tunnel.ParseRule)
	if (len(only) == 0) == (len(except) == 0) {
		t.Bad(key, "the filter is empty, or both: want rules in only, or in except")
		return nil
	}
	return &tunnel.Filter{Rules: append(only, except...), Except: len(except) > 0}
}

// Prefix reads a prefix, or an address that stands for itself.
func Prefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return p, fmt.Errorf("%q is no prefix such as 192.168.0.0/16", s)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p != p.Masked() {
		return p, fmt.Errorf("%v has bits beyond its length: is %v meant?", p, p.Masked())
	}
	return p, nil
}

// Auth reads the name of an authentication protocol.
func Auth(s string) (ppp.AuthProtocol, error) {
	for _, p := range []ppp.AuthProtocol{ppp.PAP, ppp.CHAP, ppp.MSCHAPv2, ppp.EAP} {
		if strings.EqualFold(s, p.String()) || strings.EqualFold(s, strings.ReplaceAll(p.String(), "-", "")) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%q is not eap, mschapv2, chap-md5 or pap", s)
}
