package register

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ParseKey reads a key as BIND's tsig-keygen and ddns-confgen write it,
//
//	key "name" { algorithm hmac-sha256; secret "base64"; };
//
// or in one line, as nsupdate and dig take it: algorithm:name:base64, where the algorithm may be left out. What surrounds a
// key of the first form, such as comments, is passed over.
func ParseKey(text string) (*Key, error) {
	words := keyWords(text)
	for i := range words {
		if words[i] == "key" && i+2 < len(words) && words[i+2] == "{" {
			return parseKeyBlock(words[i+1], words[i+3:])
		}
	}
	fields := strings.Split(strings.TrimSpace(text), ":")
	switch len(fields) {
	case 2:
		return newKey(fields[0], "", fields[1])
	case 3:
		return newKey(fields[1], fields[0], fields[2])
	}
	return nil, errors.New("register: no key: neither key \"name\" { algorithm ...; secret ...; }; nor algorithm:name:secret")
}

func parseKeyBlock(name string, words []string) (*Key, error) {
	said := make(map[string]string)
	for i := 0; i < len(words); i++ {
		switch w := words[i]; w {
		case "}":
			return newKey(name, said["algorithm"], said["secret"])
		case "algorithm", "secret":
			if i+2 >= len(words) || words[i+2] != ";" {
				return nil, fmt.Errorf("register: key %s: %s is not followed by a word and \";\"", name, w)
			}
			said[w] = words[i+1]
			i += 2
		}
	}
	return nil, fmt.Errorf("register: key %s: no \"}\" at its end", name)
}

// newKey checks a key as it is written.
func newKey(name, algorithm, base string) (*Key, error) {
	b, err := base64.StdEncoding.DecodeString(base)
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("register: key %s: its secret is not in base64", name)
	}
	k := &Key{Name: name, Algorithm: algorithm, Secret: Secret(b)}
	if hashes[k.algorithm()] == nil {
		return nil, fmt.Errorf("register: key %s: algorithm %q is not hmac-sha1, -sha224, -sha256, -sha384 or -sha512", name, algorithm)
	}
	if _, err := appendName(nil, absolute(name)); err != nil {
		return nil, fmt.Errorf("register: key: %w", err)
	}
	return k, nil
}

// keyWords splits text into words, of which "{", "}" and ";" are some, without quotes and comments.
func keyWords(text string) (words []string) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		n := 0
		switch {
		case strings.HasPrefix(text, "/*"):
			_, text, _ = strings.Cut(text, "*/")
			continue
		case text[0] == '#', strings.HasPrefix(text, "//"):
			_, text, _ = strings.Cut(text, "\n")
			continue
		case text[0] == '"':
			word, rest, _ := strings.Cut(text[1:], `"`)
			words, text = append(words, word), rest
			continue
		case strings.IndexByte("{};", text[0]) >= 0:
			n = 1
		default:
			if n = strings.IndexAny(text, " \t\r\n{};\""); n < 0 {
				n = len(text)
			}
		}
		words, text = append(words, text[:n]), text[n:]
	}
	return words
}
