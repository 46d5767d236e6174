package layers

import "strings"

const root = "github.com/dialway/dialway"

// A rule says what a package may import beside the standard library. Names are relative to the root module; those of
// other modules are prefixes. Tests may import what they like.
type rule struct {
	own   []string // of this project
	third []string // of others
}

// rules are by package; a name that ends in /... is of everything below. The longest that fits counts.
//
//	examples → everything
//	sstp, radius, ppp/* → ppp        demanddial, dhcpinform, tunnel/* → tunnel
//	tunnel/register → dhcpinform     ppp, tunnel → internal         internal → nothing public
//
// ppp and sstp never import tunnel; tunnel never imports ppp; no package imports a sibling of its level.
var rules = map[string]rule{
	".": {},

	"tunnel":                  {own: []string{"internal/..."}, third: []string{"github.com/gaissmai/bart"}},
	"tunnel/tun":              {own: []string{"tunnel", "internal/..."}, third: []string{"golang.org/x/sys", "golang.zx2c4.com/wireguard", "github.com/vishvananda/netlink"}},
	"tunnel/netstack":         {own: []string{"tunnel", "internal/..."}, third: []string{"gvisor.dev/gvisor", "golang.org/x/net/dns/dnsmessage"}},
	"tunnel/ipv6conf":         {own: []string{"tunnel", "internal/..."}},
	"tunnel/register":         {own: []string{"tunnel", "dhcpinform", "internal/..."}, third: []string{"golang.org/x/net"}},
	"tunnel/register/hostdns": {third: []string{"github.com/godbus/dbus"}},
	"tunnel/tunneltest":       {own: []string{"tunnel"}},

	"ppp":        {own: []string{"internal/..."}, third: []string{"golang.org/x/crypto"}},
	"ppp/eap":    {own: []string{"ppp", "internal/..."}, third: []string{"golang.org/x/crypto"}},
	"ppp/access": {own: []string{"ppp", "internal/..."}, third: []string{"golang.org/x/crypto"}},
	"ppp/hdlc":   {own: []string{"ppp", "internal/..."}},

	"sstp":          {own: []string{"ppp", "internal/..."}, third: []string{"golang.org/x/net/proxy", "golang.org/x/sys"}},
	"sstp/sstptest": {own: []string{"sstp", "ppp", "internal/..."}},
	"radius":        {own: []string{"ppp", "internal/..."}, third: []string{"layeh.com/radius", "golang.org/x/crypto"}},

	"demanddial": {own: []string{"tunnel", "internal/..."}},
	"dhcpinform": {own: []string{"tunnel", "internal/..."}, third: []string{"golang.org/x/net", "golang.org/x/sys"}},

	"internal/...": {own: []string{"internal/..."}, third: []string{"golang.org/x/crypto", "golang.org/x/net", "golang.org/x/sys"}},

	// Programs, and modules of their own for tests against real peers and for measuring.
	"examples/...":         {own: []string{"..."}, third: []string{""}},
	"internal/interop/...": {own: []string{"..."}, third: []string{""}},
	"internal/bench/...":   {own: []string{"..."}, third: []string{""}},
}

// testOnly are helpers for tests that no program should link; the packages that users test with may.
var testOnly = []string{"internal/memnet", "internal/peer/...", "internal/netns", "internal/offload/offloadtest", "internal/layers", "internal/gates", "internal/interop/...", "internal/bench/..."}

// lean are packages whose users pay for little: nothing they link, however indirectly, is one of these. net/http would
// bring its server and HTTP/2 into every client.
var lean = map[string][]string{
	"ppp":    {"net/http", "gvisor.dev/", "golang.zx2c4.com/", "github.com/vishvananda/", "layeh.com/", root + "/tunnel"},
	"sstp":   {"net/http", "gvisor.dev/", "golang.zx2c4.com/", "github.com/vishvananda/", "layeh.com/", root + "/tunnel"},
	"tunnel": {"net/http", "crypto/tls", "gvisor.dev/", "golang.zx2c4.com/", "github.com/vishvananda/", "layeh.com/", root + "/ppp"},
}

// ruleFor returns the rule of a package.
func ruleFor(pkg string) (r rule, ok bool) {
	best := -1
	for name, x := range rules {
		if covers(name, pkg) && len(name) > best {
			r, ok, best = x, true, len(name)
		}
	}
	return r, ok
}

// covers reports whether pattern, which may end in /..., is of pkg.
func covers(pattern, pkg string) bool {
	if below, ok := strings.CutSuffix(pattern, "..."); ok {
		return strings.HasPrefix(pkg+"/", below)
	}
	return pattern == pkg
}

// allowed says what is wrong with an import, or nothing.
func allowed(pkg, imp string) string {
	r, ok := ruleFor(pkg)
	if !ok {
		return "has no rule in internal/layers"
	}
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return "" // std
	}
	own, ours := relative(imp)
	if !ours {
		for _, t := range r.third {
			if t == "" || imp == t || strings.HasPrefix(imp, t+"/") {
				return ""
			}
		}
		return "may not import " + imp + ": a new dependency needs its reason, and a place in internal/layers"
	}
	helper := func(p string) bool {
		for _, t := range testOnly {
			if covers(t, p) {
				return true
			}
		}
		return false
	}
	if helper(own) && !helper(pkg) && pkg != "sstp/sstptest" && pkg != "tunnel/tunneltest" {
		return "may not import " + own + ", which is for tests"
	}
	for _, p := range r.own {
		if covers(p, own) {
			return ""
		}
	}
	return "may not import " + own
}

// relative returns the name of a package of this project as the rules have it.
func relative(path string) (name string, ok bool) {
	if path == root {
		return ".", true
	}
	return strings.CutPrefix(path, root+"/")
}
