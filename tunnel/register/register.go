package register

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/dialway/dialway/dhcpinform"
)

// A Registrar registers a host's names while a link is up. The zero Registrar asks DHCPInform only. It must not be changed
// while a method runs; several may run at once.
type Registrar struct {
	Host   string // the name; one without a dot is below Domain. "" registers nothing
	Domain string // "" means the one that DHCPInform tells

	// Server takes all updates. Zero means the primary of each zone, found by asking DNS for its SOA; nobody is asked where
	// that is, then. DNS are the name servers that are asked; none means those that DHCPInform or the link names, or Server.
	Server netip.AddrPort
	DNS    []netip.AddrPort

	Signer Signer // a *Key; nil sends updates that are not signed

	// ID is who the host is, at each run and at no other host the same: with it, a name that an earlier run has left is
	// known again, and no other's is taken. It is not sent, but for a hash of it and the name (DHCID). nil goes by the
	// addresses instead: a name that is there already is another's unless it has our addresses.
	ID []byte

	Take    bool          // take a name that another host holds
	TTL     time.Duration // of the records; 0 means DefaultTTL
	Refresh time.Duration // 0 means DefaultRefresh

	NetBIOS   bool         // also register with the WINS servers that DHCPInform or the link names, if it lets us
	Workgroup string       // "" means WORKGROUP
	WINS      []netip.Addr // instead of those

	// Resolver is set to the tunnel's name servers, for its domain, and put back; nil leaves it.
	Resolver Resolver

	// Addrs returns the addresses to register, for hosts that get some from others than the link, as by router
	// advertisements; nil means the link's. Of them, link-local, loopback and multicast ones are left out. Each value that
	// comes from Changed makes Run look again.
	Addrs   func() []netip.Addr
	Changed <-chan struct{}

	// Dial and ListenPacket reach the tunnel: nil means the system's, Stack.DialContext and Stack.ListenPacket fit. For
	// WINS, port 137 of the address is listened on, so that servers can ask whether the host still has its name; if that
	// fails, as where the system has NetBIOS of its own, any port.
	Dial         func(ctx context.Context, network, address string) (net.Conn, error)
	ListenPacket func(network, address string) (net.PacketConn, error)

	Logger *slog.Logger // nil is silent
}

// A Resolver is the name resolution of a host, which is told who knows the tunnel's names.
type Resolver interface {
	// Set makes servers be asked for names in domains, in the place of what an earlier Set said.
	Set(ctx context.Context, servers []netip.Addr, domains []string) error
	// Restore makes it be as before the first Set.
	Restore(ctx context.Context) error
}

// A Status is what a Run has come to.
type Status struct {
	Options  *dhcpinform.Options // what was learnt; nil if nothing has been yet
	Err      error               // why DHCPInform told nothing
	Name     string              // full name of the host, with a dot at its end; "" if none is known
	Records  []Record            // what is registered, or should be
	Resolver error               // why the host's resolver is not set
}

func (r *Registrar) ttl() time.Duration {
	if r.TTL <= 0 {
		return DefaultTTL
	}
	return r.TTL
}

func (r *Registrar) refresh() time.Duration {
	if r.Refresh <= 0 {
		return DefaultRefresh
	}
	return r.Refresh
}

func (r *Registrar) logger() *slog.Logger {
	if r.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Logger
}

// updater returns one that asks servers, or, without any, Server.
func (r *Registrar) updater(servers []netip.AddrPort) *updater {
	dial := r.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	if len(r.DNS) > 0 {
		servers = r.DNS
	}
	if len(servers) == 0 && r.Server.IsValid() {
		servers = []netip.AddrPort{r.Server}
	}
	return &updater{client{dial, r.logger()}, r, servers}
}

// fullName returns the name to register, given the domain that was told; "" if none is known.
func (r *Registrar) fullName(told string) (string, error) {
	host := strings.TrimSuffix(r.Host, ".")
	switch {
	case host == "":
		return "", nil
	case strings.Contains(host, "."):
	case r.Domain != "":
		host += "." + r.Domain
	case told != "":
		host += "." + told
	default:
		return "", nil
	}
	return absolute(host), CheckHost(host)
}

// registrable are the addresses that others can reach.
func registrable(addrs []netip.Addr) (list []netip.Addr) {
	for _, a := range addrs {
		if a = a.Unmap().WithZone(""); a.IsGlobalUnicast() {
			list = append(list, a)
		}
	}
	return list
}
