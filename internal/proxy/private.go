package proxy

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// internalPrefix begins the headers that the parts of Wrenn speak to each other.
const internalPrefix = "Wrenn-"

// cookiePattern matches the names of the control API's cookies. Browsers take
// prefixes such as __Host- in any case.
var cookiePattern = regexp.MustCompile(`(?i)^(__[a-z-]+-)?` + regexp.QuoteMeta(auth.CookiePrefix))

// leastSecret is the length from which the value of a credential is looked for in
// other headers: something shorter could be a word.
const leastSecret = 16

// private removes from requests what belongs to Wrenn.
type private struct {
	adminToken string
	seen       []string // secrets of this request
}

// removePrivate takes the credentials of the control API out of a request: by name,
// by their form, and headers and parameters of the query that repeat one of them.
func removePrivate(r *http.Request, adminToken string) {
	p, header := private{adminToken: adminToken}, r.Header
	for name := range header {
		if strings.HasPrefix(hyphenated(name), internalPrefix) {
			delete(header, name)
		}
	}
	delete(header, auth.TeamHeader)
	for _, name := range auth.CredentialHeaders {
		for _, value := range header[name] {
			p.see(value)
		}
		delete(header, name)
	}
	p.removeCookies(header)
	for name, values := range header {
		if kept := p.withoutSecrets(values); len(kept) == 0 {
			delete(header, name)
		} else {
			header[name] = kept
		}
	}
	r.URL.RawQuery = stripQuery(r.URL.RawQuery, func(name, value string) bool { return p.isSecret(name) || p.isSecret(value) })
}

func (p *private) see(secret string) {
	if secret = strings.TrimSpace(secret); len(secret) >= leastSecret {
		p.seen = append(p.seen, secret)
	}
}

func (p *private) removeCookies(header http.Header) {
	var lines []string
	for _, line := range header["Cookie"] {
		var kept []string
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.TrimSpace(pair)
			name, value, _ := strings.Cut(pair, "=")
			switch {
			case cookiePattern.MatchString(pairName(pair)):
				p.see(strings.Trim(value, `"`))
			case pair != "" && !p.isSecret(value) && !p.isSecret(name):
				kept = append(kept, pair)
			}
		}
		if len(kept) > 0 {
			lines = append(lines, strings.Join(kept, "; "))
		}
	}
	delete(header, "Cookie")
	if len(lines) > 0 {
		header["Cookie"] = lines
	}
}

// pairName is the name of a cookie as a browser sends it back: of one without a
// name, what its value begins with.
func pairName(pair string) string {
	name, _, _ := strings.Cut(strings.TrimLeft(pair, "= \t"), "=")
	return strings.TrimSpace(name)
}

func (p *private) withoutSecrets(values []string) []string {
	var kept []string
	for _, value := range values {
		if !p.isSecret(value) && !p.isSecret(basicOf(value)) {
			kept = append(kept, value)
		}
	}
	return kept
}

// isSecret says whether a value is or holds one of Wrenn's credentials.
func (p *private) isSecret(value string) bool {
	if auth.ContainsKey(value) {
		return true
	}
	for _, secret := range p.seen {
		if strings.Contains(value, secret) {
			return true
		}
	}
	return p.adminToken != "" && p.holdsAdminToken(value)
}

func (p *private) holdsAdminToken(value string) bool {
	for _, word := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(` ,;:="`, r) }) {
		if auth.Equal(word, p.adminToken) {
			return true
		}
	}
	return auth.Equal(value, p.adminToken)
}

// basicOf is the user and password of a header Authorization of the scheme Basic.
func basicOf(value string) string {
	scheme, encoded, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return ""
	}
	decoded, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	return string(decoded)
}

// cleanAnswer takes out of the head of a guest's answer what would reach beyond
// the guest: cookies of the control API's names, and cookies and orders for more
// than the host name at which the client has asked.
func cleanAnswer(header http.Header, host string) {
	for name := range header {
		if strings.HasPrefix(name, internalPrefix) {
			delete(header, name)
		}
	}
	// Browsers clear the cookies of the whole registrable domain for it.
	header.Del("Clear-Site-Data")
	var kept []string
	for _, cookie := range header["Set-Cookie"] {
		parts := strings.Split(cookie, ";")
		if !cookiePattern.MatchString(pairName(parts[0])) {
			kept = append(kept, withoutForeignDomain(parts, host))
		}
	}
	delete(header, "Set-Cookie")
	if len(kept) > 0 {
		header["Set-Cookie"] = kept
	}
}

// withoutForeignDomain binds a cookie to the host that sets it, unless it names
// that host itself.
func withoutForeignDomain(parts []string, host string) string {
	kept := parts[:1]
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		domain := strings.TrimPrefix(strings.TrimSpace(value), ".")
		if !strings.EqualFold(strings.TrimSpace(name), "Domain") || strings.EqualFold(domain, host) {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ";")
}
