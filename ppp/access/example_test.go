package access_test

import (
	"fmt"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/access"
)

// Staff at any time, guests on weekdays, nobody else; and why a guest is refused on a Sunday.
func Example() {
	weekdays, err := access.ParseHours("Mon-Fri 08:00-18:00 UTC")
	if err != nil {
		fmt.Println(err)
		return
	}
	p := &access.Policies{
		List: []access.Policy{
			{Name: "staff", Groups: []string{"staff"}},
			{Name: "guests", Groups: []string{"guests"}, Hours: weekdays, Apply: func(g *ppp.Grant) { g.SessionTimeout = time.Hour }},
		},
		Next: &access.Accounts{Store: new(access.Memory)},
	}
	sunday := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, v := range p.Explain(&ppp.AuthRequest{Protocol: ppp.MSCHAPv2, User: "bob"}, &ppp.Grant{User: "bob", Groups: []string{"guests"}}, sunday) {
		fmt.Printf("%s: %s\n", v.Policy, v.Why)
	}
	// Output:
	// staff: in none of the groups staff
	// guests: outside the policy's hours
}
