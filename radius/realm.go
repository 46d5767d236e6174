package radius

import "strings"

// splitSuffix and splitPrefix take a realm off a name; ok is false where it has none.
func splitSuffix(name string) (user, realm string, ok bool) {
	i := strings.LastIndexByte(name, '@')
	if i < 0 || i == len(name)-1 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

func splitPrefix(name string) (user, realm string, ok bool) {
	i := strings.IndexByte(name, '\\')
	if i <= 0 {
		return name, "", false
	}
	return name[i+1:], name[:i], true
}

// route returns the key of Realms for a name, and the name without its realm. Of a name with both kinds, as in
// "CORP\alice@example.com", the one that is listed counts, the suffix first.
func (p *Proxy) route(name string) (key, user string) {
	user = name
	some := false
	for _, split := range [...]func(string) (string, string, bool){splitSuffix, splitPrefix} {
		rest, realm, ok := split(name)
		if !ok {
			continue
		}
		if key, ok := p.listed(lower(realm)); ok {
			return key, rest
		}
		if !some {
			user = rest
		}
		some = true
	}
	if some {
		if _, ok := p.Realms["*"]; ok {
			return "*", user
		}
		return "", user
	}
	return "", name
}

// listed finds a realm by its name, or by the longest "*." that fits.
func (p *Proxy) listed(realm string) (key string, ok bool) {
	if realm == "*" {
		return "", false // it is no name
	}
	if key, ok = p.realms[realm]; ok {
		return key, true
	}
	for rest := realm; ; {
		_, after, more := strings.Cut(rest, ".")
		if !more {
			return "", false
		}
		if key, ok = p.realms["*."+after]; ok {
			return key, true
		}
		rest = after
	}
}

// lower is ASCII's.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
