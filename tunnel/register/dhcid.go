package register

import (
	"crypto/sha256"
	"net/netip"
)

// dhcid is the data of the record that says whose a name is: RFC 4701 section 3. id is who, in the form of a DHCP client
// identifier (code 1), whatever it is made of.
func dhcid(id []byte, name string) ([]byte, error) {
	wire, err := appendName(nil, lower(name))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append(append([]byte(nil), id...), wire...))
	return append([]byte{0, 1, 1 /* SHA-256 */}, sum[:]...), nil
}

// addrData is the data of an A or AAAA record, and its type.
func addrData(a netip.Addr) (typ uint16, data []byte) {
	if a.Is4() {
		return typeA, a.AsSlice()
	}
	return typeAAAA, a.AsSlice()
}
