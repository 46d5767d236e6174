// Package register is step 3 of a connection: a client that has its address asks DHCPInform for what IPCP cannot say, and
// makes its name known, in DNS and to WINS servers, for as long as it is connected.
//
//	Client ──Inform──► domain, name servers, WINS servers
//	   │
//	   ├── DNS     SOA ► zone, primary ► UPDATE: A and AAAA, then PTR     again every 24 h     removed at the end
//	   ├── WINS    NAME<00> NAME<20> WORKGROUP<00>                        again at TTL/2       released at the end
//	   └── host    name servers and domain of the tunnel                                       put back at the end
//
// [Registrar.Run] does all of it for one connection. A router that dials another is no host: it registers nothing, so
// nothing but a program that wants it calls Run. [Tracker] is the server's side: it removes what a client left behind that
// was cut off, and may register clients that do not do it themselves.
//
// The name of another host is not taken: an update says what must be there for it to be done (RFC 2136 section 2.4), and
// with an ID the owner of a name is known by its DHCID record (RFC 4701, RFC 4703). Updates are signed with a shared key
// ([Key], TSIG of RFC 8945), which the answers are held to as well; other ways to sign are a [Signer].
//
// All traffic goes through Dial and ListenPacket, so it works on the system's network and on a netstack.Stack alike.
//
// DNS: RFC 1035, RFC 2136 (UPDATE), RFC 4701 and RFC 4703 (DHCID), RFC 8945 (TSIG). NetBIOS: RFC 1001, RFC 1002.
package register
