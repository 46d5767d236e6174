package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/ipv6conf"
)

// A localConfig is what the flags say about who answers clients that ask for more than PPP says.
type localConfig struct {
	inform informConfig
	relay  []netip.AddrPort
	ipv6   ipv6Config

	servers string
}

func (c *localConfig) register(fs *flag.FlagSet) {
	fs.Var(&c.inform, "inform", informUsage)
	fs.StringVar(&c.servers, "dhcp-relay", "", "`ADDR[:PORT],...` of DHCP servers that answer clients' DHCPInform, in the place of -inform")
	c.ipv6.register(fs)
}

func (c *localConfig) check(p *cli.Problems, mtu int) {
	c.ipv6.check(p, mtu)
	if c.servers == "" {
		return
	}
	if c.inform.on {
		p.Add("-dhcp-relay", errors.New("and -inform do not go together: one of them answers"))
	}
	for _, f := range strings.Split(c.servers, ",") {
		s, err := netip.ParseAddrPort(f)
		if err != nil {
			var a netip.Addr
			a, err = netip.ParseAddr(f)
			s = netip.AddrPortFrom(a, 67)
		}
		if err == nil && !s.Addr().Is4() {
			err = fmt.Errorf("%v is no IPv4 address", s.Addr())
		}
		p.Add("-dhcp-relay", err)
		c.relay = append(c.relay, s)
	}
}

// A local answers clients: it stands behind Router.Local.
type local struct {
	table     tunnel.Table
	six       *ipv6conf.Server
	responder *dhcpinform.Responder // one of them, or none
	relay     *dhcpinform.Relay
	pc        net.PacketConn // the relay's
}

// openLocal makes what answers. routes is the Router's.
func (s *server) openLocal(host tunnel.PacketIO, routes tunnel.RouteTable) (*local, error) {
	l := &local{six: s.advertiser(routes)}
	l.table.Insert(netip.MustParsePrefix("ff02::2/128"), l.six, 0)
	l.table.Insert(netip.MustParsePrefix("ff02::1:2/128"), l.six, 0)
	var dhcp tunnel.Receiver
	switch {
	case len(s.localConfig.relay) > 0:
		if err := s.openRelay(l, host); err != nil {
			return nil, err
		}
		dhcp = l.relay
		s.log.Info("relays DHCPInform", "to", s.localConfig.relay, "giaddr", l.relay.Addr)
	case s.inform.on:
		l.responder = s.responder(host)
		dhcp = l.responder
		s.log.Info("answers DHCPInform", "with", &s.inform)
	default:
		return l, nil
	}
	l.table.Insert(netip.MustParsePrefix("255.255.255.255/32"), dhcp, 0)
	l.table.Insert(netip.PrefixFrom(s.addr, 32), dhcp, 0)
	return l, nil
}

// openRelay opens the relay. Its address is the server's own, which DHCP servers reach and choose the subnet by; a stack
// that nobody reaches from outside takes the one that this machine has towards the servers, and says by option 82 which
// subnet is meant.
func (s *server) openRelay(l *local, host tunnel.PacketIO) error {
	r := &dhcpinform.Relay{Servers: s.localConfig.relay, Addr: s.addr, Next: host, Logger: s.log}
	if s.tun == "netstack" {
		c, err := net.Dial("udp4", r.Servers[0].String()) // sends nothing
		if err != nil {
			return fmt.Errorf("-dhcp-relay: %w", err)
		}
		r.Addr = c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		c.Close()
	}
	r.Agent = func(client netip.Addr, via tunnel.PacketWriter) dhcpinform.AgentInfo {
		a := dhcpinform.AgentInfo{CircuitID: "ppp-" + client.String(), RemoteID: userOf(via)}
		if r.Addr != s.addr {
			a.LinkSelection = s.addr
		}
		s.log.Info("inform relayed", "client", client, "user", a.RemoteID)
		return a
	}
	var err error
	if l.pc, err = net.ListenPacket("udp4", netip.AddrPortFrom(r.Addr, 67).String()); err != nil {
		return fmt.Errorf("-dhcp-relay: servers answer to port 67: %w", err)
	}
	l.relay = r
	return nil
}

// userOf returns who a link's far side has proved to be.
func userOf(via tunnel.PacketWriter) string {
	if c, ok := tunnel.As[*ppp.Conn](via); ok {
		return c.Info().User
	}
	return ""
}

// link returns a session's link as it is given to the Router.
func (l *local) link(c tunnel.Link) tunnel.Link {
	if l.relay != nil {
		c = l.relay.Link(c)
	}
	if x := ipv6conf.FromLink(c); len(x.Prefixes)+len(x.Delegated) == 0 {
		return c // a session without IPv6
	}
	return l.six.Link(c)
}

// serve works until ctx ends or something fails.
func (l *local) serve(ctx context.Context) error {
	if l.relay != nil {
		return l.relay.Serve(ctx, l.pc)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// close tells the far sides that this is no router any more, while their links live, and what has been done.
func (l *local) close(s *server) {
	l.six.Close()
	switch {
	case l.relay != nil:
		s.log.Info("DHCPInform", "counts", fmt.Sprintf("%+v", l.relay.Stats()))
	case l.responder != nil:
		s.log.Info("DHCPInform", "counts", fmt.Sprintf("%+v", l.responder.Stats()))
	}
	if x := l.six.Stats(); x.Advertised > 0 {
		s.log.Info("IPv6", "counts", fmt.Sprintf("%+v", x))
	}
}
