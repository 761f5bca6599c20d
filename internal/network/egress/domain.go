package egress

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// maxDomainLength is DNS's own, in its written form.
const maxDomainLength = 253

// normaliseDomain returns a name in the form in which names are compared: ASCII,
// lower case, no dot at the end. An address is not a name.
func normaliseDomain(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if len(name) > maxDomainLength {
		return "", false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", false
	}
	name = strings.ToLower(name)
	if strings.ContainsFunc(name, notASCII) {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil {
			return "", false
		}
		if again, err := idna.Lookup.ToASCII(ascii); err != nil || again != ascii {
			return "", false // no such name can be registered
		}
		name = ascii
	}
	return name, wellFormed(name)
}

func notASCII(r rune) bool { return r >= utf8.RuneSelf }

// wellFormed returns whether labels have up to 63 letters, digits, hyphens and
// underscores, and the last is not all digits: that would be an address in a notation
// that some resolvers accept.
func wellFormed(name string) bool {
	if len(name) > maxDomainLength {
		return false
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notInLabel) {
			return false
		}
	}
	return !looksNumeric(labels[len(labels)-1])
}

func notInLabel(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

func looksNumeric(label string) bool {
	return strings.Trim(label, "0123456789") == "" || strings.HasPrefix(label, "0x")
}

// parsePattern reads a domain or "*.domain" in normal form.
func parsePattern(pattern string) (string, bool) {
	rest, wildcard := strings.CutPrefix(pattern, "*.")
	name, ok := normaliseDomain(rest)
	if !ok {
		return "", false
	}
	if wildcard {
		return "*." + name, true
	}
	return name, true
}

// lookupDomain finds the value for a name: that of the name itself, else of the longest
// wildcard that it is a subdomain of, else of "*".
func lookupDomain[V any](patterns map[string]V, name string) (value V, found bool) {
	if value, found = patterns[name]; found {
		return value, true
	}
	for _, parent, more := strings.Cut(name, "."); more; _, parent, more = strings.Cut(parent, ".") {
		if value, found = patterns["*."+parent]; found {
			return value, true
		}
	}
	value, found = patterns["*"]
	return value, found
}
