package demanddial

// The security predicates of this package. Each names the test that fails without it.

// isNamed reports whether the user part of a name is an interface's, whatever the case of its ASCII letters. Without it
// any client would be a router, and what is routed to that would be its to receive, and to send from.
// Without it fails TestOnlyTheNameOfAnInterfaceIsARouter.
func isNamed(user, name string) bool { return user != "" && lowerASCII(user) == lowerASCII(name) }

// mayComeFromDomain reports whether a domain is none, the router's own, or one that the interface lists: in another realm,
// which a proxy may authenticate, anybody may have the name of an interface.
// Without it fails TestANameOfAnotherDomainIsNoRouter.
func mayComeFromDomain(domain string, own, listed []string) bool {
	return domain == "" || holdsFold(own, domain) || holdsFold(listed, domain)
}

func holdsFold(list []string, s string) bool {
	for _, x := range list {
		if lowerASCII(x) == lowerASCII(s) {
			return true
		}
	}
	return false
}

// mayConnect reports whether callers of a kind are let in at all.
// Without it fails TestAKindThatIsOffIsRefused.
func mayConnect(off bool) bool { return !off }
