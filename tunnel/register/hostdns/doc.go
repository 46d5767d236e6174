// Package hostdns tells the host's name resolution who knows the names behind a tunnel, and takes it back: a
// register.Resolver for systemd-resolved, spoken to over D-Bus, and for resolvconf, Debian's and openresolv's.
//
//	r := &hostdns.Resolver{Device: dev.Name()}
//	r.Recover(ctx) // what a process has left that was killed
//	reg := &register.Registrar{Host: "pc1", Resolver: r}
//
// With systemd-resolved the tunnel's servers are asked for names in the tunnel's domains only. resolvconf knows no such
// split, unless a local name server reads it: the tunnel's servers come in front of the others, for all names.
//
// What is set is written down first, in a file for each device, so that the next start finds and undoes what a process set
// that did not live to put it back. A package of its own, so that who does not need it links no D-Bus. A program on
// tunnel/netstack needs none of this: it has netstack.HostResolver.
package hostdns
