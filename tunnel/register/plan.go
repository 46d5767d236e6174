package register

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/tunnel"
)

// A plan is what is to be registered.
type plan struct {
	name     string
	addrs    []netip.Addr
	resolver []netip.AddrPort // to ask
	servers  []netip.Addr     // for the host
	domains  []string
	node     nodePlan
}

type nodePlan struct {
	addr    netip.Addr
	servers []netip.Addr
	names   []nbName
	flags   uint16
}

func (p *plan) equal(q *plan) bool {
	return p.name == q.name && slices.Equal(p.addrs, q.addrs) && slices.Equal(p.resolver, q.resolver) &&
		slices.Equal(p.servers, q.servers) && slices.Equal(p.domains, q.domains) && p.node.equal(&q.node)
}

func (p *nodePlan) equal(q *nodePlan) bool {
	return p.addr == q.addr && slices.Equal(p.servers, q.servers) && slices.Equal(p.names, q.names) && p.flags == q.flags
}

// maxAddrs bounds what is registered: how many addresses a host makes itself is for routers to say.
const maxAddrs = 16

// makePlan says what is to be registered. What the answer to DHCPInform says goes before what the link says, as Windows has
// it. o may be nil.
func (run *run) makePlan(o *dhcpinform.Options) plan {
	r, link := run.r, run.link
	if o == nil {
		o = new(dhcpinform.Options)
	}
	var p plan
	told := o.Domain
	if CheckHost(told) != nil {
		told = ""
	}
	p.name, _ = r.fullName(told)
	addrs := link.Addrs
	if r.Addrs != nil {
		addrs = r.Addrs
	}
	p.addrs = registrable(addrs())
	p.addrs = p.addrs[:min(len(p.addrs), maxAddrs)]
	if p.servers = registrable(o.DNS); len(p.servers) == 0 {
		p.servers = registrable(link.DNS())
	}
	for _, s := range p.servers {
		p.resolver = append(p.resolver, netip.AddrPortFrom(s, dnsPort))
	}
	p.resolver = r.updater(p.resolver).servers
	for _, d := range append([]string{r.Domain, told}, o.Search...) {
		d = lower(strings.TrimSuffix(d, "."))
		if d != "" && CheckHost(d) == nil && !slices.Contains(p.domains, d) {
			p.domains = append(p.domains, d)
		}
	}
	p.node = run.makeNode(o, p.addrs)
	return p
}

// makeNode says what is to be registered with WINS servers.
func (run *run) makeNode(o *dhcpinform.Options, addrs []netip.Addr) (p nodePlan) {
	r := run.r
	const broadcastNode = 1
	if !r.NetBIOS || r.Host == "" || o.NodeType == broadcastNode || netBIOSOff(o.Vendor) {
		return p
	}
	if p.servers = registrable(r.WINS); len(p.servers) == 0 {
		p.servers = registrable(o.WINS)
	}
	if l, ok := tunnel.As[interface{ NBNS() []netip.Addr }](run.link.Link); ok && len(p.servers) == 0 {
		p.servers = registrable(l.NBNS())
	}
	p.servers = slices.DeleteFunc(p.servers, netip.Addr.Is6)
	p.servers = p.servers[:min(len(p.servers), maxServers)]
	i := slices.IndexFunc(addrs, netip.Addr.Is4)
	if i < 0 || len(p.servers) == 0 {
		return nodePlan{}
	}
	p.addr = addrs[i]
	// RFC 1002 section 4.2.1.3: B 0, P 1, M 2; and 3 for H, which is Windows' own, and what it is if nobody says.
	p.flags = map[uint8]uint16{2: 1, 4: 2}[o.NodeType] << 13
	if p.flags == 0 {
		p.flags = 3 << 13
	}
	host, group := netBIOSName(r.Host), strings.ToUpper(r.Workgroup)
	if group == "" {
		group = "WORKGROUP"
	}
	p.names = []nbName{
		{name: host, suffix: 0x00, scope: o.Scope},
		{name: host, suffix: 0x20, scope: o.Scope},
		{name: group[:min(len(group), 15)], suffix: 0x00, scope: o.Scope, group: true},
	}
	return p
}

// netBIOSOff reports whether Microsoft's vendor options say that NetBIOS is not to be used: sub-option 1, [MS-DHCPE]
// section 2.2.2.1.
func netBIOSOff(vendor []byte) bool {
	for len(vendor) >= 2 {
		code, n := vendor[0], int(vendor[1])
		if len(vendor) < 2+n || code == 255 {
			return false
		}
		if code == 1 && n == 4 {
			return binary.BigEndian.Uint32(vendor[2:]) == 2
		}
		vendor = vendor[2+n:]
	}
	return false
}
